"""gRPC reflection whose streams do not hold up a server that is going down."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import Any

from grpc_reflection.v1alpha import reflection

__all__ = ["SERVICE_NAME", "DrainableReflection"]

SERVICE_NAME = reflection.SERVICE_NAME


class DrainableReflection(reflection.ReflectionServicer):
    """The standard servicer, and an end for its streams, which otherwise live until the client closes them.

    Args:
        service_names: the services shown.
    """

    def __init__(self, service_names: tuple[str, ...]):
        super().__init__(service_names)
        self._lock = threading.Lock()
        self._streams: set[Any] = set()
        self._draining = False

    def ServerReflectionInfo(  # noqa: N802
        self, request_iterator: Iterable[Any], context: Any
    ) -> Iterator[Any]:
        """Answer the requests of one stream."""
        with self._lock:
            if self._draining:
                return
            self._streams.add(context)
        try:
            yield from super().ServerReflectionInfo(request_iterator, context)
        finally:
            with self._lock:
                self._streams.discard(context)

    def drain(self) -> None:
        """End every stream; its client sees CANCELLED."""
        with self._lock:
            self._draining = True
            streams = list(self._streams)
        for stream in streams:
            stream.cancel()
