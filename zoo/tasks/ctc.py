"""Connectionist temporal classification: loss, error rate and decoding (Graves et al. 2006, ICML).

Shape glossary: `B` batch, `T` frames, `L` symbols of the longest text, `S` symbols with the blank, which is the last.
A padded frame is one whose symbols other than the blank all have logits below -1e8, as `BlankPadding` leaves them.
"""

# What keras.ops returns is inferred as None.
# pyright: reportOptionalOperand=false
from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

__all__ = ["CTCLoss", "SymbolErrorRate", "decoded", "num_frames"]

_LOWEST = -1e8


def num_frames(logits: Any) -> tf.Tensor:
    """Returns how many frames of each example are data: [B, T, S] -> int32 [B]."""
    is_data = tf.reduce_max(logits[..., :-1], axis=-1) > _LOWEST
    return tf.reduce_sum(tf.cast(is_data, tf.int32), axis=-1)


def decoded(logits: tf.Tensor, beam_width: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the best symbols int64 [B, L], -1 behind the end, and their log-probability float32 [B].

    Args:
        logits: [B, T, S].
        beam_width: prefixes kept at each frame; with 1, the best symbol of each frame.
    """
    time_major = tf.transpose(tf.nn.log_softmax(tf.cast(logits, tf.float32)), [1, 0, 2])
    lengths = num_frames(logits)
    if beam_width == 1:
        (paths,), negative = tf.nn.ctc_greedy_decoder(time_major, lengths)
        log_probability = -negative
    else:
        (paths,), log_probability = tf.nn.ctc_beam_search_decoder(time_major, lengths, beam_width, top_paths=1)
    return tf.sparse.to_dense(paths, default_value=-1), log_probability[:, 0]


def _sparse(labels: Any) -> tf.SparseTensor:
    """Returns symbols [B, L], -1 behind the end, as a sparse int32 tensor."""
    labels = tf.cast(labels, tf.int32)
    places = tf.where(labels >= 0)
    return tf.SparseTensor(places, tf.gather_nd(labels, places), tf.shape(labels, out_type=tf.int64))


class CTCLoss(keras.losses.Loss):
    """-log p(symbols | logits) of each example: labels [B, L], -1 behind the end, and logits [B, T, S] -> [B].

    An example with fewer frames than its symbols need has no alignment; it counts as 0 and has no gradient.
    """

    def call(self, y_true, y_pred):
        v1: Any = tf.compat.v1  # its operation is the one that is quick on a processor
        with tf.device("CPU:0"):
            return v1.nn.ctc_loss(
                _sparse(y_true),
                tf.cast(y_pred, tf.float32),
                num_frames(y_pred),
                time_major=False,
                ignore_longer_outputs_than_inputs=True,
            )


class SymbolErrorRate(keras.metrics.Metric):
    """Edits that make the best symbol of each frame into the true symbols, per true symbol."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.edits = self.add_weight(name="edits", initializer="zeros")
        self.symbols = self.add_weight(name="symbols", initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Takes in labels [B, L] and logits [B, T, S]."""
        paths, _ = decoded(y_pred, 1)
        truth = _sparse(y_true)
        rows = tf.cast(truth.dense_shape[0], tf.int32)
        answer = _sparse(tf.ensure_shape(paths, [None, None]))
        edits = tf.edit_distance(tf.cast(answer, tf.int32), truth, normalize=False)
        self.edits.assign_add(tf.reduce_sum(edits[:rows]))
        self.symbols.assign_add(tf.cast(tf.size(truth.values), tf.float32))

    def result(self):
        """Returns edits per true symbol; 0 before the first."""
        return self.edits / tf.maximum(tf.convert_to_tensor(self.symbols), 1.0)
