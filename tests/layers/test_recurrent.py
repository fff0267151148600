"""The LSTM in one operation against Keras's loop: answers, states, gradients, masks, both directions."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo.layers.quick import quick_kernels
from zoo.layers.recurrent import lstm_kernel

MASKS = {
    "none": None,
    "padding": [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [0, 0, 0, 0, 0]],
    "holes": [[1, 0, 1, 1, 0], [0, 0, 1, 0, 1], [0, 1, 1, 1, 1]],
}


def one(**kwargs):
    layer = keras.layers.LSTM(4, return_sequences=True, return_state=True, **kwargs)
    layer.build((None, None, 3))
    layer.set_weights(
        [np.random.default_rng(1).normal(size=weight.shape).astype("float32") for weight in layer.weights]
    )
    return layer


def answers_and_gradients(layer, mask, *, initial_state=None):
    x = tf.constant(np.random.default_rng(0).normal(size=(3, 5, 3)).astype("float32"))
    variables = [weight.value for weight in layer.weights]
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = layer(
            x, mask=None if mask is None else tf.constant(np.array(mask, bool)), initial_state=initial_state
        )
        loss: Any = sum(tf.reduce_sum(tf.sin(output) * (index + 1)) for index, output in enumerate(outputs))
    return [*outputs, *tape.gradient(loss, [*variables, x])]


def assert_the_same(layer, mask, **kwargs):
    expected = answers_and_gradients(layer, mask, **kwargs)
    with quick(layer):
        ours = answers_and_gradients(layer, mask, **kwargs)
    for theirs, value in zip(expected, ours, strict=True):
        np.testing.assert_allclose(value, theirs, atol=1e-5)


def quick(layer):
    return quick_kernels(keras.Sequential([layer]), training=False)


@pytest.mark.parametrize("zero", [False, True], ids=["repeated", "zero"])
@pytest.mark.parametrize("backwards", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_block_is_the_loop_of_keras(mask, backwards, zero):
    assert_the_same(one(go_backwards=backwards, zero_output_for_mask=zero), mask)


def test_it_begins_where_it_is_told():
    state = [tf.fill([3, 4], 0.3), tf.fill([3, 4], -0.7)]
    assert_the_same(one(), MASKS["holes"], initial_state=state)


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_it_is_one_operation_in_the_graph(mask):
    layer = one()
    spec = tf.TensorSpec([None, None, 3])
    given = None if mask is None else tf.constant(np.array(mask, bool))

    def kinds():
        graph = tf.function(lambda x: layer(x, mask=given)).get_concrete_function(spec).graph
        return {node.op for node in graph.as_graph_def().node}

    with quick(layer):
        within = kinds()
    assert "BlockLSTMV2" in within
    assert not within & {"While", "StatelessWhile"}
    assert "BlockLSTMV2" not in kinds()


@pytest.mark.parametrize(
    "given",
    [
        {"activation": "relu"},
        {"recurrent_activation": "hard_sigmoid"},
        {"use_bias": False},
        {"recurrent_dropout": 0.5},
        {"dtype": "mixed_bfloat16"},
    ],
    ids=str,
)
def test_what_the_block_cannot_do_goes_the_way_of_keras(given):
    assert lstm_kernel(one()) is not None
    assert lstm_kernel(one(**given)) is None


def test_dropout_hides_whole_columns_in_training_only():
    layer = one(dropout=0.5)
    x = tf.ones((64, 5, 3))
    calm = layer(x)[0]
    with quick(layer):
        np.testing.assert_allclose(layer(x)[0], calm, atol=1e-6)
        shaken = layer(x, training=True)[0]
    assert np.abs(shaken - calm).max() > 0.1
