"""Layers of a speech recogniser: subsampling that keeps to the data, and blanks for padded frames.

Shape glossary: `B` batch, `T` time, `D` width, `S` symbols, the blank last.
"""

# What keras.ops returns is inferred as None.
# pyright: reportOptionalOperand=false, reportOptionalSubscript=false
from __future__ import annotations

import keras
import numpy as np
from keras import ops

__all__ = ["BlankPadding", "StridedMask"]

_LOWEST = -1e9


class BlankPadding(keras.layers.Layer):
    """Makes padded frames say nothing: `logits` [B, T, S], `padding_mask` bool [B, T] -> [B, T, S].

    There the blank gets 0 and every other symbol -1e9, so that a padded frame adds log 1 = 0 to the log-probability of
    any text: loss and answers are those of the frames that are data, whoever computes them.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True  # what a mask says, the logits say behind this layer

    def compute_mask(self, inputs, previous_mask):
        return None

    def call(self, logits, padding_mask):
        blank_only = np.full(logits.shape[-1], _LOWEST, "float32")
        blank_only[-1] = 0
        return ops.where(ops.expand_dims(padding_mask, -1), logits, ops.cast(blank_only, logits.dtype))

    def compute_output_shape(self, logits_shape, padding_mask_shape):
        return logits_shape


class StridedMask(keras.layers.Layer):
    """The mask behind a convolution of stride `stride` that pads alike on both sides: bool [B, T] -> [B, ceil(T / s)].

    Frame `k` has its centre at frame `k * stride` before, and is data where that is.
    """

    def __init__(self, stride: int = 2, **kwargs):
        super().__init__(**kwargs)
        self.stride = stride

    def call(self, padding_mask):
        return padding_mask[:, :: self.stride]

    def compute_output_shape(self, padding_mask_shape):
        batch, time = padding_mask_shape
        return (batch, None if time is None else -(-time // self.stride))

    def get_config(self):
        return {**super().get_config(), "stride": self.stride}
