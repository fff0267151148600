"""How a server serves; apart from the server, which needs TensorFlow."""

from __future__ import annotations

import dataclasses

from serving.errors import UsageError

__all__ = ["ServerOptions"]


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
    """

    host: str = "127.0.0.1"
    port: int = 8500
    poll_seconds: float = 2.0
    workers: int = 4
    versions: str = "all"
    max_message_bytes: int = 256 << 20

    def __post_init__(self):
        if self.workers < 1:
            raise UsageError(f"`workers` must be at least 1. Received: workers={self.workers}.")
        if self.versions not in ("all", "latest"):
            raise UsageError(f"`versions` must be 'all' or 'latest'. Received: versions={self.versions!r}.")
