"""grpc.health.v1 whose watchers do not hold up a server that is going down."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2

__all__ = ["NOT_SERVING", "SERVICE_NAME", "SERVING", "DrainableHealth"]

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE_NAME = health.SERVICE_NAME


class DrainableHealth(health.HealthServicer):
    """The standard servicer, not healthy before `set` says so, and an end for its `Watch` streams.

    A stream lives until its client goes, and a stopping gRPC server waits for streams: one watching load balancer would
    use up the whole grace period.
    """

    def __init__(self):
        super().__init__(experimental_non_blocking=True)
        self.set("", NOT_SERVING)
        self._streams: set[Callable[[Any], None]] = set()

    def Watch(  # noqa: N802
        self, request: Any, context: grpc.ServicerContext, send_response_callback: Callable[[Any], None] | None = None
    ) -> Any:
        """Stream the status of a service."""
        if send_response_callback is not None:
            self._streams.add(send_response_callback)
            context.add_callback(lambda: self._streams.discard(send_response_callback))
        return super().Watch(request, context, send_response_callback)

    def drain(self) -> None:
        """Tell every watcher NOT_SERVING, then end its stream."""
        self.enter_graceful_shutdown()
        for end in list(self._streams):
            end(None)
