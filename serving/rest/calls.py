"""Each call of the API: a path and a body in, JSON text out, by the same `Service.answer` as gRPC's.

The body is read inside of the call, after the caller's right was checked: who may not ask a model learns nothing of its
signatures, and a wrong body is counted and logged like any other wrong request.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from serving import deadlines, published
from serving.api.service import METHODS, SIGNATURE_DEF, Origin, Service
from serving.errors import InvalidInputError
from serving.protocol.signature import DEFAULT_SIGNATURE
from serving.rest import answers
from serving.rest.documents import parse_object
from serving.rest.examples_request import fill_examples
from serving.rest.paths import ModelPath
from serving.rest.predict_request import fill_inputs, read_signature_name, uses_rows
from serving.security.access import Caller

__all__ = ["TIMEOUT_S", "answer", "method_name"]

TIMEOUT_S = 30.0  # of TensorFlow Serving's --rest_api_timeout_in_ms: HTTP carries no deadline


@dataclasses.dataclass(kw_only=True, slots=True)
class _Asked:
    """Stands in for the request message until the body was read.

    Args:
        path: what the URL names.
        body: as it was sent.
        as_rows: the answer is wanted in the row format; known when the body was read.
    """

    path: ModelPath
    body: bytes
    as_rows: bool = False


def method_name(path: ModelPath) -> str:
    """The name of the gRPC method that does the same."""
    return _CALLS[path.action].method


def answer(service: Service, path: ModelPath, body: bytes, caller: Caller, origin: Origin) -> bytes:
    """The JSON text that answers a request; blocks while the model works.

    Raises:
        RequestError: the caller may not, the body is wrong, or the model failed on it.
    """
    call = _CALLS[path.action]
    asked = _Asked(path=path, body=body)

    def run(service: Service, asked: Any) -> tuple[Any, int | None]:
        return METHODS[call.method].run(service, call.request(service, asked))

    method = dataclasses.replace(METHODS[call.method], run=run, model_of=_model_of)
    with deadlines.within(TIMEOUT_S):
        response = service.answer(method, asked, caller, origin, request_bytes=len(body))
    return call.text(asked, response)


def _model_of(asked: _Asked) -> str:
    return asked.path.name


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Call:
    method: str
    request: Callable[[Service, _Asked], Any]
    text: Callable[[_Asked, Any], bytes]


def _predict_request(service: Service, asked: _Asked) -> Any:
    path = asked.path
    document = parse_object(asked.body)
    request = published.PredictRequest()
    path.fill(request.model_spec)
    key = request.model_spec.signature_name = read_signature_name(document)
    with service.repository.use(path.name, version=path.version, label=path.label) as loaded:
        signature = loaded.predictor.signatures.get(key or DEFAULT_SIGNATURE)
    if signature is None:
        raise InvalidInputError(f'Serving signature name: "{key or DEFAULT_SIGNATURE}" not found in signature def')
    asked.as_rows = uses_rows(document)
    fill_inputs(document, signature, request)
    return request


def _predict_text(asked: _Asked, response: Any) -> bytes:
    return (answers.predictions_text if asked.as_rows else answers.outputs_text)(response.outputs)


def _examples_request(message: Any) -> Callable[[Service, _Asked], Any]:
    def request_of(service: Service, asked: _Asked) -> Any:
        request = message()
        asked.path.fill(request.model_spec)
        document = parse_object(asked.body)
        request.model_spec.signature_name = read_signature_name(document)
        fill_examples(document, request.input)
        return request

    return request_of


def _metadata_request(service: Service, asked: _Asked) -> Any:
    request = published.GetModelMetadataRequest(metadata_field=[SIGNATURE_DEF])
    asked.path.fill(request.model_spec)
    return request


def _status_request(service: Service, asked: _Asked) -> Any:
    request = published.GetModelStatusRequest()
    asked.path.fill(request.model_spec)
    return request


_CALLS: Mapping[str, _Call] = {
    "predict": _Call(method="Predict", request=_predict_request, text=_predict_text),
    "classify": _Call(
        method="Classify",
        request=_examples_request(published.ClassificationRequest),
        text=lambda asked, response: answers.classifications_text(response.result),
    ),
    "regress": _Call(
        method="Regress",
        request=_examples_request(published.RegressionRequest),
        text=lambda asked, response: answers.regressions_text(response.result),
    ),
    "metadata": _Call(
        method="GetModelMetadata",
        request=_metadata_request,
        text=lambda asked, response: answers.metadata_text(response),
    ),
    "status": _Call(
        method="GetModelStatus",
        request=_status_request,
        text=lambda asked, response: answers.status_text(response),
    ),
}
