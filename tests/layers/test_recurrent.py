"""The LSTM in one operation against Keras's loop: answers, states, gradients, masks, both directions."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo.layers.recurrent import BlockLSTM

MASKS = {
    "none": None,
    "padding": [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [0, 0, 0, 0, 0]],
    "holes": [[1, 0, 1, 1, 0], [0, 0, 1, 0, 1], [0, 1, 1, 1, 1]],
}


def both(**kwargs):
    layers = [kind(4, return_sequences=True, return_state=True, **kwargs) for kind in (keras.layers.LSTM, BlockLSTM)]
    for layer in layers:
        layer.build((None, None, 3))
    weights = [np.random.default_rng(1).normal(size=weight.shape).astype("float32") for weight in layers[0].weights]
    for layer in layers:
        layer.set_weights(weights)
    return layers


def answers_and_gradients(layer, mask, *, initial_state=None):
    x = tf.constant(np.random.default_rng(0).normal(size=(3, 5, 3)).astype("float32"))
    variables = [weight.value for weight in layer.weights]
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = layer(
            x, mask=None if mask is None else tf.constant(np.array(mask, bool)), initial_state=initial_state
        )
        loss = sum(tf.reduce_sum(tf.sin(output) * (index + 1)) for index, output in enumerate(outputs))
    return [*outputs, *tape.gradient(loss, [*variables, x])]


@pytest.mark.parametrize("zero", [False, True], ids=["repeated", "zero"])
@pytest.mark.parametrize("backwards", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_block_is_the_loop_of_keras(mask, backwards, zero):
    layers = both(go_backwards=backwards, zero_output_for_mask=zero)
    kerass, ours = (answers_and_gradients(layer, mask) for layer in layers)
    for expected, value in zip(kerass, ours, strict=True):
        np.testing.assert_allclose(value, expected, atol=1e-5)


def test_it_begins_where_it_is_told():
    state = [tf.fill([3, 4], 0.3), tf.fill([3, 4], -0.7)]
    kerass, ours = (answers_and_gradients(layer, MASKS["holes"], initial_state=state) for layer in both())
    for expected, value in zip(kerass, ours, strict=True):
        np.testing.assert_allclose(value, expected, atol=1e-5)


def test_it_is_one_operation_in_the_graph():
    for layer, expected in zip(both(), (False, True), strict=True):
        graph = tf.function(lambda x, layer=layer: layer(x)).get_concrete_function(tf.TensorSpec([None, None, 3])).graph
        kinds = {node.op for node in graph.as_graph_def().node}
        assert ("BlockLSTMV2" in kinds) is expected
        assert bool(kinds & {"While", "StatelessWhile"}) is not expected


@pytest.mark.parametrize(
    "given", [{"activation": "relu"}, {"recurrent_activation": "hard_sigmoid"}, {"use_bias": False}], ids=str
)
def test_what_the_block_cannot_do_goes_the_way_of_keras(given):
    kerass, ours = (answers_and_gradients(layer, MASKS["padding"]) for layer in both(**given))
    for expected, value in zip(kerass, ours, strict=True):
        np.testing.assert_allclose(value, expected, atol=1e-5)


def test_dropout_hides_whole_columns_in_training_only():
    layer = both(dropout=0.5)[1]
    x = tf.ones((64, 5, 3))
    calm = layer(x)[0]
    np.testing.assert_array_equal(layer(x)[0], calm)
    assert np.abs(layer(x, training=True)[0] - calm).max() > 0.1


def test_both_directions_in_a_model_that_is_saved(tmp_path):
    frames = keras.Input((None, 3), name="frames")
    layer = keras.layers.Bidirectional(BlockLSTM(4, return_sequences=True))
    model = keras.Model(frames, layer(keras.layers.Masking()(frames)))
    x = np.random.default_rng(0).normal(size=(2, 6, 3)).astype("float32")
    x[1, 4:] = 0
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(again(x), model(x), atol=1e-6)
    np.testing.assert_allclose(model(x)[1:, :4], model(x[1:, :4]), atol=1e-6)
