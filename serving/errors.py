"""Every error `serving` raises, on both sides of the wire.

Three families. `RequestError` is the answer to one request: it carries the gRPC code, is raised by the server's own
rooms to be sent and by `serving.Client` when received. `UsageError` means that the caller asked for something that
cannot be (exit status 2 on the command line). Any other `ServingError` means that the work failed (exit status 1).
"""

from __future__ import annotations

import grpc

__all__ = [
    "DeadlineError",
    "InvalidInputError",
    "ModelLoadError",
    "NotFoundError",
    "PreconditionError",
    "RequestError",
    "ServerStartError",
    "ServingError",
    "UnavailableError",
    "UnsupportedError",
    "UsageError",
    "error_for",
]


class ServingError(Exception):
    """Base of every error raised on purpose by `serving`."""


class UsageError(ServingError):
    """An argument, path or file given by the caller is wrong; nothing was done."""


class ServerStartError(ServingError):
    """The server cannot start: its port is taken, for one."""


class ModelLoadError(ServingError):
    """One version directory cannot be served; the others are not touched.

    Args:
        message: the reason, as `GetModelStatus` shows it.
        code: the gRPC code shown there.
    """

    def __init__(self, message: str, code: grpc.StatusCode = grpc.StatusCode.DATA_LOSS):
        super().__init__(message)
        self.code = code


class RequestError(ServingError):
    """A request was answered by an error.

    Args:
        code: the gRPC status code.
        details: the text that travels over the wire.
        hint: what the caller can do, appended to the text in `str(error)` and never sent.
    """

    def __init__(self, code: grpc.StatusCode, details: str, hint: str = ""):
        super().__init__(f"{details} {hint}".strip())
        self.code = code
        self.details = details


class InvalidInputError(RequestError):
    """The request does not fit the model (`INVALID_ARGUMENT`)."""

    def __init__(self, details: str, hint: str = ""):
        super().__init__(grpc.StatusCode.INVALID_ARGUMENT, details, hint)


class NotFoundError(RequestError):
    """The server has no such model or version (`NOT_FOUND`)."""

    def __init__(self, details: str, hint: str = ""):
        super().__init__(grpc.StatusCode.NOT_FOUND, details, hint)


class PreconditionError(RequestError):
    """The model has no such signature (`FAILED_PRECONDITION`)."""

    def __init__(self, details: str, hint: str = ""):
        super().__init__(grpc.StatusCode.FAILED_PRECONDITION, details, hint)


class UnsupportedError(RequestError):
    """The server does not offer the call (`UNIMPLEMENTED`)."""

    def __init__(self, details: str, hint: str = ""):
        super().__init__(grpc.StatusCode.UNIMPLEMENTED, details, hint)


class UnavailableError(RequestError):
    """No server answers at the address, or it is going down (`UNAVAILABLE`)."""

    def __init__(self, details: str, hint: str = ""):
        super().__init__(grpc.StatusCode.UNAVAILABLE, details, hint)


class DeadlineError(RequestError):
    """No answer within `timeout_s` (`DEADLINE_EXCEEDED`)."""

    def __init__(self, details: str, hint: str = ""):
        super().__init__(grpc.StatusCode.DEADLINE_EXCEEDED, details, hint)


_BY_CODE = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidInputError,
    grpc.StatusCode.NOT_FOUND: NotFoundError,
    grpc.StatusCode.FAILED_PRECONDITION: PreconditionError,
    grpc.StatusCode.UNIMPLEMENTED: UnsupportedError,
    grpc.StatusCode.UNAVAILABLE: UnavailableError,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineError,
}


def error_for(code: grpc.StatusCode, details: str, hint: str = "") -> RequestError:
    """The typed error of a gRPC code; a plain `RequestError` for a code without a class of its own."""
    known = _BY_CODE.get(code)
    return known(details, hint) if known else RequestError(code, details, hint)
