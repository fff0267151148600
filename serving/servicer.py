"""gRPC requests to the repository and back, in the messages and with the errors of TensorFlow Serving."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import grpc
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

from serving import inference
from serving.errors import InvalidInputError, NotFoundError, RequestError, UnsupportedError
from serving.published import GetModelMetadataResponse, GetModelStatusResponse, PredictResponse, SignatureDefMap
from serving.repository import Repository

__all__ = ["ModelServicer", "PredictionServicer"]

logger = logging.getLogger("serving")

SIGNATURE_DEF = "signature_def"
Method = TypeVar("Method", bound=Callable[..., Any])


def _answering_errors(method: Method) -> Method:
    """Turn a raised `RequestError` into its gRPC status, and anything unforeseen into INTERNAL."""

    @functools.wraps(method)
    def answer(self: Any, request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return method(self, request, context)
        except RequestError as error:
            code, details = error.code, error.details
        except Exception as error:
            logger.exception("event=internal_error method=%s", method.__name__)
            code, details = (
                grpc.StatusCode.INTERNAL,
                f"{type(error).__name__} in {method.__name__}; see the server's log",
            )
        return context.abort(code, details)

    return answer  # type: ignore[return-value]


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
        max_bytes: largest array built for one input.
    """

    def __init__(self, repository: Repository, *, max_bytes: int):
        self._repository = repository
        self._max_bytes = max_bytes

    @_answering_errors
    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Run a signature."""
        spec = _require_spec(request)
        response = PredictResponse()
        with _use(self._repository, spec) as loaded:
            key = inference.predict(loaded.predictor, request, response, max_bytes=self._max_bytes)
        answered = response.model_spec
        answered.name = spec.name
        answered.signature_name = key
        answered.version.value = loaded.number
        return response

    @_answering_errors
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

    @_answering_errors
    def Classify(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Not offered."""
        _refuse("Classify")

    @_answering_errors
    def Regress(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Not offered."""
        _refuse("Regress")

    @_answering_errors
    def MultiInference(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Not offered."""
        _refuse("MultiInference")


class ModelServicer(model_service_pb2_grpc.ModelServiceServicer):
    """`tensorflow.serving.ModelService`."""

    def __init__(self, repository: Repository):
        self._repository = repository

    @_answering_errors
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

    @_answering_errors
    def HandleReloadConfigRequest(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Not offered; the server follows its directory by itself."""
        raise UnsupportedError(
            "HandleReloadConfigRequest is not offered by this server; it follows ROOT/models.config by itself."
        )
