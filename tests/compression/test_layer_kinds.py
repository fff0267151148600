"""Every kind of layer through pruning, clustering and quantisation: what is promised, seen by numpy, and exported."""

import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

sys.path.insert(0, str(Path(__file__).parent))  # importlib mode: for `chains`

from chains import CHAINS, IMAGE, SEQUENCE, chain, conv
from surgery import random_inputs

import zoo
from zoo.compression.base import named_weights
from zoo.compression.sharing import Rows, channel_axes

HIGHEST = 7  # of int4


def attention():
    x = keras.Input(SEQUENCE, name="x")
    y = layers.MultiHeadAttention(2, 3, name="attention")(x, x)
    return keras.Model(x, layers.Dense(2, name="last")(layers.GlobalAveragePooling1D()(y)))


def shared():
    """Returns a nested model and a layer, both called twice, with two inputs and two outputs."""
    inside = keras.Input((6,))
    tower = keras.Model(inside, layers.Dense(8, "relu", name="inside")(inside), name="tower")
    a, b, head = keras.Input((6,), name="a"), keras.Input((6,), name="b"), layers.Dense(3, name="head")
    return keras.Model({"a": a, "b": b}, {"left": head(tower(a)), "right": head(tower(b))})


def towers():
    """Returns two models whose layers have the same names."""

    def tower(name):
        inside = keras.Input((6,))
        return keras.Model(inside, layers.Dense(8, name="hidden")(inside), name=name)

    a, b = keras.Input((6,), name="a"), keras.Input((6,), name="b")
    return keras.Model([a, b], layers.Concatenate()([tower("user")(a), tower("item")(b)]))


def everything():
    """Returns a model of all kinds at once: image, words and frames in, two answers out."""
    image, words, frames = keras.Input(IMAGE, name="image"), keras.Input((7,), name="words", dtype="int32"), SEQUENCE
    frames = keras.Input(frames, name="frames")
    y = layers.BatchNormalization()(layers.Conv2D(4, 3, name="conv")(image))
    y = layers.SeparableConv2D(4, 2, name="separable")(layers.DepthwiseConv2D(2, name="depthwise")(layers.ReLU()(y)))
    y = layers.Flatten()(layers.Conv2DTranspose(3, 2, name="transposed")(y))
    w = layers.LSTM(4, name="lstm")(layers.Embedding(9, 6, name="embedding")(words))
    z = layers.Conv1D(6, 3, padding="same", name="conv1d")(frames)
    z = layers.Bidirectional(layers.GRU(3, return_sequences=True), name="both")(z)
    z = layers.MultiHeadAttention(2, 3, name="attention")(z, z)
    z = layers.EinsumDense("abc,cd->abd", (None, 6), name="einsum")(z)
    z = layers.SimpleRNN(4, name="simple")(z)
    joined = layers.Concatenate()([y, w, z])
    outputs = {"one": layers.Dense(2, name="one")(joined), "two": layers.Dense(3, name="two")(joined)}
    return keras.Model({"image": image, "words": words, "frames": frames}, outputs)


KINDS: dict[str, Any] = {
    "everything": everything,
    "shared": shared,
    "towers": towers,
    "attention": attention,
    "simple_rnn": lambda: chain(SEQUENCE, layers.SimpleRNN(5, name="a")),
    "frozen": lambda: chain(IMAGE, conv(4), conv(4, "still", trainable=False), layers.Flatten()),
    **{
        name: CHAINS[name][0]
        for name in (
            *("dense", "einsum", "conv1d", "conv2d_flatten", "conv3d", "transposed", "separable", "depthwise"),
            *(
                "batch_norm",
                "embedding",
                "lstm",
                "gru_after",
                "gru_before",
                "bidirectional",
                "distributed",
                "sequential",
            ),
        )
    },
}
FAST = {"shared", "attention"}
PARAMS = [pytest.param(make, id=name, marks=() if name in FAST else pytest.mark.slow) for name, make in KINDS.items()]


def data(model, rows=16) -> Any:
    """Returns examples and answers in the structures of a model."""
    inputs = random_inputs(model, rows)
    random = np.random.default_rng(2)
    answers = keras.tree.map_structure(lambda one: random.normal(size=one.shape).astype("float32"), model(inputs))
    return inputs, answers


def compressible(model):
    return {
        path: np.asarray(weight)
        for path, weight in named_weights(model).items()
        if len(weight.shape) >= 2 and weight.name != "bias"
    }


def on_grid(row):
    """Tells whether numbers are whole multiples, up to 7 times, of one number; found from the smallest of them."""
    magnitudes = np.abs(row[row != 0]).astype("float64")
    if not magnitudes.size:
        return True
    steps = [magnitudes / magnitudes.min() * count for count in range(1, HIGHEST + 1)]
    return any(np.abs(one - np.rint(one)).max() < 1e-3 and one.max() < HIGHEST + 0.5 for one in steps)


def assert_same_when_served(model, inputs, tmp_path):
    published = zoo.export(model, tmp_path, name="m", form="packed")
    signature = tf.saved_model.load(str(published.path)).signatures["serving_default"]
    listed = keras.tree.flatten(inputs)
    named = inputs if isinstance(inputs, dict) else dict(zip((one.name for one in model.inputs), listed, strict=True))
    served = signature(**{name: tf.constant(value) for name, value in named.items()})
    answers: Any = model(inputs)
    expected = answers if isinstance(answers, dict) else {next(iter(served)): answers}
    for name, value in expected.items():
        np.testing.assert_allclose(served[name], value, atol=1e-5)


def untouched(model, small):
    """Yields each weight that no transform may work on, by path, before and after, if nothing trains it."""
    for before, after in zip(model.non_trainable_variables, small.non_trainable_variables, strict=True):
        if before.name in ("kernel", "bias"):
            yield before.path, np.asarray(before), np.asarray(after)


@pytest.mark.parametrize("make", PARAMS)
def test_pruned_clustered_quantised_keeps_every_promise(make, tmp_path, seeded):
    model = make()
    inputs, answers = data(model)
    transforms = [zoo.Prune(0.5), zoo.Cluster(4), zoo.QuantizeAware("int4")]
    small = zoo.compress(model, (inputs, answers), transforms, loss=loss_of(answers), epochs=1, batch_size=8)
    shapes = [[value.shape for value in compressible(one).values()] for one in (model, small)]
    assert shapes[0] == shapes[1]
    for path, value in compressible(small).items():
        assert (value == 0).sum() >= value.size - max(1, round(value.size * 0.5)), path
        assert len(np.unique(value)) <= 4, path
        rows = Rows(value.shape, channel_axes(path, value.shape)).of(value)
        assert on_grid(value) or all(map(on_grid, rows)), path
        assert value.any(), path
    for path, before, after in untouched(model, small):
        np.testing.assert_array_equal(before, after, err_msg=path)
    assert_same_when_served(small, inputs, tmp_path)


@pytest.mark.parametrize("make", PARAMS)
def test_quantised_alone_lies_on_a_grid_per_channel(make, tmp_path, seeded):
    model = make()
    inputs, answers = data(model)
    transforms = [zoo.QuantizeAware("int4", activations="int8")]
    small = zoo.compress(model, (inputs, answers), transforms, loss=loss_of(answers), epochs=1, batch_size=8)
    for path, value in compressible(small).items():
        rows = Rows(value.shape, channel_axes(path, value.shape)).of(value)
        assert all(map(on_grid, rows)), path
        assert all(len(np.unique(row)) <= 2 * HIGHEST + 1 for row in rows), path
    biases = {path: np.asarray(weight) for path, weight in named_weights(small).items() if weight.name == "bias"}
    assert not biases or any(len(np.unique(value[value != 0])) > 1 for value in biases.values()), "biases are free"
    assert_same_when_served(small, inputs, tmp_path)


def loss_of(answers):
    return keras.tree.map_structure(lambda _: "mean_squared_error", answers)
