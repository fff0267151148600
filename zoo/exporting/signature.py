"""What a caller sends and gets: named tensors, checked in the graph before anything else runs.

A request of a wrong rank that reaches a convolution ends TensorFlow's whole process. The first operations of every
exported signature therefore check each input's shape, in a way that no optimiser of the graph can fold away.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import tensorflow as tf

from zoo.data.base import DataInfo
from zoo.data.pipeline import mask_name
from zoo.errors import ExportError

if TYPE_CHECKING:
    import keras

__all__ = ["InputSpec", "checked_together", "specs_of_data", "specs_of_model"]

_ANY = 2**31 - 1


@dataclasses.dataclass(frozen=True)
class InputSpec:
    """One input of a signature: its shape with the batch axis, `None` where a length is free, and its dtype."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str

    def tensor_spec(self) -> tf.TensorSpec:
        """Returns it as `tf.function` takes it."""
        return tf.TensorSpec(self.shape, tf.as_dtype(self.dtype), name=self.name)


def specs_of_data(info: DataInfo, targets: Sequence[str]) -> list[InputSpec]:
    """Returns the raw inputs of a data set: every tensor of an example that is no target, and `padding_mask`.

    As in the training pipeline, a tensor whose first axis varies comes padded and with a mask.
    """
    inputs = {name: tensor for name, tensor in info.tensors.items() if name not in targets}
    varying = [name for name, tensor in inputs.items() if tensor.shape and tensor.shape[0] is None]
    specs = [InputSpec(name, (None, *tensor.shape), tensor.dtype) for name, tensor in inputs.items()]
    for name in varying:
        specs.append(InputSpec(mask_name(name, varying), (None, None), "bool"))
    return specs


def specs_of_model(model: keras.Model) -> list[InputSpec]:
    """Returns the inputs of a model as its signature's inputs.

    Raises:
        ExportError: the model is not functional, or two inputs share a name.
    """
    if not getattr(model, "inputs", None):
        raise ExportError(
            f"Export needs a built functional or sequential `keras.Model`. Received: {type(model).__name__}. "
            "Give a subclassed model a functional shell: `keras.Model(inputs, model(inputs))`."
        )
    named = model.input if isinstance(model.input, dict) else {tensor.name: tensor for tensor in model.inputs}
    if len(named) != len(model.inputs):
        raise ExportError(f"Each input of {model.name!r} needs a name of its own: `keras.Input(..., name=...)`.")
    return [InputSpec(name, tuple(tensor.shape), tensor.dtype) for name, tensor in named.items()]


def _checked(spec: InputSpec, tensor: tf.Tensor) -> tf.Tensor:
    """Returns `tensor`, in a graph that answers INVALID_ARGUMENT with our own words to any other shape.

    No axis may be empty; a batch of zero rows or a sequence of zero frames is refused.
    """
    # The signature's static shape would let the optimiser decide the check beforehand: hide it.
    free = tf.raw_ops.PlaceholderWithDefault(input=tensor, shape=tf.TensorShape(None))  # pyright: ignore[reportArgumentType]
    rank = len(spec.shape)
    # Padded by zeros to rank + 1 entries, so that every rank can be compared in one operation.
    sizes = tf.concat([tf.shape(free), [0] * (rank + 1)], axis=0)[: rank + 1]
    caps = [1 if size is None else _ANY for size in spec.shape] + [_ANY]
    wanted = [1 if size is None else size for size in spec.shape] + [0]
    fits = tf.reduce_all(tf.equal(tf.minimum(sizes, caps), wanted))
    message = f"`{spec.name}` must be {spec.dtype} of shape {_spelled(spec)}, no axis empty. Received shape:"
    check = tf.debugging.Assert(fits, [message, tf.shape(free)], summarize=16)
    with tf.control_dependencies([check]):
        return tf.ensure_shape(tf.identity(free), spec.shape)


def checked_together(specs: Sequence[InputSpec], tensors: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Returns the tensors by name, each checked by itself, all for one batch size, a sequence and its mask for length.

    A mask belongs to the sequence whose `mask_name` it has; other inputs may differ in length.
    """
    passed = {spec.name: _checked(spec, tensors[spec.name]) for spec in specs}
    checks = []
    batched = [spec.name for spec in specs if spec.shape and spec.shape[0] is None]
    for axis, label, names in ((0, "batch size", batched), *((1, "length", pair) for pair in _masked(specs))):
        sizes = [tf.shape(passed[name])[axis] for name in names]
        if len(sizes) > 1:
            message = f"{' and '.join(f'`{name}`' for name in names)} must have the same {label}. Received:"
            checks.append(tf.debugging.Assert(tf.reduce_all(tf.equal(sizes, sizes[0])), [message, sizes]))
    with tf.control_dependencies(checks):
        return {name: tf.identity(tensor) for name, tensor in passed.items()}


def _masked(specs: Sequence[InputSpec]) -> list[list[str]]:
    """Returns each sequence that has a mask among the inputs, and that mask."""
    free = [spec for spec in specs if len(spec.shape) > 1 and spec.shape[1] is None]
    sequences = [spec.name for spec in free if spec.dtype != "bool"]
    masks = {spec.name for spec in free if spec.dtype == "bool"}
    return [[name, mask] for name in sequences if (mask := mask_name(name, sequences)) in masks]


def _spelled(spec: InputSpec) -> str:
    names = ["batch", "length", *(f"size{axis}" for axis in range(2, len(spec.shape)))]
    return "[" + ", ".join(names[axis] if size is None else str(size) for axis, size in enumerate(spec.shape)) + "]"
