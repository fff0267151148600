"""Activations on a grid of 256 steps. Paper: arXiv 1712.05877."""

from __future__ import annotations

import keras
import tensorflow as tf

__all__ = ["ActivationQuantizer"]

_MOMENTUM = 0.99


class ActivationQuantizer(keras.layers.Layer):
    """Rounds a tensor to 256 steps of a range that holds zero; the range follows what training sees.

    Input and output: floating, any shape. The gradient is that of the input inside the range, and
    zero outside. In the first step of training the range is that of the batch, later a moving mean of the batches'
    smallest and largest values.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def build(self, input_shape):
        """Makes the ends of the range, and the number of steps seen."""
        for name in ("low", "high", "num_steps"):
            weight = self.add_weight(
                shape=(), initializer="zeros", dtype="float32", trainable=False, autocast=False, name=name
            )
            setattr(self, name, weight)

    def call(self, inputs, training=False):
        """Returns the rounded tensor."""
        values = tf.cast(inputs, tf.float32)
        if training:
            self._follow(values)
        low, high = tf.convert_to_tensor(self.low), tf.convert_to_tensor(self.high)
        # Before any training there is no range: pass everything on.
        rounded = tf.quantization.fake_quant_with_min_max_vars(values, low, tf.maximum(high, low + 1e-6), num_bits=8)
        return tf.cast(tf.where(high > low, rounded, values), inputs.dtype)

    def _follow(self, values: tf.Tensor) -> None:
        steps = tf.convert_to_tensor(self.num_steps)
        for end, seen in (
            (self.low, tf.minimum(tf.reduce_min(values), 0.0)),
            (self.high, tf.maximum(tf.reduce_max(values), 0.0)),
        ):
            before = tf.convert_to_tensor(end)
            end.assign(tf.where(steps > 0, _MOMENTUM * before + (1 - _MOMENTUM) * seen, seen))
        self.num_steps.assign(steps + 1)

    def compute_output_shape(self, input_shape):
        """Returns the shape of the input."""
        return input_shape
