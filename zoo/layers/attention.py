"""Attention by products of matrices, attention that knows distances, and attention that sums a sequence up.

Shape glossary: `B` batch, `T` time, `D` width, `H` heads, `K` width of a head.
"""

# What keras.ops returns is inferred as None.
# pyright: reportOptionalMemberAccess=false, reportOptionalOperand=false, reportOptionalSubscript=false
from __future__ import annotations

import keras
import numpy as np
from keras import ops

__all__ = ["MaskedAttentionPooling", "MatMulAttention", "RotaryAttention", "rotated"]


def rotated(x):
    """Turns each half-pair of values of a head by an angle that grows with its position: [B, T, H, K] -> the same.

    The product of two vectors turned so depends on the distance of their positions, not on the positions themselves
    (arXiv 2104.09864, equation 34). We pair value i with value i + K / 2, where the paper pairs neighbours: a
    permutation that the projections before absorb. `K` is even.
    """
    time, width = ops.shape(x)[1], x.shape[-1]
    half = width // 2
    rates = np.exp(-np.log(10_000.0) * np.arange(half) / half).astype("float32")
    angles = ops.expand_dims(ops.arange(time, dtype="float32"), -1) * rates  # [T, K / 2]
    sines, cosines = (ops.cast(turn(angles), x.dtype)[None, :, None, :] for turn in (ops.sin, ops.cos))
    first, second = x[..., :half], x[..., half:]
    return ops.concatenate([first * cosines - second * sines, second * cosines + first * sines], axis=-1)


def _masked_softmax(scores, mask):
    """Returns the weights of `scores` [B, H, T, S] with `mask` [B, T, S] or none; all zeros where nothing is kept."""
    if mask is not None:
        mask = ops.cast(ops.expand_dims(mask, 1), "bool")
        scores = ops.where(mask, scores, ops.cast(-1e4 if scores.dtype == "float16" else -1e9, scores.dtype))
    # Keras's own softmax warns of sequences of one frame; TensorFlow's kernel is the quicker one otherwise.
    weights = ops.ones_like(scores) if scores.shape[-1] == 1 else ops.softmax(scores)
    return weights if mask is None else ops.where(mask, weights, ops.zeros_like(weights))


class MatMulAttention(keras.layers.MultiHeadAttention):
    """Keras's attention, quicker on a processor; weights and answers are those of `keras.layers.MultiHeadAttention`.

    Keras writes the products of queries and keys as an `einsum`, for which TensorFlow takes 2.7 times as long as for
    the same product of matrices (64 sequences of 200 frames, 4 heads of width 24). One axis of time only.
    """

    def _compute_attention(
        self,
        query,
        key,
        value,
        attention_mask=None,
        training=None,
        return_attention_scores=False,
        use_causal_mask=False,
    ):
        """Takes [B, T, H, K] each; returns [B, T, H, K] and the weights [B, H, T, T]."""
        if use_causal_mask:
            causal = self._compute_causal_mask(query, value)
            attention_mask = causal if attention_mask is None else ops.logical_and(attention_mask, causal)
        query = query * ops.cast(self._inverse_sqrt_key_dim, query.dtype)
        scores = ops.matmul(ops.transpose(query, (0, 2, 1, 3)), ops.transpose(key, (0, 2, 3, 1)))
        weights = _masked_softmax(scores, attention_mask)
        kept = self._dropout_layer(weights, training=training) if self._dropout else weights
        answer = ops.matmul(kept, ops.transpose(value, (0, 2, 1, 3)))
        return ops.transpose(answer, (0, 2, 1, 3)), weights


class RotaryAttention(MatMulAttention):
    """Attention with queries and keys turned by their positions (arXiv 2104.09864); any length `T`.

    Weights are those of `keras.layers.MultiHeadAttention`. The override is of a private method, which the tests would
    miss.
    """

    def _compute_attention(self, query, key, *args, **kwargs):
        return super()._compute_attention(rotated(query), rotated(key), *args, **kwargs)


class MaskedAttentionPooling(keras.layers.Layer):
    """Mean of the frames that are data, weighted by a learned query: `x` [B, T, D], `padding_mask` [B, T] -> [B, D].

    The weights are the softmax over frames of `x . query / sqrt(D)`. A sequence without a single frame gives zeros.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True  # time is gone behind this layer, and a mask with it

    def build(self, x_shape, padding_mask_shape):  # pyright: ignore[reportIncompatibleMethodOverride]
        self.query = self.add_weight(name="query", shape=(x_shape[-1],), initializer="glorot_uniform")

    def compute_mask(self, inputs, previous_mask):
        return None

    def call(self, x, padding_mask):
        query = ops.cast(self.query, x.dtype)
        scores = ops.sum(x * query, axis=-1) / float(np.sqrt(x.shape[-1]))  # [B, T]
        scores = ops.where(padding_mask, scores, ops.cast(-1e9, x.dtype))
        # Keras's own softmax warns of sequences of one frame.
        odds = ops.exp(scores - ops.max(scores, axis=-1, keepdims=True)) * ops.cast(padding_mask, x.dtype)
        total = ops.maximum(ops.sum(odds, axis=-1, keepdims=True), keras.config.epsilon())
        return ops.sum(x * ops.expand_dims(odds / total, -1), axis=1)

    def compute_output_shape(self, x_shape, padding_mask_shape):
        return (x_shape[0], x_shape[2])
