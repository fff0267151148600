"""Cheap gradients: Keras's own answers and gradients, in a model that shares every weight."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo.layers.pooling import DisjointMaxPooling2D, with_cheap_gradients


def answer_and_gradient(layer, x, upstream):
    @tf.function(jit_compile=False)
    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
        return y, tape.gradient(y, x, upstream)

    return [np.asarray(value) for value in run(tf.constant(x))]


@pytest.mark.parametrize(
    ("shape", "pool_size"),
    [((2, 8, 6, 3), 2), ((2, 9, 7, 1), 2), ((1, 7, 8, 2), 3), ((1, 6, 7, 2), (1, 3)), ((0, 4, 4, 2), 2)],
    ids=["whole", "with-a-border", "three", "oblong", "empty"],
)
def test_answer_and_gradient_are_those_of_keras(shape, pool_size):
    random = np.random.default_rng(0)
    x = random.normal(size=shape).astype("float32")
    theirs = keras.layers.MaxPooling2D(pool_size)
    upstream = random.normal(size=theirs(x).shape).astype("float32")
    for ours, expected in zip(
        answer_and_gradient(DisjointMaxPooling2D(pool_size), x, upstream),
        answer_and_gradient(theirs, x, upstream),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, expected)


def test_equal_numbers_share_the_gradient():
    x = np.array([[1, 1, 0, 5], [1, 1, 5, 5]], "float32").reshape(1, 2, 4, 1)
    _, gradient = answer_and_gradient(DisjointMaxPooling2D(2), x, np.array([8.0, 6.0], "float32").reshape(1, 1, 2, 1))
    np.testing.assert_array_equal(gradient[0, :, :, 0], [[2, 2, 0, 2], [2, 2, 2, 2]])


def network(pool):
    image = keras.Input((8, 8, 1), name="image")
    x = keras.layers.Conv2D(3, 3, name="conv")(image)
    x = keras.layers.Flatten()(pool(x))
    return keras.Model({"image": image}, {"logits": keras.layers.Dense(2, name="head")(x)})


def test_weights_are_shared_and_the_model_is_left_as_it_was():
    model = network(keras.layers.MaxPooling2D(2, name="pool"))
    config = model.get_config()
    cheap = with_cheap_gradients(model)
    assert [type(layer).__name__ for layer in cheap.layers] == [
        "InputLayer", "Conv2D", "DisjointMaxPooling2D", "Flatten", "Dense",
    ]  # fmt: skip
    assert [id(weight) for weight in cheap.weights] == [id(weight) for weight in model.weights]
    assert model.get_config() == config
    x = {"image": np.random.default_rng(0).normal(size=(4, 8, 8, 1)).astype("float32")}
    np.testing.assert_array_equal(cheap(x)["logits"], model(x)["logits"])


@pytest.mark.parametrize(
    "pool",
    [
        keras.layers.MaxPooling2D(3, strides=2),
        keras.layers.MaxPooling2D(2, padding="same"),
        keras.layers.AveragePooling2D(2),
    ],
    ids=["overlapping", "same", "average"],
)
def test_other_poolings_stay(pool):
    model = network(pool)
    assert with_cheap_gradients(model) is model


def test_a_model_with_a_call_of_its_own_stays():
    class Own(keras.Model):
        def __init__(self):
            image = keras.Input((4, 4, 1))
            super().__init__(image, keras.layers.MaxPooling2D(2)(image))

        def call(self, inputs, training=None):
            return super().call(inputs) + 1.0

    model = Own()
    assert with_cheap_gradients(model) is model


def test_sizes_known_only_at_run_time():
    image = keras.Input((None, None, 1))
    model = with_cheap_gradients(keras.Model(image, keras.layers.MaxPooling2D(2)(image)))
    x = np.arange(12, dtype="float32").reshape(1, 3, 4, 1)
    np.testing.assert_array_equal(np.asarray(model(x))[0, :, :, 0], [[5, 7]])
