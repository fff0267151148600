"""The messages that a client sends, from names and numpy arrays."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from serving.client.examples import Features, fill_input
from serving.errors import InvalidInputError, UsageError
from serving.protocol import messages as wire
from serving.protocol.casting import cast_input
from serving.protocol.codec import CodecError
from serving.protocol.predict_bytes import encode_predict
from serving.protocol.signature import TensorSpec

__all__ = ["ModelKey", "multi_inference_request", "predict_request", "with_examples", "with_spec"]

ModelKey = tuple[str, int | None, str | None]  # name, version, label

CLASSIFY_METHOD = "tensorflow/serving/classify"
REGRESS_METHOD = "tensorflow/serving/regress"


def with_spec(request: Any, key: ModelKey, signature: str | None = None) -> Any:
    """`request`, its `model_spec` filled.

    Raises:
        UsageError: both a version and a label are given.
    """
    _fill_spec(request.model_spec, key, signature)
    return request


def _fill_spec(spec: Any, key: ModelKey, signature: str | None) -> None:
    name, version, label = key
    if version is not None and label is not None:
        raise UsageError(f"Give `version` or `label`, not both. Received: version={version}, label={label!r}.")
    spec.SetInParent()
    spec.name = name
    if version is not None:
        spec.version.value = version
    if label is not None:
        spec.version_label = label
    if signature:
        spec.signature_name = signature


def predict_request(
    key: ModelKey,
    signature: str | None,
    output_filter: tuple[str, ...],
    specs: Mapping[str, TensorSpec],
    inputs: Mapping[str, ArrayLike],
) -> bytes:
    """A Predict request, each input of `specs` cast to its dtype.

    Raises:
        InvalidInputError: an input cannot be cast without loss, or not be sent at all.
    """
    arrays = {
        name: cast_input(specs[name], value) if name in specs else np.asarray(value) for name, value in inputs.items()
    }
    try:
        return encode_predict(_predict_head(key, signature, output_filter), arrays)
    except CodecError as error:
        raise InvalidInputError(str(error)) from error


@functools.lru_cache(maxsize=256)
def _predict_head(key: ModelKey, signature: str | None, output_filter: tuple[str, ...]) -> bytes:
    return with_spec(wire.PredictRequest(output_filter=output_filter), key, signature).SerializeToString()


def with_examples(request: Any, examples: Iterable[Features], context: Features | None) -> Any:
    """`request`, its `input` filled; errors as of `examples.fill_input`."""
    fill_input(request.input, examples, context)
    return request


def multi_inference_request(key: ModelKey, classify: Iterable[str], regress: Iterable[str]) -> Any:
    """A MultiInference request with one task for each signature, `input` still empty.

    Raises:
        UsageError: no signature is given.
    """
    request = wire.MultiInferenceRequest()
    for method, signatures in ((CLASSIFY_METHOD, classify), (REGRESS_METHOD, regress)):
        for signature in signatures:
            task = request.tasks.add(method_name=method)
            _fill_spec(task.model_spec, key, signature)
    if not request.tasks:
        raise UsageError("Give at least one signature in `classify` or `regress`.")
    return request
