"""Copies answer as their models do, whatever layers these are made of and however they are nested."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from zoo.compression.activations import quantize_activations
from zoo.compression.channels import channel_groups, remove_channels
from zoo.compression.cloning import copied
from zoo.compression.folding import fold_batch_norm
from zoo.compression.round_vectors import RoundVectors
from zoo.layers.quantization import ActivationQuantizer

WIDTH = 6


class Unregistered(keras.layers.Layer):
    def call(self, x):
        return x * 2


def numbers() -> Any:
    return np.random.default_rng(0).normal(size=(4, WIDTH)).astype("float32")


def around(*steps):
    """Returns a model with a model of these steps in it, and a normalisation that folds."""
    x = inner = keras.Input((WIDTH,))
    for step in steps:
        inner = step(inner)
    block = keras.Model(x, inner, name="block")
    outside = keras.Input((WIDTH,), name="x")
    hidden = keras.layers.BatchNormalization()(keras.layers.Dense(8, name="hidden")(block(outside)))
    return keras.Model(outside, keras.layers.Dense(3, name="out")(hidden)), numbers()


def words(lookup):
    x = keras.Input((1,), dtype="string", name="x")
    found = keras.layers.Flatten()(keras.layers.Embedding(9, 4)(lookup(x)))
    hidden = keras.layers.BatchNormalization()(keras.layers.Dense(8, name="hidden")(found))
    return keras.Model(x, keras.layers.Dense(3, name="out")(hidden)), tf.constant([["a b"], ["c"], ["none"]])


def string_lookup():
    lookup = keras.layers.StringLookup()
    lookup.adapt(np.array(["a b", "c", "d"]))
    return words(lookup)


def text_vectorization():
    lookup = keras.layers.TextVectorization(output_sequence_length=3)
    lookup.adapt(np.array(["a b", "c d e"]))
    return words(lookup)


def frequencies():
    lookup = keras.layers.TextVectorization(output_mode="tf_idf")
    lookup.adapt(np.array(["a b", "c d e", "a d"]))
    x = keras.Input((), dtype="string", name="x")
    hidden = keras.layers.BatchNormalization()(keras.layers.Dense(8, name="hidden")(lookup(x)))
    return keras.Model(x, keras.layers.Dense(3, name="out")(hidden)), tf.constant(["a b", "c", "none"])


def integers():
    lookup = keras.layers.IntegerLookup()
    lookup.adapt(np.array([3, 5, 8]))
    x = keras.Input((2,), dtype="int64", name="x")
    found = keras.layers.Flatten()(keras.layers.Embedding(9, 4)(lookup(x)))
    hidden = keras.layers.BatchNormalization()(keras.layers.Dense(8, name="hidden")(found))
    return keras.Model(x, keras.layers.Dense(3, name="out")(hidden)), np.array([[3, 8], [5, 1]])


def normalized():
    statistics = keras.layers.Normalization()
    statistics.adapt(3 * numbers() + 2)
    return around(statistics)


KINDS = {
    "own": lambda: around(Unregistered()),
    "lambda": lambda: around(keras.layers.Lambda(lambda x: x * 2)),
    "string_lookup": string_lookup,
    "integer_lookup": integers,
    "text_vectorization": text_vectorization,
    "tf_idf": frequencies,
    "normalization": normalized,
}
COPIES = {
    "copied": copied,
    "folded": fold_batch_norm,
    "activations": quantize_activations,
    "channels": lambda model: remove_channels(model, {group.name: keep(group) for group in channel_groups(model)}),
}


def keep(group):
    return np.ones(group.size, bool)


@pytest.mark.parametrize("copy", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_copies_answer_alike(make, copy, seeded):
    model, x = make()
    np.testing.assert_allclose(copy(model)(x), model(x), atol=1e-4)


def test_quantised_activations_in_a_model_in_a_model_are_copied_on(seeded):
    model, x = around(keras.layers.Dense(5, name="inside"))
    y: Any = np.asarray(model(x))
    transforms = [zoo.QuantizeAware("int8", activations="int8"), RoundVectors()]
    small = zoo.compress(model, (x, y), transforms, loss="mean_squared_error", epochs=1, batch_size=2)
    assert quantizers(small) == 3


def quantizers(model: Any) -> int:
    return sum(isinstance(layer, ActivationQuantizer) for layer in model._flatten_layers())


def sequence(name="sequence"):
    hidden = keras.layers.Dense(8, activation="relu", name=f"{name}_hidden")
    steps = [keras.Input((WIDTH,)), hidden, keras.layers.Dropout(0.1), keras.layers.Dense(5, name=f"{name}_out")]
    return keras.Sequential(steps, name=name)


def test_activations_of_a_sequential_model_are_quantised(seeded, tmp_path):
    model, x = sequence(), numbers()
    y: Any = np.asarray(model(x))
    transforms = [zoo.QuantizeAware("int8", activations="int8")]
    small = zoo.compress(model, (x, y), transforms, loss="mean_squared_error", epochs=2, batch_size=2)
    assert isinstance(small, keras.Sequential)
    assert [type(layer).__name__ for layer in small.layers] == [
        *("ActivationQuantizer", "Dense", "Dropout", "ActivationQuantizer", "Dense")
    ]
    assert quantizers(model) == 0
    seen: Any = small.layers[0](x)
    assert 0 < np.abs(np.asarray(seen) - x).max() < 0.1, "the range of its quantiser was trained"
    small.save(tmp_path / "small.keras")
    np.testing.assert_allclose(zoo.load_model(tmp_path / "small.keras")(x), small(x), atol=1e-6)


def test_activations_of_sequential_models_in_a_model_are_quantised(seeded):
    shared = sequence("shared")
    a, b = keras.Input((WIDTH,), name="a"), keras.Input((WIDTH,), name="b")
    total = keras.layers.Add()([shared(a), shared(b)])
    model = keras.Model(
        {"a": a, "b": b}, keras.layers.Dense(2, name="out")(sequence("last")(keras.ops.pad(total, [[0, 0], [0, 1]])))
    )
    small = quantize_activations(model)
    assert quantizers(small.get_layer("shared")) == quantizers(small.get_layer("last")) == 2
    assert quantizers(small) == 5
    x = {"a": numbers(), "b": 1 - numbers()}
    np.testing.assert_allclose(small(x), model(x), atol=1e-5)
