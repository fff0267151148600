"""Max-pooling whose gradient is cheap on a processor."""

from __future__ import annotations

from typing import Any

import keras

from zoo.layers.kernel import Kernel

__all__ = ["max_pooling_kernel"]


def max_pooling_kernel(layer: keras.layers.Layer) -> Kernel | None:
    """Returns a way for `layer` if it is Keras's max-pooling [B, H, W, C] -> [B, H // p, W // q, C] of windows side by
    side.

    The answer is Keras's. On a processor, TensorFlow's own gradient looks for the maximum of each window again, one
    number after the other: 12 of the 53 ms of a step of `mnist_cnn`; this one compares whole tensors, in a third of
    that. Where several numbers of a window are its maximum they share the gradient; TensorFlow gives it to the first.
    """
    if (
        type(layer) is keras.layers.MaxPooling2D
        and layer.padding == "valid"
        and layer.data_format == "channels_last"
        and tuple(layer.pool_size) == tuple(layer.strides)
    ):
        return Kernel("call", _call, training_only=True)
    return None


def _call(layer: Any, inputs: Any) -> Any:
    import tensorflow as tf

    if None in inputs.shape[1:]:
        return keras.layers.MaxPooling2D.call(layer, inputs)
    return tf.custom_gradient(lambda x: _pool(x, keras.layers.MaxPooling2D.call(layer, x), layer.pool_size))(inputs)


def _pool(x: Any, y: Any, pool_size: tuple[int, int]) -> tuple[Any, Any]:
    """Returns `y`, the maxima of `x`, and their gradient."""
    import tensorflow as tf

    height, width = pool_size
    _, rows, columns, channels = y.shape
    covered = [-1, rows * height, columns * width, channels]
    windows = [-1, rows, height, columns, width, channels]

    def gradient(upstream):
        inside = tf.reshape(x[:, : covered[1], : covered[2]], windows)
        is_maximum = tf.cast(tf.equal(inside, y[:, :, None, :, None]), x.dtype)
        mean = tf.nn.avg_pool2d(tf.reshape(is_maximum, covered), pool_size, pool_size, "VALID")
        shared = is_maximum * (upstream / (mean * (height * width)))[:, :, None, :, None]
        border = [[0, 0], [0, x.shape[1] - covered[1]], [0, x.shape[2] - covered[2]], [0, 0]]
        return tf.pad(tf.reshape(shared, covered), border)

    return y, gradient
