"""Where a packed signature reads its weights: variables that one operation fills when the SavedModel is loaded."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from zoo.exporting.packing.decoding import Packed, shaped

__all__ = ["Store"]

_OWN_VARIABLE = 8192  # values; below, tensors share one, and a call copies its slice
_IN_GRAPH = 64  # values of another type than float32 that stand in the graph
_READ_AS = {tf.uint32: tf.int32, tf.uint64: tf.int64}  # TensorFlow decodes no such bytes


@dataclasses.dataclass(frozen=True)
class _Place:
    """A variable of the graph and the arrays that it holds in a row."""

    name: str
    dtype: tf.DType
    shape: tuple[int, ...]
    arrays: tuple[int, ...]

    def handle(self) -> tf.Tensor:
        return tf.raw_ops.VarHandleOp(dtype=self.dtype, shape=self.shape, shared_name=self.name, container="")

    def value(self) -> tf.Tensor:
        read = tf.raw_ops.ReadVariableOp(resource=self.handle(), dtype=self.dtype)
        read.set_shape(self.shape)
        return read


class Store:
    """Arrays for a signature to read; float32 is packed, other types stand in the graph or in raw bytes.

    Args:
        arrays: of any types that a graph holds.
    """

    def __init__(self, arrays: Sequence[np.ndarray]):
        self._arrays = [np.asarray(array) for array in arrays]
        self._places: list[_Place] = []
        small = []
        for index, array in enumerate(self._arrays):
            if array.dtype == np.float32 and array.size < _OWN_VARIABLE:
                small.append(index)
            elif array.dtype == np.float32 or array.size > _IN_GRAPH:
                self._add(array.shape, (index,))
        if small:
            self._add((sum(self._arrays[index].size for index in small),), tuple(small))

    def _add(self, shape: tuple[int, ...], arrays: tuple[int, ...]) -> None:
        dtype = tf.as_dtype(self._arrays[arrays[0]].dtype)
        self._places.append(_Place(f"v{len(self._places)}", dtype, shape, arrays))

    def add(self, array: np.ndarray) -> tuple[str, tf.DType, tuple[int, ...]]:
        """Takes one more float32 array, to a variable of its own; returns the variable's name, type and shape."""
        self._arrays.append(array)
        self._add(array.shape, (len(self._arrays) - 1,))
        place = self._places[-1]
        return place.name, place.dtype, place.shape

    @functools.cached_property
    def _packed(self) -> tuple[list[int], Packed]:
        """The indices of the float32 arrays, and these arrays packed."""
        floats = [i for place in self._places if place.dtype == tf.float32 for i in place.arrays]
        return floats, Packed.of([self._arrays[index] for index in floats])

    @property
    def blob(self) -> bytes:
        """The compressed weights."""
        return self._packed[1].blob

    def read(self) -> list[tf.Tensor]:
        """Returns the arrays as tensors of the graph being built, in order."""
        read: dict[int, tf.Tensor] = {}
        for place in self._places:
            sizes = [self._arrays[index].size for index in place.arrays]
            parts = tf.split(place.value(), sizes) if len(sizes) > 1 else [place.value()]
            for index, part in zip(place.arrays, parts, strict=True):
                read[index] = shaped(part, self._arrays[index].shape)
        return [read[i] if i in read else tf.constant(array) for i, array in enumerate(self._arrays)]

    def fill(self, path: tf.Tensor | None = None) -> list[tf.Operation]:
        """Returns the operations that fill the variables, in the graph being built.

        Args:
            path: string [], of the file with `blob`; by default the blob stands in the graph.
        """
        floats, packed = self._packed
        if path is None:
            # Hidden behind a placeholder, or a runtime's constant folding decodes it all once more beforehand.
            blob: Any = tf.raw_ops.PlaceholderWithDefault(input=tf.constant(packed.blob), shape=[])
        else:
            blob = tf.io.read_file(path)
        decoded = dict(zip(floats, packed.decode(blob), strict=True))
        filled = []
        for place in self._places:
            if place.dtype != tf.float32:
                value = _raw(self._arrays[place.arrays[0]])
            elif len(place.arrays) == 1:
                value = shaped(decoded[place.arrays[0]], place.shape)
            else:
                flat = [shaped(decoded[index], [self._arrays[index].size]) for index in place.arrays]
                value = tf.concat(flat, axis=0)
            filled.append(tf.raw_ops.AssignVariableOp(resource=place.handle(), value=value))
        return filled


def _raw(array: np.ndarray) -> tf.Tensor:
    """Returns an array of any numeric type; TensorFlow's constants fold, bytes do not."""
    blob = tf.raw_ops.PlaceholderWithDefault(input=tf.constant(np.ascontiguousarray(array).tobytes()), shape=[])
    read = _READ_AS.get(tf.as_dtype(array.dtype), tf.as_dtype(array.dtype))
    values = tf.io.decode_raw(blob, read)
    return tf.reshape(values if read == array.dtype else tf.bitcast(values, array.dtype), array.shape)
