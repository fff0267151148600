"""Layers that keep padding out of an answer.

A `padding_mask` bool [B, T] is True where there is data. Padding stands at the end of a sequence, and an answer must
not depend on how much of it there is.
"""

# What keras.ops returns is inferred as None.
# pyright: reportOptionalOperand=false, reportOptionalSubscript=false
from __future__ import annotations

import keras
from keras import ops

__all__ = ["MaskPadding", "MaskedAveragePooling", "MaskedMaxPooling", "PoolMask"]


class MaskPadding(keras.layers.Layer):
    """Sets padded frames to zero: `x` [B, T, D], `padding_mask` bool [B, T] -> [B, T, D].

    Behind each layer with a bias or a kernel wider than one frame, so that the next layer meets the zeros it would
    have met at the end of an unpadded sequence.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True  # what a mask says, the zeros say behind this layer

    def compute_mask(self, inputs, previous_mask):
        return None

    def call(self, x, padding_mask):
        return x * ops.expand_dims(ops.cast(padding_mask, x.dtype), -1)

    def compute_output_shape(self, x_shape, padding_mask_shape):
        return x_shape


class PoolMask(keras.layers.Layer):
    """The mask after a pooling with "same" padding: bool [B, T] -> bool [B, ceil(T / pool_size)].

    A window counts as data when any frame in it does.
    """

    def __init__(self, pool_size: int = 2, **kwargs):
        super().__init__(**kwargs)
        self.pool_size = pool_size

    def call(self, padding_mask):
        valid = ops.expand_dims(ops.cast(padding_mask, "float32"), -1)
        pooled = ops.max_pool(valid, self.pool_size, padding="same")
        return ops.squeeze(pooled, -1) > 0.5

    def compute_output_shape(self, padding_mask_shape):
        batch, time = padding_mask_shape
        return (batch, None if time is None else -(-time // self.pool_size))

    def compute_output_spec(self, padding_mask):
        return keras.KerasTensor(self.compute_output_shape(padding_mask.shape), dtype="bool")

    def get_config(self):
        return {**super().get_config(), "pool_size": self.pool_size}


class MaskedAveragePooling(keras.layers.Layer):
    """Mean over the frames that are data: `x` [B, T, D], `padding_mask` bool [B, T] -> [B, D].

    A sequence without a single frame gives zeros, not NaN.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True  # time is gone behind this layer, and a mask with it

    def compute_mask(self, inputs, previous_mask):
        return None

    def call(self, x, padding_mask):
        weights = ops.expand_dims(ops.cast(padding_mask, x.dtype), -1)
        return ops.sum(x * weights, axis=1) / ops.maximum(ops.sum(weights, axis=1), 1.0)

    def compute_output_shape(self, x_shape, padding_mask_shape):
        return (x_shape[0], x_shape[2])


class MaskedMaxPooling(keras.layers.Layer):
    """Maximum over the frames that are data: `x` [B, T, D], `padding_mask` bool [B, T] -> [B, D].

    A sequence without a single frame gives zeros.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def compute_mask(self, inputs, previous_mask):
        return None

    def call(self, x, padding_mask):
        valid = ops.expand_dims(padding_mask, -1)
        lowest = ops.cast(-1e9, x.dtype)
        pooled = ops.max(ops.where(valid, x, lowest), axis=1)
        return ops.where(ops.any(valid, axis=1), pooled, ops.zeros_like(pooled))

    def compute_output_shape(self, x_shape, padding_mask_shape):
        return (x_shape[0], x_shape[2])
