"""How weights stand in a SavedModel: each written once, as variables or packed.

`plain` keeps them as a checkpoint beside the graph. `packed` keeps them inside the graph, as entropy-coded indices into
small codebooks where a tensor has few distinct values, and decodes them once when the SavedModel is loaded; what the
signature then reads is bit for bit what went in. Only core operations are used, so any TensorFlow runtime loads both.
"""

from __future__ import annotations

import dataclasses
import uuid
import zlib
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import tensorflow as tf

__all__ = ["PackedWeights", "PlainWeights", "Weights"]

_MAX_VALUES = 256  # an index is one byte


class Weights(Protocol):
    """Weights that a signature reads; to be an attribute of the exported module.

    A protocol and no base class, since TensorFlow's own bases have metaclasses that do not mix.
    """

    def read(self) -> list[tf.Tensor]:
        """Returns the weights in the graph being built, in order."""
        ...


class PlainWeights(tf.Module):
    """Weights as variables of the SavedModel's checkpoint."""

    def __init__(self, arrays: Sequence[np.ndarray]):
        super().__init__()
        self._variables = [tf.Variable(tf.constant(array), trainable=False) for array in arrays]

    def read(self) -> list[tf.Tensor]:
        """Returns the variables' values."""
        return [tf.convert_to_tensor(variable) for variable in self._variables]


@dataclasses.dataclass(frozen=True)
class _Part:
    """One tensor: its shape, its codebook's length, and whether indices point into it (else it is the values)."""

    shape: tuple[int, ...]
    length: int
    indexed: bool

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))


class PackedWeights(tf.saved_model.experimental.TrackableResource):
    """float32 weights as one compressed constant, decoded into one resource variable when the SavedModel is loaded.

    Tensors of other types stand in the graph as they are. There is no `_destroy_resource` on purpose: Python's loader
    would call it as soon as the loaded object is gone, also while one of its signatures is still in use.
    """

    def __init__(self, arrays: Sequence[np.ndarray]):
        super().__init__()
        floats = [np.array(array, order="C") for array in arrays if array.dtype == np.float32]
        self._others = [None if array.dtype == np.float32 else array for array in arrays]
        # Two packed models in one process must not share a variable: the name is theirs alone.
        self._shared_name = f"packed_weights_{uuid.uuid4().hex}"
        self._parts, blob = _pack(floats)
        self._blob = blob
        self._size = max(1, sum(part.size for part in self._parts))
        _ = self.resource_handle
        self._initialize()

    def _create_resource(self):
        return tf.raw_ops.VarHandleOp(dtype=tf.float32, shape=[self._size], shared_name=self._shared_name, container="")

    def _initialize(self):
        flat = _unpack(self._parts, self._blob) if self._parts else tf.zeros([1])
        tf.raw_ops.AssignVariableOp(resource=self.resource_handle, value=flat)

    def read(self) -> list[tf.Tensor]:
        """Returns slices of the decoded variable."""
        flat = tf.raw_ops.ReadVariableOp(resource=self.resource_handle, dtype=tf.float32)
        flat = tf.ensure_shape(flat, [self._size])
        pieces = iter(tf.split(flat, [part.size for part in self._parts]) if self._parts else [])
        shapes = iter(part.shape for part in self._parts)
        return [
            tf.reshape(next(pieces), next(shapes)) if other is None else tf.constant(other) for other in self._others
        ]


def _pack(arrays: Sequence[np.ndarray]) -> tuple[list[_Part], bytes]:
    """Returns the parts, and one compressed blob: all indices as bytes, then all codebooks and values as float32."""
    parts, indices, books = [], [], []
    for array in arrays:
        # By bits, not by value: -0.0 and 0.0 stay apart, and what is decoded is bit for bit what went in.
        book, index = np.unique(array.ravel().view(np.uint32), return_inverse=True)
        indexed = len(book) <= _MAX_VALUES and len(book) * 4 + array.size < array.size * 4
        parts.append(_Part(array.shape, len(book) if indexed else array.size, indexed))
        books.append(book if indexed else array.ravel().view(np.uint32))
        if indexed:
            indices.append(index.astype(np.uint8))
    blob = b"".join(part.tobytes() for part in (*indices, *books))
    return parts, zlib.compress(blob, 9)


def _unpack(parts: Sequence[_Part], blob: bytes) -> tf.Tensor:
    """Returns all weights in a row, float32, in the graph being built."""
    data = tf.io.decode_compressed(tf.constant(blob), "ZLIB")
    num_indices = sum(part.size for part in parts if part.indexed)
    num_values = sum(part.length for part in parts)
    index = tf.cast(tf.io.decode_raw(tf.strings.substr(data, 0, num_indices), tf.uint8), tf.int32)
    values = tf.io.decode_raw(tf.strings.substr(data, num_indices, num_values * 4), tf.float32)
    books = tf.split(values, [part.length for part in parts])
    chunks = iter(tf.split(index, [part.size for part in parts if part.indexed]) if num_indices else [])
    decoded = [tf.gather(book, next(chunks)) if part.indexed else book for part, book in zip(parts, books, strict=True)]
    return tf.concat(decoded, axis=0)
