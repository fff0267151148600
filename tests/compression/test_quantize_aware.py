"""Quantisation-aware training: grids, channels, what came before is kept, and it beats rounding."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo.compression.base import named_weights
from zoo.compression.cluster import Cluster
from zoo.compression.prune import Prune
from zoo.compression.quantize_aware import BITS, QuantizeAware
from zoo.compression.scales import rounded, starting_scale
from zoo.compression.sharing import channel_axes
from zoo.errors import InvalidValueError
from zoo.training.compress import compress

LOSS = "mean_squared_error"
WRONG: Any = "int9"


def data(rows=64, shape=(6,)):
    x = np.random.default_rng(0).normal(size=(rows, *shape)).astype("float32")
    flat = x.reshape(rows, -1)
    return x, np.stack([flat.sum(axis=1), flat[:, 0]], axis=1) / 3


def dense(units=40):
    x = keras.Input((6,), name="x")
    hidden = keras.layers.Dense(units, activation="relu", name="first")(x)
    return keras.Model(x, keras.layers.Dense(2, name="second")(hidden))


def image_layers():
    x = keras.Input((8, 8, 2))
    y = keras.layers.Conv2D(6, 3, name="conv")(x)
    y = keras.layers.DepthwiseConv2D(2, name="depthwise")(y)
    y = keras.layers.SeparableConv2D(5, 2, name="separable")(y)
    y = keras.layers.Conv2DTranspose(4, 2, name="transpose")(y)
    return keras.Model(x, keras.layers.Dense(2)(keras.layers.Flatten()(y)))


def sequence_layers():
    x = keras.Input((7, 4))
    y = keras.layers.Conv1D(6, 3, padding="same", name="conv")(x)
    y = keras.layers.SimpleRNN(5, return_sequences=True, name="rnn")(y)
    y = keras.layers.LSTM(5, return_sequences=True, name="lstm")(y)
    y = keras.layers.Bidirectional(keras.layers.GRU(4, return_sequences=True), name="both")(y)
    y = keras.layers.MultiHeadAttention(2, 3, name="attention")(y, y)
    y = keras.layers.EinsumDense("abc,cd->abd", (None, 6), name="einsum")(y)
    return keras.Model(x, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling1D()(y)))


def test_refused_values():
    with pytest.raises(InvalidValueError, match="`weights` must be one of int8, int6, .*, ternary"):
        QuantizeAware(WRONG)
    with pytest.raises(InvalidValueError, match="`activations` must be"):
        QuantizeAware(activations=WRONG)


def steps_of(path, value, low, high):
    """Returns the whole numbers per channel if the weight is such numbers times a scale, found anew from its values."""
    axes = channel_axes(path, value.shape)
    others = tuple(axis for axis in range(value.ndim) if axis not in axes)
    counts = np.prod([value.shape[axis] for axis in axes]) * (high - low + 1)
    assert len(np.unique(value)) <= counts
    return np.moveaxis(value, axes, range(len(axes))).reshape(-1, int(np.prod([value.shape[a] for a in others])))


@pytest.mark.parametrize("bits", ["int8", "int4", "int2", "ternary"])
@pytest.mark.parametrize("make", [image_layers, sequence_layers])
def test_each_layer_kind_ends_on_a_grid_per_channel(bits, make, seeded):
    model = make()
    low, high = BITS[bits]
    x, y = data(16, model.input_shape[1:])
    small = compress(model, (x, y), [QuantizeAware(bits)], loss=LOSS, epochs=1, batch_size=8)
    checked = 0
    for path, weight in named_weights(small).items():
        if len(weight.shape) < 2 or weight.name == "bias":
            continue
        for channel in steps_of(path, np.asarray(weight), low, high):
            assert len(np.unique(channel)) <= high - low + 1, path
            if np.unique(np.abs(channel[channel != 0])).size > 1:
                smallest = np.abs(channel[channel != 0]).min()
                found = any(
                    np.allclose(np.rint(channel / smallest * k), channel / smallest * k, atol=1e-3)
                    for k in range(1, high + 1)
                )
                assert found, path
        checked += 1
    assert checked >= 5


@pytest.mark.parametrize(
    ("path", "shape", "axes"),
    [
        ("conv/kernel", (3, 3, 4, 8), (3,)),
        ("attention/query/kernel", (16, 2, 8), (1, 2)),
        ("attention/attention_output/kernel", (2, 8, 16), (2,)),
        ("embedding/embeddings", (100, 16), (0,)),
        ("depthwise_conv2d/kernel", (3, 3, 8, 1), (2, 3)),
        ("lstm/lstm_cell/recurrent_kernel", (8, 32), (1,)),
    ],
)
def test_channels_are_the_outputs(path, shape, axes):
    assert channel_axes(path, shape) == axes


def test_starting_scale_loses_less_than_the_largest_weight_as_end():
    values = np.random.default_rng(0).normal(size=(500, 4)).astype("float32")
    low, high = BITS["int4"]

    def error(scale):
        return np.square(rounded(values, scale, low, high) - values).mean()

    assert error(starting_scale(values, (1,), low, high)) < 0.8 * error(np.abs(values).max(axis=0) / high)


def test_training_beats_rounding(seeded):
    model, (x, y) = dense(), data(256)
    model.compile(keras.optimizers.Adam(1e-2), LOSS)
    model.fit(x, y, epochs=40, verbose=0)  # pyright: ignore[reportArgumentType]
    by_rounding = keras.models.clone_model(model)
    by_rounding.set_weights(model.get_weights())
    for path, weight in named_weights(by_rounding).items():
        if weight.name == "kernel":
            value = np.asarray(weight)
            weight.assign(rounded(value, starting_scale(value, channel_axes(path, value.shape), -1, 1), -1, 1))
    trained = compress(
        model, (x, y), [QuantizeAware("ternary")], loss=LOSS, epochs=30, learning_rate=5e-3, batch_size=16
    )

    def error(one):
        return float(np.square(np.asarray(one(x)) - y).mean())

    assert error(trained) < 0.5 * error(by_rounding)


@pytest.mark.parametrize("bits", ["int8", "int4"])
def test_pruned_clustered_quantised_keeps_zeros_and_number_of_values(bits, seeded):
    transforms = [Prune(0.6), Cluster(9), QuantizeAware(bits)]
    small = compress(dense(), data(), transforms, loss=LOSS, epochs=3, batch_size=16)
    two = compress(dense(), data(), transforms[:2], loss=LOSS, epochs=3, batch_size=16)
    for one in ("first", "second"):
        value, before = (np.asarray(model.get_layer(one).kernel) for model in (small, two))
        assert (value == 0).mean() >= 0.6
        assert len(np.unique(value)) <= min(9, len(np.unique(before)))
        scale = np.abs(value[value != 0]).min()
        assert any(np.allclose(value / scale * k, np.rint(value / scale * k), atol=1e-3) for k in range(1, 128))


def test_what_a_model_brings_along_is_kept_by_a_later_call(seeded):
    first = compress(dense(), data(), [Prune(0.6), Cluster(9)], loss=LOSS, epochs=2, batch_size=16)
    before = {layer: np.asarray(first.get_layer(layer).kernel) for layer in ("first", "second")}
    second = compress(first, data(), [QuantizeAware("int8")], loss=LOSS, epochs=4, learning_rate=1e-2, batch_size=16)
    for layer, old in before.items():
        value = np.asarray(second.get_layer(layer).kernel)
        assert (value[old == 0] == 0).all()
        assert len(np.unique(value)) <= len(np.unique(old))
        assert np.abs(value - old).max() > 1e-3  # the values themselves were trained


def test_zeros_come_through_two_replicas(seeded):
    cpu = tf.config.list_physical_devices("CPU")[0]
    assert cpu
    strategy = tf.distribute.MirroredStrategy([device.name for device in tf.config.list_logical_devices("CPU")][:2])
    with strategy.scope():
        model = dense()
    small = compress(model, data(), [Prune(0.5), QuantizeAware("int4")], loss=LOSS, epochs=2, batch_size=16)
    value = np.asarray(small.get_layer("first").kernel)
    assert (value == 0).mean() >= 0.5
    assert all(len(np.unique(column)) <= 15 for column in value.T)
