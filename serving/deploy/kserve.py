"""Manifests for KServe: a runtime with the pinned image, and one InferenceService for each model."""

from __future__ import annotations

import re
from typing import Any

from serving.deploy.files import Files, yaml_text
from serving.deploy.images import is_stock
from serving.deploy.options import DeployOptions
from serving.deploy.pod import SERVER_COMMAND, SERVER_USER, container_security, labels
from serving.deploy.root import Model, Root
from serving.deploy.sizing import grpc_threads, memory_of
from serving.deploy.storage import storage_documents
from serving.deploy.templates import render
from serving.errors import UsageError

__all__ = ["kserve_files", "kserve_warnings"]

_REST_PORT = 8080  # where KServe looks for it
_GRPC_PORT = 9000

Document = dict[str, Any]


def kserve_files(root: Root, options: DeployOptions, image: str) -> Files:
    """The files by name.

    Args:
        root: the models.
        options: the operator's choices.
        image: the model server's image.

    Raises:
        UsageError: two models would get the same name in the cluster.
    """
    names = [service_name(model.name) for model in root.models]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(
            f"Two models would be named {', '.join(repeated)} in the cluster, where names have small letters, digits "
            f"and `-` alone. Rename one of them: {', '.join(model.name for model in root.models)}."
        )
    files = {
        "runtime.yaml": yaml_text(_runtime(options, image)),
        **{name: yaml_text(*found) for name, found in storage_documents(root, options, image).items()},
        **{
            f"{name}.yaml": yaml_text(_service(name, model, options, image))
            for name, model in zip(names, root.models, strict=True)
        },
    }
    services = list(zip(names, root.models, strict=True))
    files["README.md"] = render("kserve.md.j2", root=root, options=options, image=image, services=services)
    return files


def kserve_warnings(root: Root) -> list[str]:
    """What a root asks for and KServe cannot do."""
    warnings = []
    for model in root.models:
        if len(model.versions) > 1:
            others = ", ".join(str(version.number) for version in model.versions[:-1])
            warnings.append(
                f"{model.name}: KServe serves the newest version alone, {model.versions[-1].number}, not {others}."
            )
        if model.entry.labels:
            warnings.append(f"{model.name}: KServe has no labels: {', '.join(sorted(model.entry.labels))}.")
    return warnings


def service_name(model: str) -> str:
    """A DNS label for a model's name.

    Example:
        >>> service_name("Conv2D_v1.5")
        'conv2d-v1-5'
    """
    name = re.sub(r"[^a-z0-9]+", "-", model.lower()).strip("-")
    return (name if name[:1].isalpha() else f"m-{name}")[:40].rstrip("-")


def _runtime(options: DeployOptions, image: str) -> Document:
    args = [
        f"--port={_GRPC_PORT}",
        f"--rest_api_port={_REST_PORT}",
        "--model_base_path=/mnt/models",
        f"--rest_api_timeout_in_ms={1000 * options.timeout_s}",
        f"--grpc_max_threads={grpc_threads(options)}",
        "--tensorflow_intra_op_parallelism=1",
        f"--tensorflow_inter_op_parallelism={options.cpus}",
        f"--file_system_poll_wait_seconds={options.poll_seconds}",
    ]
    container = {
        "name": "kserve-container",
        "image": image,
        "command": [SERVER_COMMAND],
        "args": args,
        "ports": [{"containerPort": _REST_PORT, "protocol": "TCP"}],
        "resources": {
            "requests": {"cpu": str(options.cpus), "memory": "1Gi"},
            "limits": {"cpu": str(options.cpus), "memory": "2Gi"},
        },
        "securityContext": container_security(SERVER_USER),
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ServingRuntime",
        "metadata": {"name": options.name, "namespace": options.namespace, "labels": labels(options)},
        "spec": {
            # No `autoSelect`: only services that name this runtime get it.
            "supportedModelFormats": [{"name": "tensorflow", "version": "2"}],
            "protocolVersions": ["v1", "grpc-v1"],
            "containers": [container],
            "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}}],
        },
    }


def _service(name: str, model: Model, options: DeployOptions, image: str) -> Document:
    memory = memory_of([model.versions[-1]], max_body_mb=options.max_body_mb)
    predictor = {
        "minReplicas": options.replicas,
        "maxReplicas": options.most_replicas,
        "scaleMetric": "cpu",
        "scaleTarget": 70,
        "timeout": options.timeout_s,
        "automountServiceAccountToken": False,
        **({"nodeSelector": {"kubernetes.io/arch": "amd64"}} if is_stock(image) else {}),
        "model": {
            "modelFormat": {"name": "tensorflow", "version": "2"},
            "runtime": options.name,
            "protocolVersion": "v1",
            "storageUri": f"pvc://{options.name}-models/{model.path}",
            "args": [f"--model_name={model.name}"],  # joined to those of the runtime
            "resources": {
                "requests": {"cpu": str(options.cpus), "memory": f"{memory.request_mib}Mi"},
                "limits": {"cpu": str(options.cpus), "memory": f"{memory.limit_mib}Mi"},
            },
            "readinessProbe": {
                "httpGet": {"path": f"/v1/models/{model.name}", "port": _REST_PORT},
                "periodSeconds": 5,
                "failureThreshold": 60,
            },
        },
    }
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": name,
            "namespace": options.namespace,
            "labels": {**labels(options), "app.kubernetes.io/component": name},
            "annotations": {"serving.kserve.io/deploymentMode": "RawDeployment"},
        },
        "spec": {"predictor": predictor},
    }
