"""Cross-entropy and accuracy against class ids or against shares of classes.

Shape glossary: `B` batch, `N` classes.
"""

# What keras.ops returns is inferred as None.
# pyright: reportOptionalOperand=false
from __future__ import annotations

import keras
import tensorflow as tf
from keras import ops

__all__ = ["CrossEntropy", "matches"]


class CrossEntropy(keras.losses.Loss):
    """Cross-entropy of `logits` [B, N] against class ids [B] or shares of classes [B, N].

    Args:
        label_smoothing: share of each label that is spread over all classes (arXiv 1512.00567).
        label: name of the labels' tensor, for what is said of a class id that the model does not know.
    """

    def __init__(self, label_smoothing: float = 0.0, label: str = "label", **kwargs):
        super().__init__(**kwargs)
        self.label_smoothing = label_smoothing
        self.label = label

    def call(self, y_true, y_pred):
        """Returns the cross-entropy of each example, [B]; fails where a class id is not from 0 to N-1."""
        if len(y_true.shape) < len(y_pred.shape):
            ids = self._known(ops.cast(y_true, "int32"), y_pred.shape[-1])
            if not self.label_smoothing:
                return ops.sparse_categorical_crossentropy(ids, y_pred, from_logits=True)
            y_true = ops.one_hot(ids, y_pred.shape[-1], dtype=y_pred.dtype)
        shares = y_true * (1 - self.label_smoothing) + self.label_smoothing / y_pred.shape[-1]
        return ops.categorical_crossentropy(shares, y_pred, from_logits=True)

    def _known(self, ids, num_classes):
        """Returns class ids, after a check that each is one; cross-entropy alone answers NaN or 0 for others."""
        message = f"`{self.label}` holds a class id outside 0 to {num_classes - 1}, the classes of the model:"
        is_known = tf.logical_and(ids >= 0, ids < num_classes)
        strange = tf.boolean_mask(ids, tf.logical_not(is_known))
        with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(is_known), [message, strange], summarize=8)]):
            return tf.identity(ids)

    def get_config(self):
        return {**super().get_config(), "label_smoothing": self.label_smoothing, "label": self.label}


def matches(y_true, y_pred):
    """Returns 1.0 where the largest logit [B, N] is that of the class id [B] or of the largest share [B, N]."""
    if len(y_true.shape) == len(y_pred.shape):
        y_true = ops.argmax(y_true, axis=-1)
    return ops.cast(ops.equal(ops.cast(y_true, "int32"), ops.cast(ops.argmax(y_pred, axis=-1), "int32")), "float32")
