"""HTTP answers: JSON, and errors as TensorFlow Serving writes and numbers them."""

from __future__ import annotations

import json
import math
from typing import Any

import grpc
from starlette.responses import Response

from serving.errors import RequestError

__all__ = ["HEADERS", "bytes_response", "error_response", "json_response", "message_response", "status_of"]

Code = grpc.StatusCode
HEADERS = {"x-content-type-options": "nosniff", "cache-control": "no-store"}
CLIENT_CLOSED_REQUEST = 499

_STATUSES = {
    Code.OK: 200,
    Code.CANCELLED: CLIENT_CLOSED_REQUEST,
    Code.INVALID_ARGUMENT: 400,
    Code.FAILED_PRECONDITION: 400,  # not 412, which in HTTP is about conditional requests
    Code.OUT_OF_RANGE: 400,
    Code.UNAUTHENTICATED: 401,
    Code.PERMISSION_DENIED: 403,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.ABORTED: 409,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.UNIMPLEMENTED: 501,
    Code.UNAVAILABLE: 503,
    Code.DEADLINE_EXCEEDED: 504,
}


def status_of(code: grpc.StatusCode) -> int:
    """The HTTP status that TensorFlow Serving answers where gRPC's code is `code`."""
    return _STATUSES.get(code, 500)


def bytes_response(content: bytes, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """JSON text that is there already."""
    return Response(content, status, {**HEADERS, **(headers or {})}, media_type="application/json")


def json_response(document: Any, status: int = 200) -> Response:
    """A document as JSON."""
    return bytes_response(json.dumps(document, allow_nan=False).encode(), status)


def error_response(error: RequestError) -> Response:
    """The answer to a request that failed, with what the caller can do about it in the headers."""
    headers = {}
    retry_after_s = getattr(error, "retry_after_s", None)
    if retry_after_s is not None:
        headers["retry-after"] = str(max(math.ceil(retry_after_s), 1))
    if error.code is Code.UNAUTHENTICATED:
        headers["www-authenticate"] = "Bearer"
    return message_response(status_of(error.code), error.details, headers)


def message_response(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    """An error of HTTP itself, in the same form."""
    return bytes_response(json.dumps({"error": message}).encode(), status, headers)
