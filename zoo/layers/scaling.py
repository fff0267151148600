"""Layers that scale named tensors of a dictionary, in value or in size; without weights."""

# What keras.ops returns is inferred as None.
# pyright: reportOptionalOperand=false, reportOptionalSubscript=false
from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

__all__ = ["NormalizeUtterances", "ResizeImages", "ScaleTensor", "StandardizeFrames"]


class ScaleTensor(keras.layers.Layer):
    """Multiplies one tensor of a dictionary by a number, as float32; any shape. The others pass through."""

    def __init__(self, tensor: str, scale: float, **kwargs):
        super().__init__(**kwargs, trainable=False)
        self.tensor, self.scale = tensor, scale

    def call(self, tensors, training=False):
        return {**tensors, self.tensor: ops.cast(tensors[self.tensor], "float32") * self.scale}


class StandardizeFrames(keras.layers.Layer):
    """Subtracts a mean and divides by a deviation, [D] each, in one tensor [B, T, D]; padded frames become zeros.

    The mask is the dictionary's `padding_mask` bool [B, T], where it has one. The other tensors pass through.
    """

    def __init__(self, tensor: str, mean: Sequence[float], std: Sequence[float], **kwargs):
        super().__init__(**kwargs, trainable=False)
        self.tensor = tensor
        self.mean, self.std = np.asarray(mean, "float32"), np.asarray(std, "float32")

    def call(self, tensors, training=False):
        normal = (ops.cast(tensors[self.tensor], "float32") - self.mean) / self.std
        if "padding_mask" in tensors:
            normal = ops.where(ops.expand_dims(tensors["padding_mask"], -1), normal, 0.0)
        return {**tensors, self.tensor: normal}


class NormalizeUtterances(keras.layers.Layer):
    """Gives each of the `D` values mean 0 and variance 1 over each sequence's own frames in one tensor [B, T, D].

    A value that does not change in a sequence becomes zeros, as do padded frames. The mask is the dictionary's
    `padding_mask` bool [B, T], where it has one. The other tensors pass through.
    """

    def __init__(self, tensor: str, **kwargs):
        super().__init__(**kwargs, trainable=False)
        self.tensor = tensor

    def call(self, tensors, training=False):
        frames = ops.cast(tensors[self.tensor], "float32")
        if "padding_mask" in tensors:
            real = ops.expand_dims(tensors["padding_mask"], -1)  # [B, T, 1]
        else:
            real = ops.full_like(frames[..., :1], True, dtype="bool")
        count = ops.maximum(ops.sum(ops.cast(real, "float32"), axis=1, keepdims=True), 1.0)
        mean = ops.sum(ops.where(real, frames, 0.0), axis=1, keepdims=True) / count  # [B, 1, D]
        centred = ops.where(real, frames - mean, 0.0)
        variance = ops.sum(ops.square(centred), axis=1, keepdims=True) / count
        # Below this it is the rounding of equal numbers.
        rounding = ops.maximum(ops.square(mean), 1e-10) * 1e-10
        changes = variance > rounding
        scale = ops.where(changes, ops.rsqrt(ops.where(changes, variance, 1.0)), 0.0)
        return {**tensors, self.tensor: centred * scale}


class ResizeImages(keras.layers.Layer):
    """Resamples one tensor [B, H, W, C] to float32 [B, height, width, C], bilinearly and without aliasing."""

    def __init__(self, tensor: str, height: int, width: int, **kwargs):
        super().__init__(**kwargs, trainable=False)
        self.tensor, self.height, self.width = tensor, height, width

    def call(self, tensors, training=False):
        import tensorflow as tf

        images = tf.cast(tensors[self.tensor], tf.float32)
        return {**tensors, self.tensor: tf.image.resize(images, [self.height, self.width], antialias=True)}
