"""The Transformer's encoder block, as a piece of a functional graph (arXiv 1706.03762, section 3.1)."""

from __future__ import annotations

import keras
from keras import layers

from zoo.layers.attention import MatMulAttention, RotaryAttention

__all__ = ["encoder_block"]


def encoder_block(
    x: keras.KerasTensor,
    padding_mask: keras.KerasTensor | None,
    *,
    num_heads: int,
    mlp_width: int,
    dropout: float,
    norm_first: bool,
    name: str,
    rotary: bool = False,
) -> keras.KerasTensor:
    """Self-attention and a two-layer perceptron, each with a residual path: [B, T, D] -> [B, T, D].

    Args:
        x: float [B, T, D]; `D` must be divisible by `num_heads`.
        padding_mask: bool [B, T], True where there is data, or None where nothing is padded. Padded frames are never
            attended to; their own outputs mean nothing.
        num_heads: attention heads, each of width `D / num_heads`.
        mlp_width: units of the perceptron's hidden layer (GELU).
        dropout: rate on attention weights and on both residual branches.
        norm_first: normalise before each branch (arXiv 2002.04745, trains without warm-up) or after the sum, as the
            original does.
        name: prefix of every layer's name.
        rotary: turn queries and keys by their positions; the width of a head must then be even.
    """
    width = x.shape[-1]

    def attend(x):
        kind = RotaryAttention if rotary else MatMulAttention
        layer = kind(num_heads, width // num_heads, dropout=dropout, name=f"{name}_attention")
        return layer(x, x, key_mask=padding_mask)

    def perceive(x):
        x = layers.Dense(mlp_width, activation="gelu", name=f"{name}_mlp1")(x)
        return layers.Dense(width, name=f"{name}_mlp2")(x)

    for branch, label in ((attend, "attention"), (perceive, "mlp")):
        norm = layers.LayerNormalization(epsilon=1e-6, name=f"{name}_{label}_norm")
        drop = layers.Dropout(dropout, name=f"{name}_{label}_dropout")
        add = layers.Add(name=f"{name}_{label}_add")
        x = add([x, drop(branch(norm(x)))]) if norm_first else norm(add([x, drop(branch(x))]))
    return x
