"""Cross-entropy and accuracy against class ids or against shares of classes.

Shape glossary: `B` batch, `N` classes.
"""

# What keras.ops returns is inferred as None.
# pyright: reportOptionalOperand=false
from __future__ import annotations

import keras
from keras import ops

__all__ = ["CrossEntropy", "matches"]


class CrossEntropy(keras.losses.Loss):
    """Cross-entropy of `logits` [B, N] against class ids [B] or shares of classes [B, N].

    Args:
        label_smoothing: share of each label that is spread over all classes (arXiv 1512.00567).
    """

    def __init__(self, label_smoothing: float = 0.0, **kwargs):
        super().__init__(**kwargs)
        self.label_smoothing = label_smoothing

    def call(self, y_true, y_pred):
        """Returns the cross-entropy of each example, [B]."""
        if len(y_true.shape) < len(y_pred.shape):
            ids = ops.cast(y_true, "int32")
            if not self.label_smoothing:
                return ops.sparse_categorical_crossentropy(ids, y_pred, from_logits=True)
            y_true = ops.one_hot(ids, y_pred.shape[-1], dtype=y_pred.dtype)
        shares = y_true * (1 - self.label_smoothing) + self.label_smoothing / y_pred.shape[-1]
        return ops.categorical_crossentropy(shares, y_pred, from_logits=True)

    def get_config(self):
        return {**super().get_config(), "label_smoothing": self.label_smoothing}


def matches(y_true, y_pred):
    """Returns 1.0 where the largest logit [B, N] is that of the class id [B] or of the largest share [B, N]."""
    if len(y_true.shape) == len(y_pred.shape):
        y_true = ops.argmax(y_true, axis=-1)
    return ops.cast(ops.equal(ops.cast(y_true, "int32"), ops.cast(ops.argmax(y_pred, axis=-1), "int32")), "float32")
