"""gRPC requests to the repository and back, in the messages and with the errors of TensorFlow Serving."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import grpc
from google.protobuf import message_factory
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

from serving.api import inference
from serving.errors import InvalidInputError, NotFoundError, RequestError, UnsupportedError
from serving.options import Limits
from serving.published import (
    GetModelMetadataRequest,
    GetModelMetadataResponse,
    GetModelStatusRequest,
    GetModelStatusResponse,
    PredictRequest,
    PredictResponse,
    SignatureDefMap,
)
from serving.repository.repository import Repository

__all__ = ["ModelServicer", "PredictionServicer", "add_to_server"]

logger = logging.getLogger("serving")

SIGNATURE_DEF = "signature_def"
MAX_DETAILS_BYTES = 1500
Method = TypeVar("Method", bound=Callable[..., Any])


def _answering_errors(request_class: Any) -> Callable[[Method], Method]:
    """Parse a request's bytes; turn a raised `RequestError` into its gRPC status, anything unforeseen into INTERNAL.

    Args:
        request_class: the message to parse; None for a method that does not look at its request.
    """

    name = "" if request_class is None else request_class.DESCRIPTOR.full_name

    def decorate(method: Method) -> Method:
        @functools.wraps(method)
        def answer(self: Any, request: bytes, context: grpc.ServicerContext) -> Any:
            try:
                message = None if request_class is None else request_class.FromString(request)
                return method(self, message, context)
            except RequestError as error:
                code, details = error.code, error.details
            except DecodeError:
                code = grpc.StatusCode.INVALID_ARGUMENT
                details = (
                    f"The request must be a serialised {name}. Received: {len(request)} "
                    f"bytes that cannot be parsed as one; they are cut off, or another message."
                )
            except Exception as error:
                logger.exception("event=internal_error method=%s", method.__name__)
                code = grpc.StatusCode.INTERNAL
                details = f"{type(error).__name__} in {method.__name__}; see the server's log"
            return context.abort(code, _shortened(details))

        return answer  # type: ignore[return-value]

    return decorate


def _shortened(details: str) -> str:
    """`details` at a length that fits gRPC's 8 KB of metadata, where a byte may take three."""
    encoded = details.encode(errors="replace")
    if len(encoded) <= MAX_DETAILS_BYTES:
        return details
    return encoded[:MAX_DETAILS_BYTES].decode(errors="ignore") + f"... ({len(encoded)} bytes in all)"


def add_to_server(servicer: Any, service: Any, server: grpc.Server) -> None:
    """Register every method of a service descriptor on the bytes of its requests.

    The published registration lets gRPC parse them, which answers INTERNAL where that fails.
    """
    handlers = {
        method.name: grpc.unary_unary_rpc_method_handler(
            getattr(servicer, method.name),
            response_serializer=message_factory.GetMessageClass(method.output_type).SerializeToString,
        )
        for method in service.methods
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service.full_name, handlers),))


def _require_spec(request: Any) -> Any:
    if not request.HasField("model_spec"):
        raise InvalidInputError("Missing ModelSpec")
    if not request.model_spec.name:
        raise InvalidInputError("ModelSpec has no name specified.")
    return request.model_spec


def _use(repository: Repository, spec: Any) -> Any:
    version = spec.version.value if spec.HasField("version") else None
    return repository.use(spec.name, version=version, label=spec.version_label)


def _refuse(what: str) -> NoReturn:
    raise UnsupportedError(f"{what} is not offered by this server; use Predict, GetModelMetadata or GetModelStatus.")


class PredictionServicer(prediction_service_pb2_grpc.PredictionServiceServicer):
    """`tensorflow.serving.PredictionService`.

    Args:
        repository: the versions.
        limits: how large a request may be.
    """

    def __init__(self, repository: Repository, *, limits: Limits):
        self._repository = repository
        self._limits = limits

    @_answering_errors(PredictRequest)
    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Run a signature."""
        spec = _require_spec(request)
        response = PredictResponse()
        with _use(self._repository, spec) as loaded:
            key = inference.predict(loaded.predictor, request, response, limits=self._limits)
        answered = response.model_spec
        answered.name = spec.name
        answered.signature_name = key
        answered.version.value = loaded.number
        return response

    @_answering_errors(GetModelMetadataRequest)
    def GetModelMetadata(  # noqa: N802
        self, request: Any, context: grpc.ServicerContext
    ) -> Any:
        """The SignatureDefs of a version."""
        spec = _require_spec(request)
        if not request.metadata_field:
            raise InvalidInputError("GetModelMetadataRequest must specify at least one metadata_field")
        if odd := next((field for field in request.metadata_field if field != SIGNATURE_DEF), None):
            raise InvalidInputError(f"Metadata field {odd} is not supported")
        signatures = SignatureDefMap()
        response = GetModelMetadataResponse()
        with _use(self._repository, spec) as loaded:
            for key, definition in loaded.predictor.signature_defs.items():
                signatures.signature_def[key].CopyFrom(definition)
        response.model_spec.name = spec.name
        response.model_spec.version.value = loaded.number
        response.metadata[SIGNATURE_DEF].Pack(signatures)
        return response

    @_answering_errors(None)
    def Classify(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Not offered."""
        _refuse("Classify")

    @_answering_errors(None)
    def Regress(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Not offered."""
        _refuse("Regress")

    @_answering_errors(None)
    def MultiInference(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Not offered."""
        _refuse("MultiInference")


class ModelServicer(model_service_pb2_grpc.ModelServiceServicer):
    """`tensorflow.serving.ModelService`."""

    def __init__(self, repository: Repository):
        self._repository = repository

    @_answering_errors(GetModelStatusRequest)
    def GetModelStatus(  # noqa: N802
        self, request: Any, context: grpc.ServicerContext
    ) -> Any:
        """The state of each version, newest first, with the reason of those that failed."""
        spec = _require_spec(request)
        statuses = self._repository.status(spec.name)
        if spec.version_label:
            with _use(self._repository, spec) as loaded:
                statuses = [status for status in statuses if status.version == loaded.number]
        elif spec.HasField("version"):
            wanted = spec.version.value
            statuses = [status for status in statuses if status.version == wanted]
            if not statuses:
                raise NotFoundError(f"Could not find version {wanted} of model {spec.name}")
        if not statuses:
            raise NotFoundError(f"Could not find any versions of model {spec.name}")
        response = GetModelStatusResponse()
        for status in statuses:
            shown = response.model_version_status.add(version=status.version, state=int(status.state))
            shown.status.error_code = status.code.value[0]
            shown.status.error_message = status.message
        return response

    @_answering_errors(None)
    def HandleReloadConfigRequest(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Not offered; the server follows its directory by itself."""
        raise UnsupportedError(
            "HandleReloadConfigRequest is not offered by this server; it follows ROOT/models.config by itself."
        )
