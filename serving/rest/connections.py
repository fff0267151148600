"""One connection of HTTP, with an end to every wait that a client can cause."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from serving.rest.responses import message_response

__all__ = ["LIVE_PATH", "Connection"]

HEAD_TIMEOUT_S = 20.0  # from a connection, or the first byte of a request, to the end of its head
CROWDED_HEAD_TIMEOUT_S = 1.0  # the same for connections beyond the limit, which are answered 503
LIVE_PATH = "/livez"
WRITE_TIMEOUT_S = 60.0  # of a client that does not read its answer


class Connection(H11Protocol):
    """Uvicorn's, which waits for ever for a head to come and for an answer to be read.

    Whoever only opens connections, or sends and reads a byte now and then, would take up all that are allowed.
    """

    _head_timer: asyncio.TimerHandle | None = None
    _write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if identity := _common_name(transport.get_extra_info("peercert")):
            self.app_state = {**self.app_state, "identity": identity}
        limit, self.limit_concurrency = self.limit_concurrency, None
        crowded = limit is not None and len(self.connections) > limit
        if crowded:
            self.app = _crowded(self.app)  # uvicorn would refuse on the connections that were there before, too
        self._await_head(CROWDED_HEAD_TIMEOUT_S if crowded else HEAD_TIMEOUT_S)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_timer("_head_timer")
        elif self._head_timer is None:
            self._await_head(HEAD_TIMEOUT_S)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer("_head_timer")
        self._stop_timer("_write_timer")
        super().connection_lost(exc)
        self._unset_keepalive_if_required()

    def on_response_complete(self) -> None:
        self._stop_timer("_head_timer")
        super().on_response_complete()
        if self.transport.is_closing() and self.transport.get_write_buffer_size():
            self._await_reader()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._await_reader()

    def resume_writing(self) -> None:
        self._stop_timer("_write_timer")
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        if self.transport.get_write_buffer_size():
            self.transport.abort()  # what was not read in all that time will not be

    def _await_head(self, seconds: float) -> None:
        self._head_timer = self.loop.call_later(seconds, self.transport.abort)

    def _await_reader(self) -> None:
        if self._write_timer is None:
            self._write_timer = self.loop.call_later(WRITE_TIMEOUT_S, self.transport.abort)

    def _stop_timer(self, name: str) -> None:
        timer: asyncio.TimerHandle | None = getattr(self, name)
        if timer is not None:
            timer.cancel()
            setattr(self, name, None)


def _crowded(app: Any) -> ASGIApp:
    """What answers on a connection beyond the limit: a busy server lives, so that nobody need restart it."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == LIVE_PATH:
            await app(scope, receive, send)
            return
        headers = {"retry-after": "1", "connection": "close"}
        response = message_response(503, "The server has as many connections as it takes. Try again later.", headers)
        await response(scope, receive, send)

    return answer


def _common_name(certificate: Any) -> str:
    """Of a client's certificate as `ssl` shows it; "" without one."""
    names = [value for part in (certificate or {}).get("subject", ()) for key, value in part if key == "commonName"]
    return names[0] if names else ""
