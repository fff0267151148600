"""Layers that change training examples at random, and leave all others as they are; without weights or state.

What is drawn depends on the batch itself: a batch with the same examples in the same order is changed the same way, so
that a run can be repeated, and shuffled batches are changed anew in each epoch.

Shape glossary: `B` batch, `H` height, `W` width, `C` channels, `T` time, `D` width of a frame.
"""

from __future__ import annotations

import math
from typing import Any

import keras

from zoo.errors import DataError

__all__ = ["CutOut", "FlipImages", "MaskFrames", "MixUp", "ShiftImages", "WarpImages"]

# One stream of draws for each kind of change, so that two of them in a row do not go hand in hand.
_SHIFT, _FLIP, _CUT, _MIX, _WARP, _MASK = range(6)


def seed_of(tensor, stream: int):
    """Returns int64 [2], a seed made of every number of `tensor` [B, ...] and the order of its rows."""
    import tensorflow as tf

    numbers = tf.cast(tensor, tf.int64) if tensor.dtype.is_integer else tf.cast(tensor * 1e4, tf.int64)
    sums = tf.reduce_sum(numbers, axis=list(range(1, tensor.shape.rank)))  # [B]
    weights = tf.range(1, tf.shape(tensor)[0] + 1, dtype=tf.int64)
    return tf.stack([tf.reduce_sum(sums * weights), stream])


class ShiftImages(keras.layers.Layer):
    """Moves each image of one tensor [B, H, W, C] by up to `pixels` in each direction, zeros coming in at the edge."""

    def __init__(self, tensor: str, pixels: int, **kwargs):
        super().__init__(**kwargs, trainable=False)
        self.tensor, self.pixels = tensor, pixels

    def call(self, tensors, training=False):
        if not training:
            return tensors
        import tensorflow as tf

        images: Any = tf.convert_to_tensor(tensors[self.tensor])
        batch, (height, width) = tf.shape(images)[0], images.shape[1:3]
        seed = seed_of(images, _SHIFT)
        moves = tf.random.stateless_uniform(tf.stack([batch, 2, 1]), seed, 0, 2 * self.pixels + 1, tf.int32)
        border = [self.pixels, self.pixels]
        padded = tf.pad(images, [[0, 0], border, border, [0, 0]])
        rows = tf.gather(padded, moves[:, 0] + tf.range(height), axis=1, batch_dims=1)
        shifted = tf.gather(rows, moves[:, 1] + tf.range(width), axis=2, batch_dims=1)
        return {**tensors, self.tensor: tf.ensure_shape(shifted, images.shape)}


class FlipImages(keras.layers.Layer):
    """Turns images of one tensor [B, H, W, C] left to right, each with a probability."""

    def __init__(self, tensor: str, probability: float, **kwargs):
        super().__init__(**kwargs, trainable=False)
        self.tensor, self.probability = tensor, probability

    def call(self, tensors, training=False):
        if not training:
            return tensors
        import tensorflow as tf

        images: Any = tf.convert_to_tensor(tensors[self.tensor])
        draws = tf.random.stateless_uniform(tf.shape(images)[:1], seed_of(images, _FLIP))
        flipped = (draws < self.probability)[:, None, None, None]
        return {**tensors, self.tensor: tf.where(flipped, tf.reverse(images, axis=[2]), images)}


class CutOut(keras.layers.Layer):
    """Sets a square of each image of one tensor [B, H, W, C] to zero.

    Its centre may be any pixel, so that the square may reach over the edge.
    """

    def __init__(self, tensor: str, pixels: int, **kwargs):
        super().__init__(**kwargs, trainable=False)
        self.tensor, self.pixels = tensor, pixels

    def call(self, tensors, training=False):
        if not training:
            return tensors
        import tensorflow as tf

        images: Any = tf.convert_to_tensor(tensors[self.tensor])
        draws = tf.random.stateless_uniform(tf.stack([2, tf.shape(images)[0], 1]), seed_of(images, _CUT))
        inside = []
        for axis, size in enumerate(images.shape[1:3]):
            start = tf.cast(draws[axis] * size, tf.int32) - self.pixels // 2  # [B, 1]
            inside.append((tf.range(size) >= start) & (tf.range(size) < start + self.pixels))
        square = (inside[0][:, :, None] & inside[1][:, None, :])[..., None]  # [B, H, W, 1]
        return {**tensors, self.tensor: tf.where(square, tf.zeros([], images.dtype), images)}


class WarpImages(keras.layers.Layer):
    """Turns, scales and moves each image of one tensor [B, H, W, C] about its centre, in one bilinear resampling.

    Args:
        degrees: the largest angle, either way.
        zoom: the largest change of size: from `1 - zoom` to `1 + zoom` times.
        pixels: the largest move along each axis, fractions included.
        fill: what comes in at the edge: "constant" zeros, the "nearest" pixel, or the image's own "reflect"ion.
    """

    def __init__(self, tensor: str, degrees: float, zoom: float, pixels: float, fill: str, **kwargs):
        super().__init__(**kwargs, trainable=False)
        self.tensor, self.degrees, self.zoom, self.pixels, self.fill = tensor, degrees, zoom, pixels, fill

    def call(self, tensors, training=False):
        if not training:
            return tensors
        import tensorflow as tf

        images: Any = tf.convert_to_tensor(tensors[self.tensor])
        height, width = images.shape[1:3]
        draws = tf.random.stateless_uniform(tf.stack([4, tf.shape(images)[0]]), seed_of(images, _WARP), -1.0, 1.0)
        angle, size = draws[0] * math.radians(self.degrees), 1 + draws[1] * self.zoom
        cosine, sine = tf.cos(angle) / size, tf.sin(angle) / size
        # The operation asks where a pixel of the answer comes from: the inverse of the change, about the centre.
        x, y = (width - 1) / 2, (height - 1) / 2
        to_x, to_y = x + draws[2] * self.pixels, y + draws[3] * self.pixels
        zeros = tf.zeros_like(angle)
        rows = [cosine, sine, x - cosine * to_x - sine * to_y, -sine, cosine, y + sine * to_x - cosine * to_y]
        warped = tf.raw_ops.ImageProjectiveTransformV3(
            images=tf.cast(images, tf.float32),
            transforms=tf.stack([*rows, zeros, zeros], axis=1),
            output_shape=tf.constant([height, width]),
            interpolation="BILINEAR",
            fill_mode=self.fill.upper(),
            fill_value=tf.constant(0.0),
        )
        if images.dtype.is_integer:
            warped = tf.round(warped)
        return {**tensors, self.tensor: tf.ensure_shape(tf.cast(warped, images.dtype), images.shape)}


class MixUp(keras.layers.Layer):
    """Mixes each example with the next of the batch: images as float32 [B, H, W, C], labels as float32 [B, N].

    Args:
        tensor: name of the images.
        label: name of the class ids, int [B]; one that is not below `num_classes` ends the graph.
        alpha: the share of the first is drawn from Beta(alpha, alpha).
    """

    def __init__(self, tensor: str, label: str, num_classes: int, alpha: float, **kwargs):
        super().__init__(**kwargs, trainable=False)
        self.tensor, self.label, self.num_classes, self.alpha = tensor, label, num_classes, alpha

    def call(self, tensors, training=False):
        if not training:
            return tensors
        import tensorflow as tf

        images: Any = tf.convert_to_tensor(tensors[self.tensor])
        label = tf.convert_to_tensor(tensors[self.label])
        known = tf.reduce_all((label >= 0) & (label < self.num_classes))
        message = f"`{self.label}` holds a class that is not in 0..{self.num_classes - 1}. Mend num_classes of Mixup."
        with tf.control_dependencies([tf.debugging.Assert(known, [message])]):
            classes = tf.one_hot(label, self.num_classes)  # [B, N]
        # Gamma(a) is Gamma(a + 1) * U^(1/a), in logarithms: for a small alpha too small a number for float32.
        size, (seed, stream) = tf.stack([2, tf.shape(images)[0]]), tf.unstack(seed_of(images, _MIX))
        gamma = tf.random.stateless_gamma(size, tf.stack([seed, stream]), tf.constant(self.alpha + 1.0))
        even = tf.random.stateless_uniform(size, tf.stack([seed, -stream]), minval=1e-30)
        logs = tf.math.log(gamma) + tf.math.log(even) / self.alpha
        share: Any = tf.sigmoid(logs[0] - logs[1])[:, None]  # [B, 1]
        floats = tf.cast(images, tf.float32)
        mixed = share[..., None, None] * floats + (1 - share[..., None, None]) * tf.roll(floats, -1, axis=0)
        soft = share * classes + (1 - share) * tf.roll(classes, -1, axis=0)
        return {**tensors, self.tensor: mixed, self.label: soft}


class MaskFrames(keras.layers.Layer):
    """Sets spans of time and bands of values to zero in one tensor [B, T, D], anew for each sequence.

    Args:
        time: number of spans, and the longest, in frames.
        share: the longest span as a share of a sequence's own length.
        bands: number of bands, and the widest, in values of a frame.
    """

    def __init__(self, tensor: str, time: tuple[int, int], share: float, bands: tuple[int, int], **kwargs):
        super().__init__(**kwargs, trainable=False)
        self.tensor, self.time, self.share, self.bands = tensor, time, share, bands

    def call(self, tensors, training=False):
        if not training:
            return tensors
        import tensorflow as tf

        frames: Any = tf.convert_to_tensor(tensors[self.tensor])
        (batch, length), width = (tf.shape(frames)[0], tf.shape(frames)[1]), frames.shape[-1]
        if self.bands[0] and self.bands[1] >= width:
            raise DataError(
                f"`{self.tensor}` have {width} values a frame, and SpecAugment is set to hide up to {self.bands[1]} at "
                f"once. Set its max_band below {width}."
            )
        if "padding_mask" in tensors:
            lengths = tf.reduce_sum(tf.cast(tensors["padding_mask"], tf.float32), axis=1)  # [B]
        else:
            lengths = tf.fill([batch], tf.cast(length, tf.float32))
        longest = tf.minimum(float(self.time[1]), tf.floor(self.share * lengths))
        draws = tf.random.stateless_uniform(
            tf.stack([2, batch, self.time[0] + self.bands[0], 1]), seed_of(frames, _MASK)
        )
        spans = _spans(draws[:, :, : self.time[0]], longest, lengths, length)  # [B, T]
        widths = tf.fill([batch], float(width))
        bands = _spans(draws[:, :, self.time[0] :], tf.fill([batch], float(self.bands[1])), widths, width)  # [B, D]
        hidden = spans[:, :, None] | bands[:, None, :]
        return {**tensors, self.tensor: tf.where(hidden, tf.zeros([], frames.dtype), frames)}


def _spans(draws, longest, sizes, total):
    """Returns bool [B, total], true in spans of 0 to `longest` [B] whole steps within the first `sizes` [B].

    Args:
        draws: float32 [2, B, S, 1] from 0 to 1, for the length and the place of each of S spans.
    """
    import tensorflow as tf

    span = tf.floor(draws[0] * (longest[:, None, None] + 1))  # [B, S, 1]
    start = tf.floor(draws[1] * (sizes[:, None, None] - span + 1))
    steps = tf.cast(tf.range(total), tf.float32)
    return tf.reduce_any((steps >= start) & (steps < start + span), axis=1)
