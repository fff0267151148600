"""The Conformer block as a piece of a functional graph (arXiv 2005.08100, section 2).

Shape glossary: `B` batch, `T` time, `D` width.
"""

from __future__ import annotations

import keras
from keras import layers

from zoo.layers.attention import MatMulAttention
from zoo.layers.masking import MaskPadding

__all__ = ["conformer_block"]


def conformer_block(
    x: keras.KerasTensor,
    padding_mask: keras.KerasTensor,
    *,
    num_heads: int,
    mlp_width: int,
    kernel_size: int,
    dropout: float,
    name: str,
) -> keras.KerasTensor:
    """Half a perceptron, self-attention, convolution, half a perceptron, each with a residual path, then a norm.

    [B, T, D] -> [B, T, D]. Where we differ from the paper: the convolution is followed by a layer normalisation in
    place of a batch normalisation, so that no statistic depends on padding, and attention has no relative positions;
    give `x` positions before the first block.

    Args:
        x: float [B, T, D]; `D` must be divisible by `num_heads`.
        padding_mask: bool [B, T], True where there is data.
        num_heads: attention heads, each of width `D / num_heads`.
        mlp_width: units of the perceptrons' hidden layers (swish).
        kernel_size: frames that a kernel of the depthwise convolution sees; odd.
        dropout: rate on attention weights and on every residual branch.
        name: prefix of every layer's name.
    """
    width = x.shape[-1]

    def perceive(x, part):
        x = layers.Dense(mlp_width, activation="silu", name=f"{name}_{part}_dense1")(x)
        x = layers.Dropout(dropout, name=f"{name}_{part}_dense_dropout")(x)
        x = layers.Dense(width, name=f"{name}_{part}_dense2")(x)
        return layers.Rescaling(0.5, name=f"{name}_{part}_half")(x)

    def attend(x, part):
        layer = MatMulAttention(num_heads, width // num_heads, dropout=dropout, name=f"{name}_{part}_heads")
        return layer(x, x, key_mask=padding_mask)

    def convolve(x, part):
        value = layers.Dense(width, name=f"{name}_{part}_value")(x)
        gate = layers.Dense(width, activation="sigmoid", name=f"{name}_{part}_gate")(x)
        x = layers.Multiply(name=f"{name}_{part}_gated")([value, gate])
        x = MaskPadding(name=f"{name}_{part}_mask")(x, padding_mask)
        x = layers.DepthwiseConv1D(kernel_size, padding="same", name=f"{name}_{part}_depthwise")(x)
        x = layers.LayerNormalization(epsilon=1e-6, name=f"{name}_{part}_inner_norm")(x)
        x = layers.Activation("silu", name=f"{name}_{part}_silu")(x)
        return layers.Dense(width, name=f"{name}_{part}_pointwise")(x)

    for branch, part in ((perceive, "mlp_a"), (attend, "attention"), (convolve, "conv"), (perceive, "mlp_b")):
        y = layers.LayerNormalization(epsilon=1e-6, name=f"{name}_{part}_norm")(x)
        y = layers.Dropout(dropout, name=f"{name}_{part}_dropout")(branch(y, part))
        x = layers.Add(name=f"{name}_{part}_add")([x, y])
    return layers.LayerNormalization(epsilon=1e-6, name=f"{name}_norm")(x)
