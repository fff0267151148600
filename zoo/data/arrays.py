"""Holds a split in memory: one array a tensor, nothing padded, read once, within a stated number of bytes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

__all__ = ["Arrays", "read_arrays", "tensor_specs", "varying_names"]

_CHUNK = 256  # examples read at a time
_STRING_BYTES = 48  # what a string costs beside its characters, about


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arrays:
    """Every example of a split.

    Attributes:
        tensors: [N, ...] each; where the first axis of an example varies, the examples one behind the other, without
            padding.
        lengths: of the tensors whose first axis varies, the length of each example, int64 [N].
        num_examples: N.
    """

    tensors: Mapping[str, np.ndarray]
    lengths: Mapping[str, np.ndarray]
    num_examples: int


def tensor_specs(examples: tf.data.Dataset) -> dict[str, tf.TensorSpec]:
    """Returns the form of each tensor of an example."""
    spec: Any = examples.element_spec
    return spec


def varying_names(spec: Mapping[str, tf.TensorSpec]) -> list[str]:
    """Returns the names of the tensors whose first axis varies from example to example."""
    return [name for name, tensor in spec.items() if tensor.shape.rank and tensor.shape[0] is None]


def read_arrays(examples: tf.data.Dataset, limit_bytes: int) -> Arrays | None:
    """Reads every example, or returns `None`, early where it can, if the arrays would not fit.

    Args:
        examples: raw examples, unbatched: a dictionary of dense tensors.
        limit_bytes: for the arrays twice, since they are copied once on their way.
    """
    spec = tensor_specs(examples)
    if any(None in tensor.shape[1:] for tensor in spec.values() if tensor.shape.rank):
        return None  # images of any size: padding all of them to the largest is no use
    num_known = max(0, int(examples.cardinality()))
    fixed_bytes = sum(tensor.dtype.size * (tensor.shape.num_elements() or 0) for tensor in spec.values())
    if 2 * num_known * fixed_bytes > limit_bytes:
        return None
    chunks: dict[str, list[np.ndarray]] = {name: [] for name in spec}
    lengths: dict[str, list[np.ndarray]] = {name: [] for name in varying_names(spec)}
    num_bytes, num_seen = 0, 0
    chunk: Any
    for chunk in examples.ragged_batch(_CHUNK):
        for name, tensor in chunk.items():
            if name in lengths:
                lengths[name].append(tensor.row_lengths().numpy())
            flat = tensor.flat_values.numpy() if name in lengths else tensor.numpy()
            num_bytes += flat.nbytes + _string_bytes(flat)
            chunks[name].append(flat)
        num_seen += int(next(iter(chunk.values())).shape[0])
        if 2 * num_bytes > limit_bytes:
            return None
    if not num_seen:
        return None
    return Arrays(
        tensors={name: _join(chunks.pop(name)) for name in spec},
        lengths={name: _join(parts) for name, parts in lengths.items()},
        num_examples=num_seen,
    )


def _string_bytes(tensor: np.ndarray) -> int:
    if tensor.dtype != object:
        return 0
    return sum(len(text) + _STRING_BYTES for text in tensor.ravel())


def _join(chunks: list[np.ndarray]) -> np.ndarray:
    """Returns the chunks one behind the other; empties the list on the way."""
    import numpy as np

    joined = np.empty((sum(map(len, chunks)), *chunks[0].shape[1:]), chunks[0].dtype)
    start = 0
    while chunks:
        chunk = chunks.pop(0)
        joined[start : start + len(chunk)] = chunk
        start += len(chunk)
    return joined
