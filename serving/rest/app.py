"""The ASGI application: routes to calls, and what every request passes on its way there and back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from serving.api.service import Origin, Service
from serving.errors import RequestError
from serving.rest import calls, monitoring
from serving.rest.bodies import read_body
from serving.rest.calls import TIMEOUT_S
from serving.rest.connections import LIVE_PATH
from serving.rest.monitoring import Readiness
from serving.rest.paths import parse_path
from serving.rest.responses import (
    CLIENT_CLOSED_REQUEST,
    HEADERS,
    bytes_response,
    error_response,
    json_response,
    message_response,
)
from serving.rest.same_origin import SameOrigin
from serving.rest.turns import Turns
from serving.security.access import Caller
from serving.web.page import Page

__all__ = ["build_app"]

logger = logging.getLogger("serving")

METRICS_PATHS = ("/metrics", "/monitoring/prometheus/metrics")  # the second is TensorFlow Serving's
_BEARER = "bearer "

T = TypeVar("T")
Handler = Callable[[Request], Awaitable[Response]]


def build_app(
    service: Service,
    readiness: Readiness,
    *,
    turns: Turns,
    max_request_bytes: int,
) -> Starlette:
    """The application.

    Args:
        service: answers.
        readiness: told to probes.
        turns: runs the calls, which block.
        max_request_bytes: largest body, before and after inflation.
    """
    handlers = _Handlers(service, readiness, turns, max_request_bytes)
    routes = [
        Route(LIVE_PATH, _guarded(handlers.live)),
        Route("/readyz", _guarded(handlers.ready)),
        *(Route(path, _guarded(handlers.metrics)) for path in METRICS_PATHS),
        Route("/v1/models", _guarded(handlers.models)),
        Route("/v1/stats", _guarded(handlers.totals)),
        *Page.load().routes(),
        Route("/{path:path}", _guarded(handlers.call), methods=["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]),
    ]
    return Starlette(
        routes=routes, middleware=[Middleware(SameOrigin)], exception_handlers={HTTPException: _http_error}
    )


class _Handlers:
    def __init__(self, service: Service, readiness: Readiness, turns: Turns, max_request_bytes: int):
        self._service = service
        self._readiness = readiness
        self._turns = turns
        self._max_request_bytes = max_request_bytes

    async def live(self, request: Request) -> Response:
        return json_response({"live": True})

    async def ready(self, request: Request) -> Response:
        report, ready = monitoring.ready_report(self._service, self._readiness)
        return json_response(report, 200 if ready else 503)

    async def metrics(self, request: Request) -> Response:
        text = await self._report(request, "Metrics", monitoring.metrics_text)
        return Response(text, headers=HEADERS, media_type=monitoring.CONTENT_TYPE)

    async def models(self, request: Request) -> Response:
        return json_response(await self._report(request, "ListModels", monitoring.list_models))

    async def totals(self, request: Request) -> Response:
        return json_response(await self._report(request, "RequestTotals", monitoring.request_totals))

    async def call(self, request: Request) -> Response:
        raw_path = request.scope["raw_path"].decode("latin-1")
        if not raw_path.lower().startswith("/v1/"):
            raise HTTPException(404, f"Nothing is at {raw_path}. The API is under /v1/models, the web page at /.")
        path = parse_path(request.method, raw_path)
        caller, origin = self._who(request, calls.method_name(path))
        body = await read_body(request, max_bytes=self._max_request_bytes) if request.method == "POST" else b""
        return bytes_response(
            await self._turns.run(path.name, TIMEOUT_S, calls.answer, self._service, path, body, caller, origin)
        )

    async def _report(self, request: Request, method: str, report: Callable[[Service, Caller, Origin], T]) -> T:
        return await self._turns.run("", TIMEOUT_S, report, self._service, *self._who(request, method))

    def _who(self, request: Request, method: str) -> tuple[Caller, Origin]:
        origin = _origin(request)
        return self._service.authenticate(origin, method), origin


def _guarded(handler: Handler) -> Handler:
    """`handler`, whose errors become answers."""

    async def guarded(request: Request) -> Response:
        try:
            return await handler(request)
        except RequestError as error:
            return error_response(error)
        except HTTPException as error:
            return _http_error(request, error)
        except ClientDisconnect:
            return Response(status_code=CLIENT_CLOSED_REQUEST)
        except asyncio.CancelledError:  # only the end of the server cancels
            return message_response(503, "The server is going down; the request was cut off.", {"connection": "close"})
        except Exception as error:
            logger.exception("event=internal_error path=%s", request.url.path)
            return message_response(500, f"{type(error).__name__} in {request.url.path}; see the server's log")

    return guarded


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return message_response(error.status_code, error.detail, dict(error.headers or {}))


def _origin(request: Request) -> Origin:
    authorization = request.headers.get("authorization", "")
    token = None
    if authorization[: len(_BEARER)].lower() == _BEARER:
        token = authorization[len(_BEARER) :].strip()
    return Origin(
        transport="rest",
        peer=_peer(request),
        token=token,
        identity=request.scope.get("state", {}).get("identity", ""),
    )


def _peer(request: Request) -> str:
    """The client's address as gRPC writes it, so that limits see one caller on both transports."""
    client = request.client
    if client is None:
        return "unix:"
    if ":" in client.host:
        return f"ipv6:%5B{client.host}%5D:{client.port}"
    return f"ipv4:{client.host}:{client.port}"
