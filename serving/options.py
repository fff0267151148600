"""How a server serves; apart from the server, which needs TensorFlow."""

from __future__ import annotations

import dataclasses

from serving.errors import UsageError

__all__ = ["Limits", "ServerOptions", "join_host_port"]


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
        port: the port to bind; 0 takes a free one.
        poll_seconds: pause between two looks at the disk; 0 looks only at the start.
        workers: requests worked on at a time.
        versions: "all" or "latest", for a root without `models.config`.
        max_message_bytes: largest request, and largest array built from one.
        max_batch_size: most rows in a request.
    """

    host: str = "127.0.0.1"
    port: int = 8500
    poll_seconds: float = 2.0
    workers: int = 4
    versions: str = "all"
    max_message_bytes: int = Limits.max_bytes
    max_batch_size: int = Limits.max_batch_size

    def __post_init__(self):
        for name in ("workers", "max_message_bytes", "max_batch_size"):
            if getattr(self, name) < 1:
                raise UsageError(f"`{name}` must be at least 1. Received: {name}={getattr(self, name)}.")
        if self.versions not in ("all", "latest"):
            raise UsageError(f"`versions` must be 'all' or 'latest'. Received: versions={self.versions!r}.")

    @property
    def limits(self) -> Limits:
        """What one request may hold."""
        return Limits(max_bytes=self.max_message_bytes, max_batch_size=self.max_batch_size)


def join_host_port(host: str, port: int) -> str:
    """A host and a port as gRPC takes them, an IPv6 address in brackets.

    Example:
        >>> join_host_port("::1", 8500)
        '[::1]:8500'
    """
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"
