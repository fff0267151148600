"""The body of a request, never more of it than is allowed, sent or inflated."""

from __future__ import annotations

import asyncio
import zlib

from starlette.exceptions import HTTPException
from starlette.requests import Request

__all__ = ["read_body"]

TIMEOUT_S = 60.0
_GZIP = 16 + zlib.MAX_WBITS


async def read_body(request: Request, *, max_bytes: int) -> bytes:
    """The bytes of the body; inflated where it comes in gzip.

    Args:
        request: any.
        max_bytes: most bytes, before and after inflation.

    Raises:
        HTTPException: 413 for a body that is too large, 408 for one that does not come, 415 for another encoding, 400
            for bytes that are no gzip.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > max_bytes:
        raise _too_large(max_bytes)
    parts, size = [], 0
    try:
        async with asyncio.timeout(TIMEOUT_S):
            async for part in request.stream():
                size += len(part)
                if size > max_bytes:
                    raise _too_large(max_bytes)
                parts.append(part)
    except TimeoutError:
        raise HTTPException(
            408, f"The body did not come within {TIMEOUT_S:g} s; {size} bytes of it did.", {"connection": "close"}
        ) from None
    body = b"".join(parts)
    encoding = request.headers.get("content-encoding", "identity").lower()
    if encoding == "identity":
        return body
    if encoding != "gzip":
        raise HTTPException(415, f"The content-encoding must be gzip or none. Received: {encoding!r}.")
    return _inflated(body, max_bytes)


def _inflated(body: bytes, max_bytes: int) -> bytes:
    inflate = zlib.decompressobj(_GZIP)
    try:
        inflated = inflate.decompress(body, max_bytes + 1)
    except zlib.error as error:
        raise HTTPException(400, f"The body is no gzip: {error}.") from None
    if len(inflated) > max_bytes:
        raise _too_large(max_bytes)
    if not inflate.eof:
        raise HTTPException(400, "The body is no gzip: it is cut off.")
    return inflated


def _too_large(max_bytes: int) -> HTTPException:
    return HTTPException(
        413,
        f"A body must hold at most {max_bytes} bytes. Send smaller batches, or start the server with a larger "
        f"`--max-message-bytes`.",
    )
