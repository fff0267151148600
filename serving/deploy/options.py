"""What an operator can choose about a deployment, checked before anything is read or written."""

from __future__ import annotations

import dataclasses
import re

from serving.errors import UsageError

__all__ = ["GRPC_PORT", "PROXY_IMAGE", "REST_PORT", "DeployOptions"]

GRPC_PORT = 8500
REST_PORT = 8501
PROXY_IMAGE = "nginx:1.30.4-alpine"

_DNS_LABEL = re.compile(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?")
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]*")
_AT_LEAST_ONE = ("cpus", "replicas", "max_body_mb", "requests_per_s", "concurrency", "timeout_s")
_CHOICES = {"auth": ("token", "mtls", "both"), "models_from": ("pvc", "init-image", "image-volume")}


@dataclasses.dataclass(frozen=True, kw_only=True)
class DeployOptions:
    """How to deploy.

    Args:
        name: of the deployment; prefix of everything it consists of.
        namespace: where it runs in Kubernetes.
        image: the model server's image; None takes the tag of the exports' TensorFlow.
        allow_version_skew: take an image older than the exports' TensorFlow.
        proxy_image: an image of nginx.
        cpus: whole processors of one model server.
        replicas: model servers, at the least.
        max_replicas: model servers, at the most, in Kubernetes; None: three times `replicas`.
        auth: who may ask: "token" (bearer tokens), "mtls" (client certificates) or "both".
        batching: gather requests into batches.
        poll_seconds: pause between the server's two looks at the model files.
        max_body_mb: largest request.
        requests_per_s: most requests of one caller in a second.
        concurrency: most requests of one caller at a time.
        timeout_s: longest time for one request.
        drain_s: time from "no new work" to the end, for load balancers to notice.
        models_from: where a pod finds the model files: "pvc", "init-image" or "image-volume".
        models_image: the image that holds them, for the last two.
        clients_from: further namespaces whose pods may ask.
        monitoring_namespace: the namespace whose pods may read the metrics.
        grpc_port: published by compose, with TLS.
        rest_port: published by compose, with TLS.

    Raises:
        UsageError: a value cannot be.
    """

    name: str = "model-server"
    namespace: str = "models"
    image: str | None = None
    allow_version_skew: bool = False
    proxy_image: str = PROXY_IMAGE
    cpus: int = 2
    replicas: int = 2
    max_replicas: int | None = None
    auth: str = "token"
    batching: bool = False
    poll_seconds: int = 5
    max_body_mb: int = 64
    requests_per_s: int = 1000
    concurrency: int = 64
    timeout_s: int = 30
    drain_s: int = 10
    models_from: str = "pvc"
    models_image: str | None = None
    clients_from: tuple[str, ...] = ()
    monitoring_namespace: str = "monitoring"
    grpc_port: int = 8443
    rest_port: int = 8444

    def __post_init__(self):
        for field in _AT_LEAST_ONE:
            if getattr(self, field) < 1:
                raise UsageError(f"`{field}` must be at least 1. Received: {field}={getattr(self, field)}.")
        for field, allowed in _CHOICES.items():
            if getattr(self, field) not in allowed:
                raise UsageError(
                    f"`{field}` must be one of {', '.join(allowed)}. Received: {field}={getattr(self, field)!r}."
                )
        names = [
            ("name", self.name),
            ("namespace", self.namespace),
            ("monitoring_namespace", self.monitoring_namespace),
        ]
        for field, value in [*names, *(("clients_from", value) for value in self.clients_from)]:
            if not _DNS_LABEL.fullmatch(value):
                raise UsageError(
                    f"`{field}` must be a DNS label of at most 40 characters: small letters, digits and `-`, beginning "
                    f"with a letter. Received: {field}={value!r}."
                )
        for field in ("image", "proxy_image", "models_image"):
            value = getattr(self, field)
            if value is not None and not _IMAGE.fullmatch(value):
                raise UsageError(
                    f"`{field}` must be an image such as registry/name:tag or name@sha256:... . "
                    f"Received: {field}={value!r}."
                )
        self._check_together()

    def _check_together(self) -> None:
        if self.most_replicas < self.replicas:
            raise UsageError(
                f"`max_replicas` must be at least `replicas`. Received: max_replicas={self.max_replicas}, "
                f"replicas={self.replicas}."
            )
        if self.models_from != "pvc" and self.models_image is None:
            raise UsageError(
                f"models_from={self.models_from!r} needs `models_image`, an image that holds ROOT under /models; "
                f"the Dockerfile for it: `FROM busybox:1.37.0` and `COPY . /models`."
            )
        if self.models_from == "pvc" and self.models_image is not None:
            raise UsageError("`models_image` has no effect with models_from='pvc'. Choose init-image or image-volume.")
        if self.grpc_port == self.rest_port:
            raise UsageError(f"`grpc_port` and `rest_port` must differ. Received: {self.grpc_port} for both.")

    @property
    def most_replicas(self) -> int:
        """Model servers, at the most."""
        return 3 * self.replicas if self.max_replicas is None else self.max_replicas

    @property
    def uses_tokens(self) -> bool:
        """Whether a caller must show a bearer token."""
        return self.auth in ("token", "both")

    @property
    def uses_client_certificates(self) -> bool:
        """Whether a caller must show a certificate."""
        return self.auth in ("mtls", "both")
