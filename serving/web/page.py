"""The page and its files, read once; nothing else of the disk can be asked for."""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

__all__ = ["CONTENT_SECURITY_POLICY", "Page"]

STATIC = pathlib.Path(__file__).parent / "static"
INDEX = "index.html"
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "permissions-policy": "microphone=(self), camera=(), geolocation=()",
    "cache-control": "no-cache",  # asked for anew each time, and answered 304 while it is the same
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class _File:
    content: bytes
    headers: Mapping[str, str]


class Page:
    """The files by name.

    Args:
        files: their contents by name; `index.html` is the page itself.
    """

    def __init__(self, files: Mapping[str, bytes]):
        self._files = {name: _file(name, content) for name, content in files.items()}

    @classmethod
    def load(cls, directory: pathlib.Path = STATIC) -> Page:
        """The page in a directory."""
        return cls({path.name: path.read_bytes() for path in sorted(directory.iterdir()) if path.suffix in _TYPES})

    def routes(self) -> list[Route]:
        """`/`, and `/static/NAME` for each file."""
        return [
            Route("/", self._endpoint(INDEX)),
            *(Route(f"/static/{name}", self._endpoint(name)) for name in self._files if name != INDEX),
        ]

    def _endpoint(self, name: str):
        file = self._files[name]

        async def endpoint(request: Request) -> Response:
            if request.headers.get("if-none-match") == file.headers["etag"]:
                return Response(status_code=304, headers=dict(file.headers))
            return Response(file.content, headers=dict(file.headers))

        return endpoint


def _file(name: str, content: bytes) -> _File:
    kind = _TYPES[pathlib.PurePath(name).suffix]
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    return _File(content=content, headers={**_HEADERS, "content-type": f"{kind}; charset=utf-8", "etag": etag})
