"""The pod of one model server: the server, the nginx beside it, and where both find their files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from serving.deploy.images import is_stock
from serving.deploy.nginx import HEALTH_PORT
from serving.deploy.options import GRPC_PORT, REST_PORT, DeployOptions
from serving.deploy.root import MOUNT, Root
from serving.deploy.sizing import CONFIG_DIR, memory_of, server_flags

__all__ = ["PROXY_USER", "SERVER_USER", "container_security", "labels", "pod_security", "pod_spec", "server_resources"]

SERVER_USER = 65534
PROXY_USER = 101
SERVER_COMMAND = "/usr/bin/tensorflow_model_server"
_PROXY_RESOURCES = {
    "requests": {"cpu": "100m", "memory": "64Mi"},
    "limits": {"cpu": "1", "memory": "256Mi"},
}
_COPY_RESOURCES = {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "256Mi"}}

Document = dict[str, Any]


def pod_spec(root: Root, options: DeployOptions, image: str) -> Document:
    """The `spec` of the pod template.

    At the end of a pod, nginx hears of it after `drain_s`, when no load balancer sends anything new, and finishes what
    it has; the server, which would drop its requests at once, hears of it only after nginx is through.
    """
    server_sleep_s = options.drain_s + options.timeout_s
    spec: Document = {
        "serviceAccountName": options.name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": server_sleep_s + 10,
        "securityContext": pod_security(),
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": labels(options)},
            }
        ],
        **({"nodeSelector": {"kubernetes.io/arch": "amd64"}} if is_stock(image) else {}),
        "containers": [_server(root, options, image, server_sleep_s), _proxy(options)],
        "volumes": [_models_volume(options), *_config_volumes(options)],
    }
    if options.models_from == "init-image":
        spec["initContainers"] = [_copy_models(options)]
    return spec


def labels(options: DeployOptions) -> dict[str, str]:
    """What selectors select by."""
    return {"app.kubernetes.io/name": "tensorflow-serving", "app.kubernetes.io/instance": options.name}


def pod_security() -> Document:
    """Of the pod: nobody is root, and the volumes belong to the group of both."""
    return {
        "runAsNonRoot": True,
        "runAsUser": SERVER_USER,
        "runAsGroup": SERVER_USER,
        "fsGroup": SERVER_USER,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security(user: int) -> Document:
    """Of a container, as the Pod Security Standard "restricted" asks, and a root file system that is read only."""
    return {
        "runAsNonRoot": True,
        "runAsUser": user,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def server_resources(root: Root, options: DeployOptions) -> Document:
    """Requests and limits of the server."""
    memory = memory_of(root.versions, max_body_mb=options.max_body_mb)
    return {
        "requests": {"cpu": str(options.cpus), "memory": f"{memory.request_mib}Mi"},
        "limits": {"cpu": str(options.cpus), "memory": f"{memory.limit_mib}Mi"},
    }


def _server(root: Root, options: DeployOptions, image: str, sleep_s: int) -> Document:
    # The port opens only when every model is loaded, so the status of any one of them tells of all.
    status = {"httpGet": {"path": f"/v1/models/{root.models[0].name}", "port": "rest"}, "timeoutSeconds": 5}
    inside = {"subPath": MOUNT.strip("/")} if options.models_from == "image-volume" else {}
    return {
        "name": "model-server",
        "image": image,
        "command": [SERVER_COMMAND],
        "args": server_flags(root, options),
        "ports": [{"name": "grpc", "containerPort": GRPC_PORT}, {"name": "rest", "containerPort": REST_PORT}],
        "resources": server_resources(root, options),
        "securityContext": container_security(SERVER_USER),
        "startupProbe": {**status, "periodSeconds": 2, "failureThreshold": 300},
        "readinessProbe": {**status, "periodSeconds": 5, "failureThreshold": 2},
        "livenessProbe": {"tcpSocket": {"port": "grpc"}, "periodSeconds": 10, "failureThreshold": 6},
        "lifecycle": _sleep(sleep_s),
        "volumeMounts": [
            {"name": "models", "mountPath": MOUNT, "readOnly": True, **inside},
            {"name": "server-config", "mountPath": CONFIG_DIR, "readOnly": True},
            {"name": "tmp-server", "mountPath": "/tmp"},
        ],
    }


def _proxy(options: DeployOptions) -> Document:
    mounts = [
        {"name": "proxy-config", "mountPath": "/etc/nginx/front", "readOnly": True},
        {"name": "tls", "mountPath": "/etc/nginx/tls", "readOnly": True},
        {"name": "tmp-proxy", "mountPath": "/tmp"},
    ]
    if options.uses_tokens:
        mounts.append({"name": "tokens", "mountPath": "/etc/nginx/tokens", "readOnly": True})
    return {
        "name": "proxy",
        "image": options.proxy_image,
        "command": ["nginx", "-c", "/etc/nginx/front/nginx.conf", "-g", "daemon off;"],
        "ports": [
            {"name": "grpcs", "containerPort": 8443},
            {"name": "https", "containerPort": 8444},
            {"name": "health", "containerPort": HEALTH_PORT},
        ],
        "resources": _PROXY_RESOURCES,
        "securityContext": container_security(PROXY_USER),
        "readinessProbe": {
            "httpGet": {"path": "/readyz", "port": "health"}, "timeoutSeconds": 5, "periodSeconds": 5,
            "failureThreshold": 2,
        },
        "livenessProbe": {
            "httpGet": {"path": "/healthz", "port": "health"},
            "periodSeconds": 10,
            "failureThreshold": 3,
        },
        "lifecycle": _sleep(options.drain_s),
        "volumeMounts": mounts,
    }  # fmt: skip


def _sleep(seconds: int) -> Document:
    return {"preStop": {"exec": {"command": ["/bin/sleep", str(seconds)]}}}


def _models_volume(options: DeployOptions) -> Document:
    sources: Mapping[str, Document] = {
        "pvc": {"persistentVolumeClaim": {"claimName": f"{options.name}-models", "readOnly": True}},
        "init-image": {"emptyDir": {}},
        "image-volume": {"image": {"reference": options.models_image, "pullPolicy": "IfNotPresent"}},
    }
    return {"name": "models", **sources[options.models_from]}


def _copy_models(options: DeployOptions) -> Document:
    return {
        "name": "copy-models",
        "image": options.models_image,
        "command": ["cp", "-R", f"{MOUNT}/.", "/to/"],
        "resources": _COPY_RESOURCES,
        "securityContext": container_security(SERVER_USER),
        "volumeMounts": [{"name": "models", "mountPath": "/to"}],
    }


def _config_volumes(options: DeployOptions) -> list[Document]:
    secrets = [("tls", f"{options.name}-tls")]
    if options.uses_tokens:
        secrets.append(("tokens", f"{options.name}-tokens"))
    return [
        {"name": "server-config", "configMap": {"name": f"{options.name}-server"}},
        {"name": "proxy-config", "configMap": {"name": f"{options.name}-proxy"}},
        *({"name": name, "secret": {"secretName": secret, "defaultMode": 0o440}} for name, secret in secrets),
        {"name": "tmp-server", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}},
        {"name": "tmp-proxy", "emptyDir": {"sizeLimit": f"{64 + 8 * options.max_body_mb}Mi"}},
    ]
