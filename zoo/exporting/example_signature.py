"""The signature `classify`: serialised `tf.Example`s in, a name and a score for each class out.

It is what TensorFlow Serving's Classify asks for, and it stands beside `serving_default`, on request: it takes bytes.
A feature goes by the name of an input and holds its values in a row, the last axis fastest.

| input | feature |
|---|---|
| float | `float_list` |
| integers, bool | `int64_list`; a value that the input's dtype cannot hold is refused |
| string | `bytes_list` |

Every axis but the batch has a fixed size. For a feature of free length TensorFlow's parser of examples (observed in
2.21, as `VarLenFeature`, `RaggedFeature` and `FixedLenSequenceFeature`) ends the process at bytes that claim a
`float_list` of 2 GB or more, which anybody may send; a fixed size bounds what it writes.

Shape glossary: `B` batch, `N` classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from zoo.errors import ExportError, InvalidValueError, UnknownNameError
from zoo.exporting.signature import InputSpec

if TYPE_CHECKING:
    from zoo.exporting.servable import Servable

__all__ = ["CLASSIFY", "INPUTS", "METHOD", "check_signatures", "classified", "parsed", "to_examples"]

CLASSIFY = "classify"
METHOD = "tensorflow/serving/classify"
INPUTS = "inputs"

_FORMS = ("plain", "packed")


def check_signatures(servable: Servable, form: str) -> None:
    """Raises unless every signature asked for beside `serving_default` can be written.

    Raises:
        UnknownNameError: there is no such signature.
        InvalidValueError: the form or the task has none.
        ExportError: an input has a free axis beside the batch.
    """
    for name in servable.signatures:
        if name != CLASSIFY:
            raise UnknownNameError("signature", name, [CLASSIFY])
        if form not in _FORMS:
            raise InvalidValueError("signatures", f"left out for the form {form!r}", list(servable.signatures))
        if servable.task is None or servable.task.SCORES is None:
            raise InvalidValueError(
                "signatures", "left out where the answer is no score for each class", list(servable.signatures)
            )
        for spec in servable.inputs:
            _feature(spec)


def parsed(specs: Sequence[InputSpec], serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    """Returns the inputs that serialised examples, string [B], hold; an example that does not fit is refused."""
    features: dict[str, Any] = {spec.name: _feature(spec) for spec in specs}
    tensors: Any = tf.io.parse_example(serialized, features)
    return {spec.name: _cast(spec, tensors[spec.name]) for spec in specs}


def classified(servable: Servable, answers: Mapping[str, Any], serialized: tf.Tensor) -> dict[str, Any]:
    """Returns the outputs of the signature for the answers to `serialized`.

    They are `classes` string [B, N], of a class without a name its number, and `scores` float32 [B, N].

    Raises:
        ExportError: the task's scores are of another rank.
    """
    scores = answers[servable.task.SCORES] if servable.task and servable.task.SCORES else None
    if scores is None or len(scores.shape) != 2:
        raise ExportError(
            f"The signature {CLASSIFY!r} answers a score for each class of an example, [B, N]. Received scores of "
            f"shape {None if scores is None else list(scores.shape)}. Export without this signature."
        )
    names = list(servable.label_names) or [str(index) for index in range(scores.shape[-1])]
    classes = tf.broadcast_to(tf.constant(names), tf.stack([tf.size(serialized), len(names)]))
    return {"classes": classes, "scores": scores}


def to_examples(specs: Sequence[InputSpec], arrays: Mapping[str, np.ndarray]) -> list[bytes]:
    """Returns the rows of `arrays`, one array per input, as serialised examples."""
    examples = [tf.train.Example() for _ in arrays[specs[0].name]]
    for spec in specs:
        for example, row in zip(examples, arrays[spec.name], strict=True):
            feature = example.features.feature[spec.name]
            values, dtype = np.asarray(row).ravel(), _wire_dtype(spec)
            if dtype == tf.string:
                feature.bytes_list.value.extend(map(tf.compat.as_bytes, values.tolist()))
            elif dtype == tf.int64:
                feature.int64_list.value.extend(values.astype("int64").tolist())
            else:
                feature.float_list.value.extend(values.astype("float32").tolist())
    return [example.SerializeToString() for example in examples]


def _wire_dtype(spec: InputSpec) -> tf.DType:
    """Returns which of the three lists of a feature holds the input."""
    dtype = tf.as_dtype(spec.dtype)
    if dtype == tf.string:
        return tf.string
    return tf.float32 if dtype.is_floating else tf.int64


def _feature(spec: InputSpec) -> Any:
    if None in spec.shape[1:]:
        raise ExportError(
            f"Inputs of the signature {CLASSIFY!r} are free in the batch alone: TensorFlow's parser of examples is not "
            f"safe for a free length. Received: `{spec.name}` {list(spec.shape)}. Export without this signature."
        )
    return tf.io.FixedLenFeature(spec.shape[1:], _wire_dtype(spec))


def _cast(spec: InputSpec, tensor: tf.Tensor) -> tf.Tensor:
    """Returns a parsed tensor in the dtype of the input; an integer is never cut."""
    cast = tf.cast(tensor, spec.dtype) if tensor.dtype != spec.dtype else tensor
    if tensor.dtype != tf.int64 or cast.dtype == tf.int64:
        return cast
    fits = tf.reduce_all(tf.equal(tf.cast(cast, tf.int64), tensor))
    check = tf.debugging.Assert(fits, [f"`{spec.name}` holds a value that {spec.dtype} cannot."])
    with tf.control_dependencies([check]):
        return tf.identity(cast)
