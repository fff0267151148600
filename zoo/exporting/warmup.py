"""`assets.extra/tf_serving_warmup_requests`: requests that a server answers for itself before anybody else asks."""

# Generated messages have no stubs.
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["FILE", "write_warmup"]

FILE = "assets.extra/tf_serving_warmup_requests"


def write_warmup(
    directory: Path, name: str, signature: str, examples: Mapping[str, np.ndarray], *, row_by_row: bool = False
) -> int:
    """Writes one request of a single row and one of all rows of `examples`; returns how many.

    Only their shapes count: each tensor is zeros (a mask all true, a text the first example's), which takes a few bytes
    on disk, and no example of a data set leaves with the model.

    Args:
        directory: the version directory.
        name: the model's name.
        signature: the signature asked for.
        examples: one array per input, rows first.
        row_by_row: the model takes one row at a time. A server that fails at a request of these serves nothing.
    """
    import tensorflow as tf
    from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_log_pb2

    rows = len(next(iter(examples.values())))
    sizes = [1] if row_by_row else sorted({1, rows})
    path = directory / FILE
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for size in sizes:
            request = predict_pb2.PredictRequest(
                model_spec=model_pb2.ModelSpec(name=name, signature_name=signature),
                inputs={key: _filled(array, [size, *array.shape[1:]]) for key, array in examples.items()},
            )
            log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
            writer.write(log.SerializeToString())
    return len(sizes)


def _filled(array: np.ndarray, shape: list[int]) -> Any:
    """Returns a tensor of one value throughout, which its message holds once."""
    import tensorflow as tf

    if array.dtype == np.bool_:
        value: Any = True
    else:
        value = 0 if np.issubdtype(array.dtype, np.number) else array.flat[0]
    proto = tf.make_tensor_proto([value], dtype=tf.as_dtype(array.dtype))
    proto.tensor_shape.CopyFrom(tf.TensorShape(shape).as_proto())
    return proto
