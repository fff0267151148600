"""The nginx in front of model servers: TLS, who may ask, limits, retries on the next server, log without payloads."""

from __future__ import annotations

import dataclasses
import re

from serving.deploy.options import DeployOptions
from serving.deploy.sizing import METRICS_PATH
from serving.deploy.templates import render
from serving.errors import UsageError

__all__ = ["HEALTH_PORT", "RESOLVES", "Front", "Upstream", "front_for", "quoted", "version_of_image"]

HEALTH_PORT = 9113
RESOLVES = (1, 27, 3)  # since then a server's name can be looked up again and again
_ADDRESS = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*:[0-9]{1,5}")
_NEWEST = (99, 0, 0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Upstream:
    """One model server: its addresses for gRPC and REST as host:port."""

    grpc: str
    rest: str

    def __post_init__(self):
        for address in (self.grpc, self.rest):
            if not _ADDRESS.fullmatch(address):
                raise UsageError(f"A server's address must be host:port. Received: {address!r}.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Front:
    """One nginx.

    Args:
        upstreams: the servers behind it.
        ready_model: the model whose status says that the servers are ready.
        uses_tokens: ask for a bearer token.
        uses_client_certificates: ask for a certificate.
        version: of nginx.
        resolver: a name server to ask for the upstreams' names again and again; None reads them once.
        listen: the address to listen on.
        grpc_port: with TLS.
        rest_port: with TLS.
        health_port: without TLS, for probes and metrics.
        workers: processes, or "auto".
        max_body_mb: largest request.
        requests_per_s: of one caller.
        concurrency: of one caller.
        timeout_s: for one request.
        state_dir: a directory that it may write to.
        tls_dir: holds tls.crt, tls.key and, for client certificates, ca.crt.
        tokens_file: lines of `"Bearer <token>" "<caller>";`.
        access_log: a path.
        error_log: a path, or "stderr".
    """

    upstreams: tuple[Upstream, ...]
    ready_model: str
    uses_tokens: bool = True
    uses_client_certificates: bool = False
    version: tuple[int, ...] = _NEWEST
    resolver: str | None = None
    listen: str = "0.0.0.0"
    grpc_port: int = 8443
    rest_port: int = 8444
    health_port: int = HEALTH_PORT
    workers: int | str = "auto"
    max_body_mb: int = 64
    requests_per_s: int = 1000
    concurrency: int = 64
    timeout_s: int = 30
    state_dir: str = "/tmp"
    tls_dir: str = "/etc/nginx/tls"
    tokens_file: str = "/etc/nginx/tokens/tokens.map"
    access_log: str = "/dev/stdout"
    error_log: str = "stderr"

    def __post_init__(self):
        if not self.upstreams:
            raise UsageError("An nginx in front needs at least one server behind it. Received: none.")
        if not (self.uses_tokens or self.uses_client_certificates):
            raise UsageError("An nginx in front must ask for tokens or client certificates. Received: neither.")

    def render(self) -> str:
        """The text of `nginx.conf`."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return render(
            "nginx.conf.j2",
            **values,
            has_http2_directive=self.version >= (1, 25, 1),  # before, it was a parameter of `listen`
            metrics_path=METRICS_PATH,
            quoted=quoted,
        )


def front_for(options: DeployOptions, upstreams: list[Upstream], ready_model: str, resolver: str | None) -> Front:
    """The nginx of a deployment, with the ports and paths of its container."""
    return Front(
        upstreams=tuple(upstreams),
        ready_model=ready_model,
        uses_tokens=options.uses_tokens,
        uses_client_certificates=options.uses_client_certificates,
        version=version_of_image(options.proxy_image),
        resolver=resolver,
        workers=options.cpus,
        max_body_mb=options.max_body_mb,
        requests_per_s=options.requests_per_s,
        concurrency=options.concurrency,
        timeout_s=options.timeout_s,
    )


def version_of_image(reference: str) -> tuple[int, ...]:
    """The version that a tag begins with; a newest one where it does not.

    Example:
        >>> version_of_image("nginx:1.24.0-alpine")
        (1, 24, 0)
    """
    tag = reference.split("@")[0].rpartition(":")[2]
    found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", tag)
    return tuple(int(part or 0) for part in found.groups()) if found else _NEWEST


def quoted(text: str) -> str:
    """`text` as one argument of a directive.

    Raises:
        UsageError: `text` holds what cannot be written there: `$` begins a variable wherever it stands.
    """
    if "$" in text or not text.isprintable():
        raise UsageError(f"A name or path in nginx's configuration must not hold `$` or control characters. {text!r}")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
