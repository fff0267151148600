"""Layers that scale named tensors of a dictionary; without weights, their numbers are given."""

# What keras.ops returns is inferred as None.
# pyright: reportOptionalOperand=false, reportOptionalSubscript=false
from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

__all__ = ["ScaleTensor", "StandardizeFrames"]


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
