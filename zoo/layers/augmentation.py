"""Layers that change training examples at random, and leave all others as they are; without weights or state."""

from __future__ import annotations

import keras

__all__ = ["ShiftImages"]


class ShiftImages(keras.layers.Layer):
    """Moves each image of one tensor [B, H, W, C] by up to `pixels` in each direction, zeros coming in at the edge.

    The moves are drawn from the batch itself: a batch with the same images in the same order is moved the same way, so
    that a run can be repeated, and shuffled batches are moved anew in each epoch.
    """

    def __init__(self, tensor: str, pixels: int, **kwargs):
        super().__init__(**kwargs, trainable=False)
        self.tensor, self.pixels = tensor, pixels

    def call(self, tensors, training=False):
        if not training:
            return tensors
        import tensorflow as tf

        images = tf.convert_to_tensor(tensors[self.tensor])
        batch, (height, width) = tf.shape(images)[0], images.shape[1:3]
        pixels = tf.cast(images, tf.int64) if images.dtype.is_integer else tf.cast(images * 1e4, tf.int64)
        weights = tf.range(1, batch + 1, dtype=tf.int64)
        seed = tf.stack([tf.reduce_sum(tf.reduce_sum(pixels, axis=[1, 2, 3]) * weights), 0])
        moves = tf.random.stateless_uniform(tf.stack([batch, 2, 1]), seed, 0, 2 * self.pixels + 1, tf.int32)
        border = [self.pixels, self.pixels]
        padded = tf.pad(images, [[0, 0], border, border, [0, 0]])
        rows = tf.gather(padded, moves[:, 0] + tf.range(height), axis=1, batch_dims=1)
        shifted = tf.gather(rows, moves[:, 1] + tf.range(width), axis=2, batch_dims=1)
        return {**tensors, self.tensor: tf.ensure_shape(shifted, images.shape)}
