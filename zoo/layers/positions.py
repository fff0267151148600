"""Positions of frames in a sequence, for layers that would not see an order without them."""

# What keras.ops returns is inferred as None.
# pyright: reportOptionalOperand=false, reportOptionalSubscript=false
from __future__ import annotations

import keras
import numpy as np
from keras import ops

__all__ = ["LearnedPositions", "SinusoidalPositions"]


class SinusoidalPositions(keras.layers.Layer):
    """Adds fixed sines and cosines of position: [B, T, D] -> [B, T, D] (arXiv 1706.03762, section 3.5).

    We lay all sines before all cosines, where the paper lets them alternate; a permutation of the width that the
    following layer absorbs. Any length `T` is possible.
    """

    def call(self, x):
        time, width = ops.shape(x)[1], x.shape[-1]
        half = (width + 1) // 2
        rates = np.exp(-np.log(10_000.0) * np.arange(half) / max(half, 1)).astype("float32")
        angles = ops.expand_dims(ops.arange(time, dtype="float32"), -1) * rates  # [T, D / 2]
        table = ops.concatenate([ops.sin(angles), ops.cos(angles)], axis=-1)[:, :width]
        return x + ops.cast(table, x.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape


class LearnedPositions(keras.layers.Layer):
    """Adds a learned vector per position: [B, T, D] -> [B, T, D] (arXiv 1810.04805).

    Args:
        max_length: number of positions. A longer sequence raises `InvalidArgumentError` when the graph runs, which
            a server answers as INVALID_ARGUMENT, and `ValueError` where the length is known beforehand.
    """

    def __init__(self, max_length: int, **kwargs):
        super().__init__(**kwargs)
        self.max_length = max_length

    def build(self, input_shape):
        self.embeddings = self.add_weight(
            name="embeddings",
            shape=(self.max_length, input_shape[-1]),
            initializer=keras.initializers.TruncatedNormal(stddev=0.02),
        )

    def call(self, x):
        if x.shape[1] is not None and x.shape[1] > self.max_length:
            raise ValueError(f"A sequence of {x.shape[1]} frames is longer than max_length={self.max_length}.")
        # A gather of every position, not a slice: past the table it fails, where a slice would come out short and
        # might broadcast.
        table = ops.convert_to_tensor(self.embeddings)
        positions = _checked_positions(ops.shape(x)[1], self.max_length)
        return x + ops.cast(ops.take(table, positions, axis=0), x.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "max_length": self.max_length}


def _checked_positions(length, max_length: int):
    """Returns `arange(length)`, int32 [T], in a graph that fails when `length` exceeds `max_length`."""
    if isinstance(length, int):
        return ops.arange(length, dtype="int32")
    import tensorflow as tf

    message = f"a sequence is longer than the {max_length} positions of this model; received length:"
    check = tf.debugging.Assert(tf.less_equal(length, max_length), [message, length])
    with tf.control_dependencies([] if check is None else [check]):
        return tf.range(tf.identity(length), dtype=tf.int32)
