"""The volume that models lie on in a cluster, and the pod through which they get there."""

from __future__ import annotations

from typing import Any

from serving.deploy.options import DeployOptions
from serving.deploy.pod import SERVER_USER, container_security, labels, pod_security
from serving.deploy.root import MOUNT, Root

__all__ = ["storage_documents"]

_GIB = 1 << 30

Document = dict[str, Any]


def storage_documents(root: Root, options: DeployOptions, image: str) -> dict[str, list[Document]]:
    """The documents by file, in a directory that is applied before the rest."""
    return {"models/claim.yaml": [_claim(root, options)], "models/loader.yaml": [_loader(options, image)]}


def _claim(root: Root, options: DeployOptions) -> Document:
    size_gib = max(1, -(-4 * sum(version.bytes for version in root.versions) // _GIB))  # room for versions to come
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": f"{options.name}-models",
            "namespace": options.namespace,
            "labels": labels(options),
        },
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "resources": {"requests": {"storage": f"{size_gib}Gi"}},
        },
    }


def _loader(options: DeployOptions, image: str) -> Document:
    """A pod that does nothing but hold the claim open for `kubectl cp`."""
    name = f"{options.name}-loader"
    volumes = [
        {"name": "models", "persistentVolumeClaim": {"claimName": f"{options.name}-models"}},
        {"name": "tmp", "emptyDir": {}},
    ]
    loader = {
        "name": "loader",
        "image": image,
        "command": ["/bin/sleep", "3600"],
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "256Mi"}},
        "securityContext": container_security(SERVER_USER),
        "volumeMounts": [{"name": "models", "mountPath": MOUNT}, {"name": "tmp", "mountPath": "/tmp"}],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        # Not the labels that the services select by.
        "metadata": {"name": name, "namespace": options.namespace, "labels": {"app.kubernetes.io/name": name}},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "securityContext": pod_security(),
            "containers": [loader],
            "volumes": volumes,
        },
    }
