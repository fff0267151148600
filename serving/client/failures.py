"""What went wrong with a request, as a typed error that says what can be done."""

from __future__ import annotations

from typing import Any

import grpc

from serving.errors import RequestError, error_for

__all__ = ["is_answer", "is_final", "typed_error"]

# What gRPC writes when a handshake fails -> what that means. No later attempt can do better.
_TLS_FAILURES = {
    "CERTIFICATE_VERIFY_FAILED": (
        "The certificate of {address} is not trusted or has expired. Name the file of the CA that signed it: "
        "`tls=TLS(ca=...)`, or `--ca FILE`."
    ),
    "Hostname Verification Check failed": (
        "The certificate of {address} is valid for another name. Connect by that name, or give it: "
        "`tls=TLS(server_name=...)`."
    ),
    "WRONG_VERSION_NUMBER": "The server at {address} does not speak TLS: leave `tls` out.",
    "Failed to create security handshaker": "The certificate or key given for TLS cannot be used.",
}
_CLOSED = (
    "The server at {address} closed the connection at once. It may want TLS (`tls=TLS(ca=...)`, `--ca FILE`), or a "
    "certificate of the client (`tls=TLS(ca=..., cert=..., key=...)`, `--cert FILE --key FILE`)."
)
_BUSY = "The server at {address} has more to do than it can queue; send less at a time, or give it more time."
_HINTS = {
    grpc.StatusCode.UNAVAILABLE: "No answer from {address}. Is a server running there? Start one: serving serve ROOT",
    grpc.StatusCode.DEADLINE_EXCEEDED: (
        "No answer from {address} in time; raise `timeout_s`, or send a smaller batch."
    ),
    grpc.StatusCode.NOT_FOUND: "`serving status {address} NAME` shows the versions of a model.",
    grpc.StatusCode.UNAUTHENTICATED: "The server at {address} wants a token that it knows: `token=...`, or `--token`.",
}
_OURS = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)


def is_answer(error: Any) -> bool:
    """Whether a `grpc.RpcError` came from a server, and not from finding none."""
    return error.code() not in _OURS


def is_final(error: Any) -> bool:
    """Whether a `grpc.RpcError` will be the same when the request is sent again."""
    return error.code() is not grpc.StatusCode.UNAVAILABLE or _tls_failure(error.details() or "") is not None


def typed_error(error: Any, address: str) -> RequestError:
    """The error of `serving.errors` for a `grpc.RpcError` of the server at `address`."""
    code, details = error.code(), error.details() or ""
    hint = _HINTS.get(code)
    if code is grpc.StatusCode.UNAVAILABLE:
        closed = _CLOSED if details.startswith("failed to connect") and "Socket closed" in details else None
        busy = _BUSY if "queue" in details else None
        hint = _tls_failure(details) or closed or busy or hint
    return error_for(code, details, f"({hint.format(address=address)})" if hint else "")


def _tls_failure(details: str) -> str | None:
    return next((meaning for sign, meaning in _TLS_FAILURES.items() if sign in details), None)
