"""gRPC to `Service` and back: bytes in, bytes out, and errors as gRPC statuses."""

from __future__ import annotations

import concurrent.futures
import logging
from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from serving import deadlines
from serving.api.service import METHODS, Method, Origin, Service
from serving.errors import InvalidInputError, RequestError
from serving.published import MODEL_SERVICE, PREDICTION_SERVICE
from serving.rpc.pools import PooledMethod
from serving.rpc.unsent import UnsentAnswers
from serving.security.access import Right
from serving.security.tls import peer_identity

__all__ = ["add_services"]

logger = logging.getLogger("serving")

MAX_DETAILS_BYTES = 1500
_BEARER = "bearer "


def add_services(service: Service, server: Any, *, slow: concurrent.futures.ThreadPoolExecutor) -> None:
    """Register PredictionService and ModelService on the bytes of their requests.

    The published registration lets gRPC parse them, which answers INTERNAL where that fails.

    Args:
        service: answers.
        server: receives the handlers.
        slow: runs the methods that load models.
    """
    unsent = UnsentAnswers()
    for descriptor in (PREDICTION_SERVICE, MODEL_SERVICE):
        handlers = {}
        for name in (method.name for method in descriptor.methods):
            behavior = _behavior(service, METHODS[name], unsent)
            if METHODS[name].right is Right.ADMIN:
                behavior = PooledMethod(behavior, slow)
            handlers[name] = grpc.unary_unary_rpc_method_handler(behavior)
        server.add_registered_method_handlers(descriptor.full_name, handlers)  # found without a look-up by name


def _behavior(
    service: Service, method: Method, unsent: UnsentAnswers
) -> Callable[[bytes, grpc.ServicerContext], bytes]:
    def answer(body: bytes, context: grpc.ServicerContext) -> bytes:
        try:
            content = _answer(service, method, body, context)
            unsent.hold(len(content), context)
            return content
        except RequestError as error:
            code, details = error.code, error.details
            retry_after_s = getattr(error, "retry_after_s", None)
            if retry_after_s is not None:
                context.set_trailing_metadata((("retry-after", f"{retry_after_s:.3f}"),))
        except Exception as error:
            logger.exception("event=internal_error method=%s", method.name)
            code = grpc.StatusCode.INTERNAL
            details = f"{type(error).__name__} in {method.name}; see the server's log"
        return context.abort(code, _shortened(details))

    return answer


def _answer(service: Service, method: Method, body: bytes, context: Any) -> bytes:
    origin = _origin(context, service)
    caller = service.authenticate(origin, method.name)
    try:
        request = method.request.FromString(body)
    except DecodeError:
        error = InvalidInputError(
            f"The request must be a serialised {method.request.DESCRIPTOR.full_name}. Received: {len(body)} bytes "
            f"that cannot be parsed as one; they are cut off, or another message."
        )
        return service.refuse(method, caller, origin, error, request_bytes=len(body))
    with deadlines.within(context.time_remaining()):
        return service.answer(method, request, caller, origin, request_bytes=len(body)).SerializeToString()


def _origin(context: Any, service: Service) -> Origin:
    """What is asked of gRPC only where it is used: each of these costs microseconds of every request."""
    token = None
    if service.gate.asks_for_tokens:
        for key, value in context.invocation_metadata():
            if key == "authorization" and value[: len(_BEARER)].lower() == _BEARER:
                token = value[len(_BEARER) :].strip()
                break
    return Origin(
        transport="grpc",
        peer=context.peer() if service.gate.looks_at_peers else "",
        token=token,
        identity=peer_identity(context.auth_context) if service.secure else "",
    )


def _shortened(details: str) -> str:
    """`details` at a length that fits gRPC's 8 KB of metadata, where a byte may take three."""
    encoded = details.encode(errors="replace")
    if len(encoded) <= MAX_DETAILS_BYTES:
        return details
    return encoded[:MAX_DETAILS_BYTES].decode(errors="ignore") + f"... ({len(encoded)} bytes in all)"
