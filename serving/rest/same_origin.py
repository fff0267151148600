"""Refuses what a page of another site sends: it must not use its visitor's browser to reach a server that only the
visitor can reach.
"""

from __future__ import annotations

import urllib.parse

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.rest.responses import message_response

__all__ = ["SameOrigin", "is_foreign"]

_SAFE = ("GET", "HEAD")


class SameOrigin:
    """ASGI middleware; programs, which send no `Origin`, pass.

    Args:
        app: what it stands before.
    """

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in _SAFE:
            headers = Headers(scope=scope)
            if is_foreign(headers.get("origin"), headers.get("host", "")):
                response = message_response(
                    403,
                    f"Requests of other sites' pages are refused. Received: Origin {headers['origin']!r}, Host "
                    f"{headers.get('host', '')!r}. Behind a proxy, let it pass the Host header on as it came.",
                )
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)


def is_foreign(origin: str | None, host: str) -> bool:
    """Whether a browser says that a page from elsewhere asks.

    Args:
        origin: the header; None without.
        host: the header, with its port.

    Example:
        >>> is_foreign("http://localhost:8501", "localhost:8501"), is_foreign("https://a.example", "localhost:8501")
        (False, True)
    """
    return origin is not None and urllib.parse.urlsplit(origin).netloc.lower() != host.lower()
