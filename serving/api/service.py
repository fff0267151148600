"""Every call of TensorFlow Serving's API: a request message in, a response message out, or a `RequestError`.

Both transports come here: they find out who asks, parse, and let `Service.answer` check the right, count, run and log.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import grpc

from serving import published
from serving.api import examples, inference
from serving.errors import InvalidInputError, NotFoundError, RequestError
from serving.metrics import Metrics
from serving.options import Limits
from serving.repository.repository import Repository
from serving.security.access import Caller, Right
from serving.security.gate import Call, Gate

__all__ = ["METHODS", "SIGNATURE_DEF", "Method", "Origin", "Service"]

SIGNATURE_DEF = "signature_def"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Where a request came from.

    Args:
        transport: "grpc" or "rest".
        peer: the network address, as gRPC writes it ("ipv4:127.0.0.1:50000").
        token: of `authorization: Bearer TOKEN`.
        identity: the common name of the client's certificate, where mutual TLS checked it.
    """

    transport: str
    peer: str
    token: str | None = None
    identity: str = ""


class Service:
    """The calls.

    Args:
        repository: the versions.
        limits: how large a request may be.
        gate: who may ask, and how often.
        metrics: what is counted.
        secure: connections are by TLS, so that a client may have shown a certificate.
        reload: makes the ModelServerConfig of a HandleReloadConfigRequest what is served, and waits for it.
    """

    def __init__(
        self,
        repository: Repository,
        *,
        limits: Limits,
        reload: Callable[[Any], None],
        gate: Gate | None = None,
        metrics: Metrics | None = None,
        secure: bool = False,
    ):
        self.repository = repository
        self.gate = gate or Gate()
        self.metrics = metrics or Metrics()
        self._limits = limits
        self.secure = secure
        self._reload = reload

    def authenticate(self, origin: Origin, method: str) -> Caller:
        """Who asks; before the request is parsed.

        Raises:
            RequestError: UNAUTHENTICATED.
        """
        return self.gate.authenticate(
            origin.token,
            peer_identity=origin.identity,
            transport=origin.transport,
            method=method,
            peer=origin.peer,
        )

    def refuse(
        self, method: Method, caller: Caller, origin: Origin, error: RequestError, *, request_bytes: int
    ) -> NoReturn:
        """A request that could not be parsed: it counts as one, and is logged.

        Raises:
            RequestError: `error`, or the one of a limit.
        """
        call = _call(method, "", origin, request_bytes)
        with self.gate.admit(caller, call):
            self.metrics.count("", method.name, origin.transport, error.code, 0.0)
            raise error

    def answer(self, method: Method, request: Any, caller: Caller, origin: Origin, *, request_bytes: int) -> Any:
        """The response to a parsed request.

        Raises:
            RequestError: the caller may not, the request does not fit, or the model failed on it.
        """
        model = method.model_of(request)
        started = time.perf_counter()
        code = grpc.StatusCode.INTERNAL
        try:
            if self.gate.open_to_all:
                response, _ = method.run(self, request)
            else:
                with self.gate.admit(caller, _call(method, model, origin, request_bytes)) as admission:
                    response, admission.version = method.run(self, request)
                    admission.response_bytes = response.ByteSize()
            code = grpc.StatusCode.OK
            return response
        except RequestError as error:
            code = error.code
            raise
        finally:
            # A name that no model has is no label: a caller could make any number of them.
            known = model if model in self.repository.known_names() else ""
            self.metrics.count(known, method.name, origin.transport, code, time.perf_counter() - started)

    def predict(self, request: Any) -> tuple[Any, int]:
        """Run a signature; the response and the version that answered."""
        return self._run(inference.predict, request, published.PredictResponse())

    def classify(self, request: Any) -> tuple[Any, int]:
        """Label and score of each class of each `tf.Example`."""
        return self._run(examples.classify, request, published.ClassificationResponse())

    def regress(self, request: Any) -> tuple[Any, int]:
        """The value of each `tf.Example`."""
        return self._run(examples.regress, request, published.RegressionResponse())

    def multi_inference(self, request: Any) -> tuple[Any, int]:
        """Several signatures of one model on the same `tf.Example`s."""
        response = published.MultiInferenceResponse()
        with self._use(examples.spec_of_tasks(request)) as loaded:
            examples.multi_inference(loaded.predictor, request, response, limits=self._limits, version=loaded.number)
        return response, loaded.number

    def metadata(self, request: Any) -> tuple[Any, int]:
        """The SignatureDefs of a version."""
        spec = _require_spec(request)
        if not request.metadata_field:
            raise InvalidInputError("GetModelMetadataRequest must specify at least one metadata_field")
        if odd := next((field for field in request.metadata_field if field != SIGNATURE_DEF), None):
            raise InvalidInputError(f"Metadata field {odd} is not supported")
        signatures = published.SignatureDefMap()
        response = published.GetModelMetadataResponse()
        with self._use(spec) as loaded:
            for key, definition in loaded.predictor.signature_defs.items():
                signatures.signature_def[key].CopyFrom(definition)
        response.model_spec.name = spec.name
        response.model_spec.version.value = loaded.number
        response.metadata[SIGNATURE_DEF].Pack(signatures)
        return response, loaded.number

    def status(self, request: Any) -> tuple[Any, None]:
        """The state of each version, newest first, with the reason of those that failed."""
        spec = _require_spec(request)
        statuses = self.repository.status(spec.name)
        if spec.version_label:
            with self._use(spec) as loaded:
                statuses = [status for status in statuses if status.version == loaded.number]
        elif spec.HasField("version"):
            wanted = spec.version.value
            statuses = [status for status in statuses if status.version == wanted]
            if not statuses:
                raise NotFoundError(f"Could not find version {wanted} of model {spec.name}")
        if not statuses:
            raise NotFoundError(f"Could not find any versions of model {spec.name}")
        response = published.GetModelStatusResponse()
        for status in statuses:
            shown = response.model_version_status.add(version=status.version, state=int(status.state))
            shown.status.error_code = status.code.value[0]
            shown.status.error_message = status.message
        return response, None

    def reload(self, request: Any) -> tuple[Any, None]:
        """Serve the models of the request's `model_config_list` and no others; answered when they are loaded."""
        self._reload(request.config)
        return published.ReloadConfigResponse(), None

    def _run(self, call: Callable[..., str], request: Any, response: Any) -> tuple[Any, int]:
        """Let `call` answer on the version that the request asks for; it returns the signature it called."""
        spec = _require_spec(request)
        with self._use(spec) as loaded:
            key = call(loaded.predictor, request, response, limits=self._limits)
        answered = response.model_spec
        answered.name = spec.name
        answered.signature_name = key
        answered.version.value = loaded.number
        return response, loaded.number

    def _use(self, spec: Any) -> Any:
        version = spec.version.value if spec.HasField("version") else None
        return self.repository.use(spec.name, version=version, label=spec.version_label)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """One call of the API.

    Args:
        name: as the published service has it.
        request: the message's class.
        right: what the caller needs on the model.
        run: a method of `Service`; the response, and the version that answered if one did.
        model_of: the model that a request is about; "" where it names none.
    """

    name: str
    request: Any
    right: Right
    run: Callable[[Service, Any], tuple[Any, int | None]]
    model_of: Callable[[Any], str]


def _call(method: Method, model: str, origin: Origin, request_bytes: int) -> Call:
    return Call(
        transport=origin.transport,
        method=method.name,
        right=method.right,
        model=model,
        peer=origin.peer,
        request_bytes=request_bytes,
    )


def _named(request: Any) -> str:
    return request.model_spec.name


def _of_first_task(request: Any) -> str:
    return request.tasks[0].model_spec.name if request.tasks else ""


def _none(request: Any) -> str:
    return ""


METHODS: Mapping[str, Method] = {
    name: Method(name=name, request=request, right=right, run=run, model_of=model_of)
    for name, request, right, run, model_of in (
        ("Predict", published.PredictRequest, Right.PREDICT, Service.predict, _named),
        ("Classify", published.ClassificationRequest, Right.PREDICT, Service.classify, _named),
        ("Regress", published.RegressionRequest, Right.PREDICT, Service.regress, _named),
        ("MultiInference", published.MultiInferenceRequest, Right.PREDICT, Service.multi_inference, _of_first_task),
        ("GetModelMetadata", published.GetModelMetadataRequest, Right.METADATA, Service.metadata, _named),
        ("GetModelStatus", published.GetModelStatusRequest, Right.METADATA, Service.status, _named),
        ("HandleReloadConfigRequest", published.ReloadConfigRequest, Right.ADMIN, Service.reload, _none),
    )
}


def _require_spec(request: Any) -> Any:
    if not request.HasField("model_spec"):
        raise InvalidInputError("Missing ModelSpec")
    if not request.model_spec.name:
        raise InvalidInputError("ModelSpec has no name specified.")
    return request.model_spec
