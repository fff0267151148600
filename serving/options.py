"""How a server serves; apart from the server, which needs TensorFlow."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from typing import Literal

from serving.errors import UsageError

__all__ = ["Limits", "LoaderOptions", "ServerOptions", "join_host_port"]

ENGINES = ("auto", "tensorflow", "litert")
BATCHING_MODES = ("natural", "off")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """How large a request may be; a message of a few bytes can claim any size.

    Args:
        max_bytes: largest array built for one input.
        max_batch_size: most rows of an input whose first axis is open.
        max_repeated_bytes: most bytes of one input that repeat its last value instead of being sent.
    """

    max_bytes: int = 256 << 20
    max_batch_size: int = 65_536
    max_repeated_bytes: int = 32 << 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """How to serve.

    Args:
        host: the address to bind.
        port: the port of gRPC; 0 takes a free one.
        rest_port: the port of REST and the web page; 0 takes a free one, None serves neither.
        poll_seconds: pause between two looks at the disk; 0 looks only at the start.
        workers: calls of one model at a time; a core for each by default.
        versions: "all" or "latest", for a root without `models.config`.
        max_message_bytes: largest request, and largest array built from one.
        max_batch_size: most rows in a request.
        max_connections: of gRPC and of REST, each, at a time; more are closed (gRPC) or answered 503 (REST).
        max_connection_idle_s: a gRPC connection without a request for so long is closed; its client opens another when
            it needs one.
        allow_insecure: serve without TLS on an address that other machines reach.
    """

    host: str = "127.0.0.1"
    port: int = 8500
    rest_port: int | None = None
    poll_seconds: float = 2.0
    workers: int = dataclasses.field(default_factory=lambda: os.cpu_count() or 1)
    versions: str = "all"
    max_message_bytes: int = Limits.max_bytes
    max_batch_size: int = Limits.max_batch_size
    max_connections: int = 1024
    max_connection_idle_s: float = 3600.0
    allow_insecure: bool = False

    def __post_init__(self):
        for name in ("workers", "max_message_bytes", "max_batch_size", "max_connections"):
            if getattr(self, name) < 1:
                raise UsageError(f"`{name}` must be at least 1. Received: {name}={getattr(self, name)}.")
        if self.versions not in ("all", "latest"):
            raise UsageError(f"`versions` must be 'all' or 'latest'. Received: versions={self.versions!r}.")
        if self.max_connection_idle_s <= 0:
            raise UsageError(f"`max_connection_idle_s` must be above 0. Received: {self.max_connection_idle_s}.")

    @property
    def limits(self) -> Limits:
        """What one request may hold."""
        return Limits(max_bytes=self.max_message_bytes, max_batch_size=self.max_batch_size)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoaderOptions:
    """How versions are loaded.

    Args:
        engine: "tensorflow" (SavedModels), "litert" (`model.tflite`), or "auto": the SavedModel where there are both.
        require_manifest: refuse a version without the checksums that the zoo writes.
        scan: check a graph's operations before it is loaded, for a SavedModel is code.
        allowed_ops: operations that pass the scan although they do more than compute.
        batching: "natural" answers requests that wait together by one call; "off" answers each by its own.
        batching_file: gather as this file of TensorFlow Serving's says, in place of `batching`.
    """

    engine: Literal["auto", "tensorflow", "litert"] = "auto"
    require_manifest: bool = False
    scan: bool = True
    allowed_ops: frozenset[str] = frozenset()
    batching: str = "natural"
    batching_file: pathlib.Path | None = None

    def __post_init__(self):
        for name, known in (("engine", ENGINES), ("batching", BATCHING_MODES)):
            if getattr(self, name) not in known:
                raise UsageError(f"`{name}` must be one of {', '.join(known)}. Received: {getattr(self, name)!r}.")


def join_host_port(host: str, port: int) -> str:
    """A host and a port as gRPC takes them, an IPv6 address in brackets.

    Example:
        >>> join_host_port("::1", 8500)
        '[::1]:8500'
    """
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"
