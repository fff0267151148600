"""Manifests for Kubernetes: pods of a model server with an nginx beside it, and what keeps them up and apart."""

from __future__ import annotations

import hashlib
from typing import Any

from serving.deploy.files import Files, yaml_text
from serving.deploy.nginx import HEALTH_PORT, Upstream, front_for
from serving.deploy.options import GRPC_PORT, REST_PORT, DeployOptions
from serving.deploy.pod import labels, pod_spec
from serving.deploy.root import Root
from serving.deploy.sizing import batching_file, monitoring_file
from serving.deploy.storage import storage_documents
from serving.deploy.templates import render

__all__ = ["kubernetes_files"]

Document = dict[str, Any]


def kubernetes_files(root: Root, options: DeployOptions, image: str) -> Files:
    """The files by name; those in sub-directories are applied apart.

    Args:
        root: the models.
        options: the operator's choices.
        image: the model server's image.
    """
    configs = [_server_config(root, options), _proxy_config(root, options)]
    documents = {
        "service-account.yaml": [_service_account(options)],
        "config.yaml": configs,
        "deployment.yaml": [_deployment(root, options, image, configs)],
        "service.yaml": [_headless_service(options), _service(options)],
        "autoscaler.yaml": [_autoscaler(options)],
        "disruption-budget.yaml": [_disruption_budget(options)],
        "network-policy.yaml": [_network_policy(options)],
        "monitoring/pod-monitor.yaml": [_pod_monitor(options)],
    }
    if options.models_from == "pvc":
        documents |= storage_documents(root, options, image)
    files = {name: yaml_text(*found) for name, found in documents.items()}
    files["README.md"] = render("kubernetes.md.j2", root=root, options=options, image=image, models=root.models)
    return files


def _meta(options: DeployOptions, name: str, **more: Any) -> Document:
    return {"name": name, "namespace": options.namespace, "labels": labels(options), **more}


def _service_account(options: DeployOptions) -> Document:
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": _meta(options, options.name),
        "automountServiceAccountToken": False,
    }


def _server_config(root: Root, options: DeployOptions) -> Document:
    data = {"models.config": root.config, "monitoring.config": monitoring_file()}
    if options.batching:
        data["batching.config"] = batching_file(options)
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _meta(options, f"{options.name}-server"), "data": data}


def _proxy_config(root: Root, options: DeployOptions) -> Document:
    beside = Upstream(grpc=f"127.0.0.1:{GRPC_PORT}", rest=f"127.0.0.1:{REST_PORT}")
    front = front_for(options, [beside], root.models[0].name, resolver=None)
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _meta(options, f"{options.name}-proxy"),
        "data": {"nginx.conf": front.render()},
    }


def _checksum(configs: list[Document]) -> str:
    """Of what is read only at the start, so that a change brings new pods; models.config is read again by itself."""
    texts = [text for config in configs for name, text in sorted(config["data"].items()) if name != "models.config"]
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def _deployment(root: Root, options: DeployOptions, image: str, configs: list[Document]) -> Document:
    annotations = {
        "checksum/config": _checksum(configs),
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(HEALTH_PORT),
        "prometheus.io/path": "/metrics",
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _meta(options, options.name),
        "spec": {
            # No `replicas`: applying the file again would undo what the autoscaler decided.
            "revisionHistoryLimit": 5,
            "progressDeadlineSeconds": 900,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "selector": {"matchLabels": labels(options)},
            "template": {
                "metadata": {"labels": labels(options), "annotations": annotations},
                "spec": pod_spec(root, options, image),
            },
        },
    }


def _ports(**ports: int) -> list[Document]:
    protocols = {"grpcs": "grpc", "https": "https"}  # what a mesh or a gateway should take them for
    return [
        {"name": name, "port": port, "targetPort": name}
        | ({"appProtocol": protocols[name]} if name in protocols else {})
        for name, port in ports.items()
    ]


def _headless_service(options: DeployOptions) -> Document:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _meta(options, f"{options.name}-headless"),
        "spec": {
            "clusterIP": "None",
            "selector": labels(options),
            "ports": _ports(grpcs=8443, https=8444, health=HEALTH_PORT),
        },
    }


def _service(options: DeployOptions) -> Document:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _meta(options, options.name),
        "spec": {"type": "ClusterIP", "selector": labels(options), "ports": _ports(grpcs=8443, https=8444)},
    }


def _autoscaler(options: DeployOptions) -> Document:
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": _meta(options, options.name),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": options.name},
            "minReplicas": options.replicas,
            "maxReplicas": options.most_replicas,
            "metrics": [
                {"type": "Resource", "resource": {"name": "cpu", "target": _average(70)}},
            ],
            "behavior": {
                "scaleUp": {"policies": [{"type": "Percent", "value": 100, "periodSeconds": 30}]},
                "scaleDown": {
                    "stabilizationWindowSeconds": 300,
                    "policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}],
                },
            },
        },
    }


def _average(percent: int) -> Document:
    return {"type": "Utilization", "averageUtilization": percent}


def _disruption_budget(options: DeployOptions) -> Document:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": _meta(options, options.name),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": labels(options)}},
    }


def _network_policy(options: DeployOptions) -> Document:
    """Callers reach nginx alone, monitoring the metrics alone; nothing goes out. A node's probes always get in."""
    callers: list[Document] = [{"podSelector": {}}, *(_namespace(name) for name in options.clients_from)]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": _meta(options, options.name),
        "spec": {
            "podSelector": {"matchLabels": labels(options)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                {"from": callers, "ports": [_tcp("grpcs"), _tcp("https")]},
                {"from": [_namespace(options.monitoring_namespace)], "ports": [_tcp("health")]},
            ],
            "egress": [],
        },
    }


def _namespace(name: str) -> Document:
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}


def _tcp(port: str) -> Document:
    return {"protocol": "TCP", "port": port}


def _pod_monitor(options: DeployOptions) -> Document:
    """For a cluster with the Prometheus operator; others go by the annotations of the pods."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": _meta(options, options.name),
        "spec": {
            "selector": {"matchLabels": labels(options)},
            "podMetricsEndpoints": [{"port": "health", "path": "/metrics", "interval": "15s"}],
        },
    }
