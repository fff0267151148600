"""Dropout while a model is compressed."""

import keras
import numpy as np
import pytest

import zoo
from zoo.compression.dropout import dropout_scaled
from zoo.errors import InvalidValueError


def model():
    x = keras.Input((5, 8), name="x")
    inner = keras.Input((5, 8))
    block = keras.Model(inner, keras.layers.SpatialDropout1D(0.4)(inner))
    y = keras.layers.MultiHeadAttention(2, 4, dropout=0.2)(block(x), x)
    y = keras.layers.GaussianDropout(0.1)(keras.layers.LSTM(4, dropout=0.3, recurrent_dropout=0.5)(y))
    return keras.Model(x, keras.layers.Dense(2)(y))


def rates(one):
    found = {}
    for layer in one._flatten_layers():
        if isinstance(layer, keras.layers.MultiHeadAttention):  # holds a layer of dropout, which is in the list as well
            continue
        for name in ("rate", "dropout", "recurrent_dropout"):
            value = getattr(layer, name, None)
            if isinstance(value, float):
                found[f"{type(layer).__name__}.{name}"] = value
    return found


def test_every_rate_is_scaled_and_comes_back():
    one = model()
    before = rates(one)
    assert set(before.values()) == {0.4, 0.2, 0.1, 0.3, 0.5}
    with dropout_scaled(one, 0.5):
        assert rates(one) == {name: rate / 2 for name, rate in before.items()}
    assert rates(one) == before


def test_a_model_compressed_without_dropout_trains_as_one_that_never_had_it(seeded):
    x, y = np.random.default_rng(0).normal(size=(32, 6)).astype("float32"), np.ones((32, 2), "float32")

    def small(rate, share):
        keras.utils.set_random_seed(1)
        entered = keras.Input((6,), name="x")
        hidden = keras.layers.Dropout(rate)(keras.layers.Dense(8, activation="relu", name="hidden")(entered))
        one = keras.Model(entered, keras.layers.Dense(2, name="out")(hidden))
        random = np.random.default_rng(1)  # of weights: a layer that drops nothing draws no seed
        one.set_weights([random.normal(size=weight.shape) for weight in one.get_weights()])
        return zoo.compress(one, (x, y), [zoo.Prune(0.5)], loss="mse", epochs=2, batch_size=16, dropout=share)

    without, scaled, kept = small(0.0, 1.0), small(0.5, 0.0), small(0.5, 1.0)
    for one, other in zip(without.get_weights(), scaled.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert any((one != other).any() for one, other in zip(without.get_weights(), kept.get_weights(), strict=True))
    assert [layer.rate for layer in scaled.layers if isinstance(layer, keras.layers.Dropout)] == [0.5]


def test_a_share_above_one_is_refused():
    x = keras.Input((3,))
    one = keras.Model(x, keras.layers.Dense(2)(x))
    with pytest.raises(InvalidValueError, match="`dropout` must be from 0 to 1"):
        zoo.compress(one, (np.ones((4, 3)), np.ones((4, 2))), [zoo.Prune(0.5)], loss="mse", dropout=1.5)
