"""Holds a split in memory: one padded array a tensor, read once, within a stated number of bytes."""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

__all__ = ["Arrays", "read_arrays", "tensor_specs", "varying_names"]

_CHUNK = 1024  # examples read at a time
_STRING_BYTES = 48  # what a string costs beside its characters, about


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arrays:
    """Every example of a split.

    Attributes:
        tensors: [N, ...] each; where the first axis of an example varies, padded with zeros to the longest.
        lengths: of the tensors that were padded, the length of each example, int64 [N].
    """

    tensors: Mapping[str, np.ndarray]
    lengths: Mapping[str, np.ndarray]

    @property
    def num_examples(self) -> int:
        """N."""
        return len(next(iter(self.tensors.values())))


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
    varying = varying_names(spec)
    chunks: dict[str, list[np.ndarray]] = collections.defaultdict(list)
    num_seen = 0
    if not varying and 2 * _array_bytes(spec, {}, num_known) > limit_bytes:
        return None
    longest = dict.fromkeys(varying, 0)
    string_bytes = 0
    chunk: Any
    for chunk in _chunked(examples, varying):
        tensors, lengths = ({name: value.numpy() for name, value in part.items()} for part in chunk)
        num_seen += len(next(iter(tensors.values())))
        longest = {name: max(longest[name], int(lengths[name].max())) for name in varying}
        string_bytes += sum(_string_bytes(tensor) for tensor in tensors.values())
        if 2 * (_array_bytes(spec, longest, max(num_known, num_seen)) + string_bytes) > limit_bytes:
            return None
        for name, tensor in tensors.items():
            chunks[name].append(tensor)
        for name, length in lengths.items():
            chunks[f"length of {name}"].append(length)
    if not num_seen:
        return None
    return Arrays(
        tensors={name: _join(chunks.pop(name), longest.get(name)) for name in spec},
        lengths={name: _join(chunks.pop(f"length of {name}"), None) for name in varying},
    )


def _chunked(examples: tf.data.Dataset, varying: list[str]) -> tf.data.Dataset:
    """Returns chunks of examples, padded, each with the lengths of the tensors in `varying`."""
    import tensorflow as tf

    def with_lengths(example: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        return example, {name: tf.shape(example[name], out_type=tf.int64)[0] for name in varying}

    if varying:
        return examples.map(with_lengths).padded_batch(_CHUNK)
    return examples.batch(_CHUNK, num_parallel_calls=tf.data.AUTOTUNE).map(lambda chunk: (chunk, {}))


def _array_bytes(spec: Mapping[str, tf.TensorSpec], longest: Mapping[str, int], num_examples: int) -> int:
    """Returns the bytes of the joined arrays, strings apart."""
    per_example = 0
    for name, tensor in spec.items():
        axes = [longest.get(name, 0) if axis is None else axis for axis in tensor.shape]
        per_example += tensor.dtype.size * math.prod(axes)
    return num_examples * per_example


def _string_bytes(tensor: np.ndarray) -> int:
    if tensor.dtype != object:
        return 0
    return sum(len(text) + _STRING_BYTES for text in tensor.ravel())


def _join(chunks: list[np.ndarray], longest: int | None) -> np.ndarray:
    """Returns the chunks as one array, padded to `longest` along the second axis; empties the list on the way."""
    import numpy as np

    num_examples = sum(map(len, chunks))
    tail = chunks[0].shape[1:] if longest is None else (longest, *chunks[0].shape[2:])
    fill = b"" if chunks[0].dtype == object else 0
    joined = np.full((num_examples, *tail), fill, chunks[0].dtype)
    start = 0
    while chunks:
        chunk = chunks.pop(0)
        window = joined[start : start + len(chunk)]
        if longest is not None:
            window = window[:, : chunk.shape[1]]
        window[...] = chunk
        start += len(chunk)
    return joined
