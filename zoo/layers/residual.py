"""Pieces of residual networks.

Shape glossary: `B` batch, `h` and `w` height and width of a feature map, `C` channels.
"""

from __future__ import annotations

import keras
from keras import ops

__all__ = ["ZeroShortcut"]


class ZeroShortcut(keras.layers.Layer):
    """An identity between maps of unlike size, without weights: [B, h, w, C] -> [B, ceil(h / s), ceil(w / s), filters].

    Every `stride`-th row and column is kept and the new channels are zeros, behind those there are: option A of
    arXiv 1512.03385, section 3.3.

    Args:
        filters: channels of the answer; no fewer than those of the input.
        stride: `s`.
    """

    def __init__(self, filters: int, stride: int = 1, **kwargs):
        super().__init__(**kwargs)
        self.filters, self.stride = filters, stride

    def build(self, input_shape):
        if input_shape[-1] > self.filters:
            raise ValueError(f"`filters` must be at least {input_shape[-1]}. Received: filters={self.filters}.")

    def call(self, x):
        x = x[:, :: self.stride, :: self.stride]
        return ops.pad(x, [[0, 0], [0, 0], [0, 0], [0, self.filters - x.shape[-1]]])

    def compute_output_shape(self, input_shape):
        batch, height, width, _ = input_shape
        sizes = [None if size is None else -(-size // self.stride) for size in (height, width)]
        return (batch, *sizes, self.filters)

    def get_config(self):
        return {**super().get_config(), "filters": self.filters, "stride": self.stride}
