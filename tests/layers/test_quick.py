"""Quicker kernels are put in for a while, everywhere in a model, and only where they compute the same."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from zoo.layers.quick import quick_kernels


@keras.saving.register_keras_serializable("tests")
class OwnLSTM(keras.layers.LSTM):
    """A class of the user's, whose method might differ from Keras's."""


def network(lstm=keras.layers.LSTM):
    """Both kinds, within a model within a model, and wrapped."""
    frames = keras.Input((None, 3), name="frames")
    both_ways = keras.layers.Bidirectional(lstm(4, return_sequences=True))
    x = keras.Sequential([keras.Input((None, 3)), keras.layers.Masking(), both_ways])(frames)
    image = keras.Input((8, 8, 1), name="image")
    y = keras.layers.Flatten()(keras.layers.MaxPooling2D(2)(keras.layers.Conv2D(3, 3)(image)))
    x = keras.layers.Concatenate()([lstm(5)(x), y])
    return keras.Model({"frames": frames, "image": image}, {"logits": keras.layers.Dense(2, name="head")(x)})


def batch(size=4):
    random = np.random.default_rng(0)
    frames = random.normal(size=(size, 6, 3)).astype("float32")
    frames[1:, 4:] = 0
    return {"frames": frames, "image": random.normal(size=(size, 8, 8, 1)).astype("float32")}


def operations(model, x):
    """The kinds of operations that a training step of `model` is made of."""

    def gradients():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(x, training=True)["logits"] ** 2)
        return tape.gradient(loss, [weight.value for weight in model.trainable_weights])

    return [node.op for node in tf.function(gradients).get_concrete_function().graph.as_graph_def().node]


def test_every_layer_is_reached_and_comes_back():
    model, x = network(), batch()
    before, expected = operations(model, x), model(x)["logits"]
    with quick_kernels(model, training=True):
        within, answer = operations(model, x), model(x)["logits"]
    assert before.count("MaxPoolGrad") == 1
    assert not before.count("BlockLSTMV2")
    assert within.count("BlockLSTMV2") == 3
    assert not within.count("MaxPoolGrad")
    assert operations(model, x) == before
    np.testing.assert_allclose(answer, expected, atol=1e-5)


def test_a_gradient_is_no_matter_outside_training():
    model, x = network(), batch()
    with quick_kernels(model, training=False):
        within = operations(model, x)
    assert within.count("MaxPoolGrad") == 1
    assert within.count("BlockLSTMV2") == 3


def test_own_classes_stay():
    model, x = network(OwnLSTM), batch()
    with quick_kernels(model, training=True):
        assert not operations(model, x).count("BlockLSTMV2")


def test_layers_come_back_after_an_error_and_after_the_outer_of_two():
    model, x = network(), batch()
    with pytest.raises(ZeroDivisionError), quick_kernels(model, training=True):
        raise ZeroDivisionError
    with quick_kernels(model, training=True):
        with quick_kernels(model, training=True):
            pass
        assert operations(model, x).count("BlockLSTMV2") == 3
    assert not operations(model, x).count("BlockLSTMV2")


def test_a_model_saved_within_is_that_of_keras(tmp_path):
    model, x = network(), batch()
    with quick_kernels(model, training=True):
        model.save(tmp_path / "m.keras")
    again: Any = keras.saving.load_model(tmp_path / "m.keras")
    for layer in again._flatten_layers():
        assert type(layer).__module__.startswith("keras.")
    np.testing.assert_allclose(again(x)["logits"], model(x)["logits"], atol=1e-6)


def test_an_lstm_of_the_users_own_is_served_in_one_operation(tmp_path):
    published = zoo.export(network(), tmp_path, name="mine")
    functions = tf.saved_model.load(str(published.path)).signatures["serving_default"].graph.as_graph_def()
    nodes = [*functions.node, *(node for function in functions.library.function for node in function.node_def)]
    kinds = [node.op for node in nodes]
    assert kinds.count("BlockLSTMV2") == 3
    assert not kinds.count("While")
