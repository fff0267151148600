"""SavedModels small enough to write in a second each, made with `tf.Module` alone."""

import pathlib
from typing import Any, cast

import numpy as np
import tensorflow as tf

LABELS = ["zero", "one", "two"]


class Conv(tf.Module):
    """uint8 images to probabilities, class and label, through a convolution that a wrong rank would crash."""

    def __init__(self, seed: int):
        super().__init__()
        generator = np.random.default_rng(seed)
        self.kernel = tf.Variable(tf.constant(generator.normal(size=(3, 3, 1, 4)), tf.float32))
        self.dense = tf.Variable(tf.constant(generator.normal(size=(4, 3)), tf.float32))
        self.labels = tf.constant(LABELS)

    @tf.function(input_signature=[tf.TensorSpec([None, 28, 28, 1], tf.uint8, name="image")])
    def serve(self, image):
        features = tf.nn.relu(tf.nn.conv2d(tf.cast(image, tf.float32) / 255.0, self.kernel, 1, "SAME"))
        probabilities = tf.nn.softmax(tf.reduce_mean(features, [1, 2]) @ self.dense)
        class_id = tf.argmax(probabilities, -1)
        return {
            "probabilities": probabilities,
            "class_id": class_id,
            "label": tf.gather(self.labels, class_id),
        }


class Sequence(tf.Module):
    """Two inputs: the mean of the frames that the mask keeps."""

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None, 12], tf.float32, name="frames"),
            tf.TensorSpec([None, None], tf.bool, name="padding_mask"),
        ]
    )
    def serve(self, frames, padding_mask):
        kept = tf.cast(padding_mask, tf.float32)[..., None]
        return {"mean": tf.reduce_sum(frames * kept, 1) / tf.reduce_sum(kept, 1)}


class Scalar(tf.Module):
    """Doubles a number below 100; and spins, for a request that takes long."""

    def __init__(self, factor: float = 2.0):
        super().__init__()
        self.factor = tf.Variable(tf.constant(factor))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def serve(self, x):
        check = tf.debugging.Assert(tf.reduce_all(x < 100.0), ["`x` must be below 100"])
        with tf.control_dependencies([check]):
            return {"y": x * self.factor}

    @tf.function(input_signature=[tf.TensorSpec([], tf.float32, name="seconds")])
    def spin(self, seconds):
        end = tf.timestamp() + tf.cast(seconds, tf.float64)
        turns = tf.while_loop(lambda turn: tf.timestamp() < end, lambda turn: [turn + 1], [tf.constant(0)])
        return {"turns": turns[0]}

    @tf.function(input_signature=[tf.TensorSpec([], tf.string, name="text")])
    def echo(self, text):
        return {"text": tf.identity(text)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def half(self, x):
        return {"half": tf.cast(x, tf.bfloat16), "largest": tf.reduce_max(x)}

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.string, name="texts")])
    def lengths(self, texts):
        return {"lengths": tf.strings.length(texts)}


def write_conv(path: pathlib.Path, seed: int) -> None:
    module = Conv(seed)
    tf.saved_model.save(module, str(path), signatures={"serving_default": module.serve})


def write_sequence(path: pathlib.Path) -> None:
    module = Sequence()
    tf.saved_model.save(module, str(path), signatures={"serving_default": module.serve})


class AnyRank(tf.Module):
    """An input of unknown rank."""

    @tf.function(input_signature=[tf.TensorSpec(cast(Any, None), tf.float32, name="x")])
    def serve(self, x):
        return {"y": x + 1.0}


def write_any_rank(path: pathlib.Path) -> None:
    module = AnyRank()
    tf.saved_model.save(module, str(path), signatures={"serving_default": module.serve})


def write_scalar(path: pathlib.Path, factor: float = 2.0) -> None:
    module = Scalar(factor)
    others = {name: getattr(module, name) for name in ("spin", "echo", "half", "lengths")}
    tf.saved_model.save(module, str(path), signatures={"serving_default": module.serve, **others})
