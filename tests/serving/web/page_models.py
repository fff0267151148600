"""SavedModels for the forms of the page, and one that would like to be markup."""

import pathlib
from typing import Any

import tensorflow as tf

MARKUP = "<img src=x onerror=document.title='owned'>"


def _spec(shape: list[int | None], dtype: Any, name: str) -> tf.TensorSpec:
    return tf.TensorSpec(shape, dtype, name=name)


class Forms(tf.Module):
    """A signature for each kind of input; each tells what it got."""

    @tf.function(
        input_signature=[_spec([None, None], tf.float32, "waveform"), _spec([None, None], tf.bool, "padding_mask")]
    )
    def hear(self, waveform, padding_mask):
        return {
            "length": tf.reduce_sum(tf.cast(padding_mask, tf.int32), 1),
            "loudest": tf.reduce_max(tf.abs(waveform), 1),
        }

    @tf.function(input_signature=[_spec([None], tf.int64, "user"), _spec([None, None], tf.int32, "items")])
    def rank(self, user, items):
        return {"scores": tf.cast(items, tf.float32) + tf.cast(user, tf.float32)[:, None]}

    @tf.function(input_signature=[_spec([None, 8, 8, 3], tf.float32, "image")])
    def look(self, image):
        return {"largest": tf.reduce_max(image, [1, 2, 3]), "colour": tf.reduce_mean(image, [1, 2])}

    @tf.function(input_signature=[_spec([None, 3], tf.float32, "features")])
    def add(self, features):
        return {"sum": tf.reduce_sum(features, 1)}

    @tf.function(input_signature=[_spec([None], tf.string, "text")])
    def read(self, text):
        positive = tf.cast(tf.strings.regex_full_match(text, ".*good.*"), tf.float32)
        return {
            "probabilities": tf.stack([1 - 0.75 * positive - 0.125, 0.125 + 0.75 * positive], 1),
            "class_id": tf.cast(positive, tf.int64),
            "label": tf.gather(tf.constant(["negative", "positive"]), tf.cast(positive, tf.int64)),
        }


def write_forms(path: pathlib.Path) -> None:
    module = Forms()
    others = {name: getattr(module, name) for name in ("hear", "rank", "look", "add")}
    tf.saved_model.save(module, str(path), signatures={"serving_default": module.read, **others})


class Markup(tf.Module):
    """Answers labels, and an output's name, that are HTML."""

    @tf.function(input_signature=[_spec([None], tf.string, "text")])
    def serve(self, text):
        return {
            "probabilities": tf.tile(tf.constant([[0.25, 0.75]]), tf.stack([tf.shape(text)[0], 1])),
            "class_id": tf.ones_like(text, tf.int64),
            "label": tf.fill(tf.shape(text), MARKUP),
            MARKUP: text,
        }


def write_markup(path: pathlib.Path) -> None:
    module = Markup()
    tf.saved_model.save(module, str(path), signatures={"serving_default": module.serve})
