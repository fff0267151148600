"""The quicker gradient of max-pooling against TensorFlow's own."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo.layers.pooling import max_pooling_kernel
from zoo.layers.quick import quick_kernels


def both(*args, **kwargs):
    """Keras's way and ours, as functions."""
    layer = keras.layers.MaxPooling2D(*args, **kwargs)
    kernel = max_pooling_kernel(layer)
    assert kernel is not None
    return layer, lambda x: kernel.function(layer, x)


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
    [((2, 8, 6, 3), 2), ((2, 9, 7, 1), 2), ((1, 7, 8, 2), 3), ((1, 6, 7, 2), (1, 3))],
    ids=["whole", "with-a-border", "three", "oblong"],
)
def test_answer_and_gradient_are_those_of_keras(shape, pool_size):
    random = np.random.default_rng(0)
    x = random.normal(size=shape).astype("float32")
    theirs, quicker = both(pool_size)
    upstream = random.normal(size=theirs(x).shape).astype("float32")
    for ours, expected in zip(
        answer_and_gradient(quicker, x, upstream),
        answer_and_gradient(theirs, x, upstream),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, expected)


def test_an_empty_batch_has_an_empty_gradient():
    # A replica may get one. TensorFlow's own gradient ends the process there on processors with AVX-512 (oneDNN).
    _, quicker = both(2)
    answer, gradient = answer_and_gradient(
        quicker, np.zeros((0, 4, 4, 2), "float32"), np.zeros((0, 2, 2, 2), "float32")
    )
    assert (answer.shape, gradient.shape) == ((0, 2, 2, 2), (0, 4, 4, 2))


def test_equal_numbers_share_the_gradient():
    x = np.array([[1, 1, 0, 5], [1, 1, 5, 5]], "float32").reshape(1, 2, 4, 1)
    _, gradient = answer_and_gradient(both(2)[1], x, np.array([8.0, 6.0], "float32").reshape(1, 1, 2, 1))
    np.testing.assert_array_equal(gradient[0, :, :, 0], [[2, 2, 0, 2], [2, 2, 2, 2]])


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
    assert max_pooling_kernel(pool) is None


def test_sizes_known_only_at_run_time():
    image = keras.Input((None, None, 1))
    model = keras.Model(image, keras.layers.MaxPooling2D(2)(image))
    x = np.arange(12, dtype="float32").reshape(1, 3, 4, 1)
    with quick_kernels(model, training=True):
        np.testing.assert_array_equal(np.asarray(model(x))[0, :, :, 0], [[5, 7]])
