"""What a caller sends and gets: named tensors, checked in the graph before anything else runs.

A request of a wrong rank that reaches a convolution ends TensorFlow's whole process. The first operations of every
exported signature therefore check each input's shape, in a way that no optimiser of the graph can fold away.
"""

from __future__ import annotations

import dataclasses
import keyword
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import tensorflow as tf

from zoo.data.base import DataInfo
from zoo.errors import ExportError

if TYPE_CHECKING:
    import keras

__all__ = ["InputSpec", "checked_together", "specs_of_data", "specs_of_model"]

_ANY = 2**31 - 1


@dataclasses.dataclass(frozen=True)
class InputSpec:
    """One input of a signature: its shape with the batch axis, `None` where a length is free, and its dtype.

    `mask` is the name of the input that says which entries of the second axis are data, where there is one.

    Raises:
        ExportError: TensorFlow takes no such name for the argument of a signature.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    mask: str | None = None

    def __post_init__(self) -> None:
        if not self.name.isidentifier() or keyword.iskeyword(self.name) or self.name == "self":
            raise ExportError(
                "An input of a signature is named as a variable of Python is, with letters, digits and underscores. "
                f"Received: {self.name!r}. Give it another name: `keras.Input(..., name=...)`."
            )

    def tensor_spec(self) -> tf.TensorSpec:
        """Returns it as `tf.function` takes it."""
        return tf.TensorSpec(self.shape, tf.as_dtype(self.dtype), name=self.name)


def specs_of_data(info: DataInfo, needed: Collection[str]) -> list[InputSpec]:
    """Returns the raw inputs of a data set: the tensors of an example that are `needed`, with their masks.

    As in the training pipeline, a tensor whose first axis varies comes padded and with a mask.
    """
    masks = {name: mask for name, mask in info.mask_names().items() if name in needed}
    inputs = {name: tensor for name, tensor in info.tensors.items() if name in needed}
    specs = [InputSpec(name, (None, *tensor.shape), tensor.dtype, masks.get(name)) for name, tensor in inputs.items()]
    return specs + [InputSpec(mask, (None, None), "bool") for mask in masks.values()]


def specs_of_model(model: keras.Model) -> list[InputSpec]:
    """Returns the inputs of a functional model as its signature's inputs.

    Raises:
        ExportError: two inputs share a name.
    """
    named = model.input if isinstance(model.input, dict) else {tensor.name: tensor for tensor in model.inputs}
    if len(named) != len(model.inputs):
        raise ExportError(f"Each input of {model.name!r} needs a name of its own: `keras.Input(..., name=...)`.")
    masks = _masks_of(named)
    return [InputSpec(name, tuple(tensor.shape), tensor.dtype, masks.get(name)) for name, tensor in named.items()]


def _masks_of(named: Mapping[str, keras.KerasTensor]) -> dict[str, str]:
    """Returns the mask of each sequence of a model that names one after it; of a single sequence, `padding_mask`."""
    free = {name: tensor for name, tensor in named.items() if len(tensor.shape) > 1 and tensor.shape[1] is None}
    sequences = [name for name, tensor in free.items() if tensor.dtype != "bool"]
    masks = {name: f"{name}_padding_mask" for name in sequences}
    if len(sequences) == 1 and "padding_mask" in free:
        masks = {sequences[0]: "padding_mask"}
    return {name: mask for name, mask in masks.items() if mask in free}


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

    Inputs without a mask may differ in length.
    """
    passed = {spec.name: _checked(spec, tensors[spec.name]) for spec in specs}
    checks = []
    batched = [spec.name for spec in specs if spec.shape and spec.shape[0] is None]
    for axis, label, names in ((0, "batch size", batched), *((1, "length", [s.name, s.mask]) for s in specs if s.mask)):
        sizes = [tf.shape(passed[name])[axis] for name in names]
        if len(sizes) > 1:
            message = f"{' and '.join(f'`{name}`' for name in names)} must have the same {label}. Received:"
            checks.append(tf.debugging.Assert(tf.reduce_all(tf.equal(sizes, sizes[0])), [message, sizes]))
    with tf.control_dependencies(checks):
        return {name: tf.identity(tensor) for name, tensor in passed.items()}


def _spelled(spec: InputSpec) -> str:
    names = ["batch", "length", *(f"size{axis}" for axis in range(2, len(spec.shape)))]
    return "[" + ", ".join(names[axis] if size is None else str(size) for axis, size in enumerate(spec.shape)) + "]"
