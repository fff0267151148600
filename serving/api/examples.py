"""One Classify, Regress or MultiInference request, whose inputs are `tf.Example`s, on one loaded version.

Checks, their order, codes and texts are those of TensorFlow Serving, which answers INVALID_ARGUMENT to nearly all that
does not fit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from serving.api.examples_input import serialized_examples
from serving.api.examples_methods import CLASSIFY, INPUTS, METHODS, REGRESS, Method
from serving.engines.abstract import AbstractPredictor
from serving.errors import InvalidInputError, UnsupportedError
from serving.options import Limits
from serving.protocol.signature import DEFAULT_SIGNATURE, Signature

if TYPE_CHECKING:
    from tensorflow.core.protobuf import meta_graph_pb2

__all__ = ["Run", "classify", "multi_inference", "regress", "spec_of_tasks"]


Run = Callable[[str, Sequence[np.ndarray]], Mapping[str, np.ndarray]]


def classify(
    predictor: AbstractPredictor, request: Any, response: Any, *, limits: Limits, run: Run | None = None
) -> str:
    """Answer a ClassificationRequest into an empty ClassificationResponse, except for its model_spec.

    Args:
        predictor: the version.
        request: its signature must take `inputs` and answer `classes`, `scores` or both, `[B, N]`.
        response: receives the label and score of each class of each example.
        limits: how large a request may be.
        run: stands in for `predictor.run`: one that gathers batches, for instance.

    Returns:
        The name of the signature that was called.

    Raises:
        RequestError: the signature or the request does not fit, or the model failed on it.
    """
    return _answer(CLASSIFY, predictor, request, response, limits, run)


def regress(
    predictor: AbstractPredictor, request: Any, response: Any, *, limits: Limits, run: Run | None = None
) -> str:
    """Answer a RegressionRequest into an empty RegressionResponse, except for its model_spec.

    Args:
        predictor: the version.
        request: its signature must take `inputs` and answer `outputs`, `[B]` or `[B, 1]`.
        response: receives the value of each example.
        limits: how large a request may be.
        run: stands in for `predictor.run`: one that gathers batches, for instance.

    Returns:
        The name of the signature that was called.

    Raises:
        RequestError: the signature or the request does not fit, or the model failed on it.
    """
    return _answer(REGRESS, predictor, request, response, limits, run)


def spec_of_tasks(request: Any) -> Any:
    """The ModelSpec that says on which version a MultiInferenceRequest runs: its first task's.

    Raises:
        InvalidInputError: there is no task, or the first names no model.
    """
    if not request.tasks or not request.tasks[0].model_spec.name:
        raise InvalidInputError("ModelSpec has no name specified.")
    return request.tasks[0].model_spec


def multi_inference(
    predictor: AbstractPredictor,
    request: Any,
    response: Any,
    *,
    limits: Limits,
    version: int,
    run: Run | None = None,
) -> list[str]:
    """Answer a MultiInferenceRequest into an empty MultiInferenceResponse: several signatures, one input.

    Args:
        predictor: the version of `spec_of_tasks(request)`.
        request: each task names a signature of the same model, once, and the method that fits it.
        response: receives a result for each task, in their order, with its model_spec.
        limits: how large a request may be.
        version: the number of the version, for the model_spec of each result.
        run: stands in for `predictor.run`; called once for each task.

    Returns:
        The names of the signatures that were called.

    Raises:
        RequestError: a task or the request does not fit, or the model failed on it.
    """
    tasks = _checked_tasks(predictor, request)
    signatures = {key: _callable(predictor, key) for key in tasks}
    name = spec_of_tasks(request).name
    spec = next(iter(signatures.values())).inputs[INPUTS]  # the tensor is the same in all of them
    examples = serialized_examples(spec, request.input, limits=limits)
    for key, method in tasks.items():
        outputs = (run or predictor.run)(key, [examples])
        answered = response.results.add()
        method.fill(signatures[key], len(examples), outputs, getattr(answered, method.result))
        answered.model_spec.name = name
        answered.model_spec.signature_name = key
        answered.model_spec.version.value = version
    return list(tasks)


def _checked_tasks(predictor: AbstractPredictor, request: Any) -> dict[str, Method]:
    """The method of each task by the name of its signature, in the order of the tasks."""
    name = spec_of_tasks(request).name
    checked: dict[str, Method] = {}
    tensor = None
    for task in request.tasks:
        if not task.model_spec.name:
            raise InvalidInputError("Found ModelSpec with an empty model name.")
        if task.model_spec.name != name:
            raise InvalidInputError("All ModelSpecs in a MultiInferenceRequest must access the same model name.")
        key = _key(task.model_spec)
        if key in checked:
            raise InvalidInputError(f"Duplicate evaluation of signature: {key}")
        definition = predictor.signature_defs.get(key)
        if definition is None:
            raise InvalidInputError(f"Requested signature not found in model graph: {key}")
        method = METHODS.get(task.method_name)
        if method is None:
            raise UnsupportedError(f"Unsupported signature method_name: {task.method_name}")
        method.check(definition)
        tensor = tensor or _tensor(definition)
        if tensor != _tensor(definition):
            raise InvalidInputError("Input tensor must be the same for all Signatures.")
        checked[key] = method
    return checked


def _answer(
    method: Method, predictor: AbstractPredictor, request: Any, response: Any, limits: Limits, run: Run | None
) -> str:
    key = _key(request.model_spec)
    definition = predictor.signature_defs.get(key)
    if definition is None:
        raise InvalidInputError(f"No signature was found with the name: {key}")
    method.check(definition)
    signature = _callable(predictor, key)
    examples = serialized_examples(signature.inputs[INPUTS], request.input, limits=limits)
    outputs = (run or predictor.run)(key, [examples])
    method.fill(signature, len(examples), outputs, response.result)
    return key


def _key(spec: Any) -> str:
    return spec.signature_name or DEFAULT_SIGNATURE


def _tensor(definition: meta_graph_pb2.SignatureDef) -> str:
    return definition.inputs[INPUTS].name


def _callable(predictor: AbstractPredictor, key: str) -> Signature:
    """The signature whose SignatureDef is known to fit."""
    signature = predictor.signatures.get(key)
    if signature is None:
        raise InvalidInputError(
            f'Serving signature key "{key}" cannot be called: a tensor of it is sparse, ragged or of a type that this '
            f"server does not carry."
        )
    return signature
