"""One Predict request on one loaded version, and the warm-up requests that an export carries."""

from __future__ import annotations

import itertools
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from serving.engines.abstract import AbstractPredictor
from serving.engines.tensorflow import is_passing
from serving.errors import ModelLoadError, PreconditionError, RequestError
from serving.options import Limits
from serving.protocol.codec import encode_values
from serving.protocol.signature import DEFAULT_SIGNATURE, decode_inputs, select_outputs
from serving.published import PredictionLog, PredictResponse

__all__ = ["WARM_UP_FILE", "predict", "warm_up"]

WARM_UP_FILE = pathlib.PurePosixPath("assets.extra/tf_serving_warmup_requests")
MAX_WARM_UP_RECORDS = 1000


def predict(
    predictor: AbstractPredictor,
    request: Any,
    response: Any,
    *,
    limits: Limits,
) -> str:
    """Answer `request` into an empty `response`, except for its model_spec.

    Args:
        predictor: the version.
        request: checked against the signature before the engine is called.
        response: receives the outputs.
        limits: how large a request may be.

    Returns:
        The name of the signature that was called.

    Raises:
        RequestError: the request does not fit, or the model failed on it.
    """
    key = request.model_spec.signature_name or DEFAULT_SIGNATURE
    signature = predictor.signatures.get(key)
    if signature is None:
        raise PreconditionError(f'Serving signature key "{key}" not found.')
    names = select_outputs(signature, request.output_filter)
    arrays = decode_inputs(signature, request.inputs, limits=limits)
    outputs = predictor.run(key, arrays)
    for name in names:
        encode_values(outputs[name], response.outputs[name])
    return key


def warm_up(predictor: AbstractPredictor, path: pathlib.Path, *, limits: Limits) -> Mapping[str, Sequence[np.ndarray]]:
    """Run the warm-up requests of version directory `path`; the inputs of the first one of each signature.

    Raises:
        ModelLoadError: the file cannot be read, or the model fails on one of its own requests.
    """
    count = 0
    examples: dict[str, Sequence[np.ndarray]] = {}
    try:
        for request in _requests(path / WARM_UP_FILE):
            key = predict(predictor, request, PredictResponse(), limits=limits)
            if key not in examples:
                examples[key] = decode_inputs(predictor.signatures[key], request.inputs, limits=limits)
            count += 1
    except RequestError as error:
        raise ModelLoadError(f"{path.name}: warm-up request {count} failed: {error.details}", error.code) from error
    except Exception as error:
        if is_passing(error):
            raise
        raise ModelLoadError(f"{path.name}: {WARM_UP_FILE} cannot be read: {error}") from error
    return examples


def _requests(file: pathlib.Path) -> Iterator[Any]:
    if not file.is_file():
        return
    records = tf.data.TFRecordDataset(str(file)).as_numpy_iterator()
    for record in itertools.islice(records, MAX_WARM_UP_RECORDS):
        log = PredictionLog.FromString(record)
        if log.WhichOneof("log_type") == "predict_log":
            yield log.predict_log.request
