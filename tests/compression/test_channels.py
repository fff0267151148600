"""Channels: found together in the graph, removed without a change of the answers, pruned while training."""

import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

sys.path.insert(0, str(Path(__file__).parent))  # importlib mode: for `surgery`

import descriptors
import surgery
from chains import CHAINS, IMAGE, SEQUENCE, VECTOR, chain, conv, sizes

from zoo.compression.channels import channel_groups, remove_channels, saliency
from zoo.errors import CompressionError, InvalidValueError, UnknownNameError
from zoo.layers.attention import MatMulAttention, RotaryAttention


@pytest.mark.parametrize("name", CHAINS)
def test_chains(name, seeded):
    make, expected = CHAINS[name]
    model = make()
    assert sizes(model) == expected
    surgery.halved(model)


class OwnDense(layers.Dense):
    def call(self, inputs):  # pyright: ignore[reportIncompatibleMethodOverride]
        return keras.ops.flip(super().call(inputs), -1)


def test_a_class_derived_from_a_known_one_is_not_known():
    assert sizes(chain(VECTOR, OwnDense(8), layers.ReLU())) == {}


def test_sums_tie_channels_and_a_broadcast_channel_stays(seeded, tmp_path):
    x = keras.Input(IMAGE, name="x")
    a = conv(name="a", padding="same")(x)
    b = conv(name="b", padding="same")(x)
    gate = layers.Dense(6, "sigmoid", name="gate")(layers.GlobalAveragePooling2D(keepdims=True)(a))
    one = layers.Conv2D(1, 1, name="one")(x)
    y = layers.Multiply()([layers.Average()([layers.Add()([a, b]), b]), gate, one])
    model = keras.Model(x, layers.Dense(2)(layers.GlobalAveragePooling2D()(y)))
    (group,) = channel_groups(model)
    assert (group.name, group.size) == ("a", 6)
    assert {part.path for part in group.slices if part.side == "produces"} == {
        f"{name}/{kind}" for name in ("a", "b", "gate") for kind in ("kernel", "bias")
    }
    surgery.halved(model, tmp_path)


def test_concatenated_channels_move(seeded, tmp_path):
    x = keras.Input(IMAGE, name="x")
    parts = [conv(filters, name)(x) for filters, name in ((4, "a"), (3, "b"))]
    joined = layers.Concatenate()([*parts, layers.Cropping2D(1)(x), parts[0]])
    sides = layers.Concatenate(axis=1)([joined, joined])
    total = layers.Add()([sides, conv(14, "tied")(layers.ZeroPadding2D(((6, 0), (0, 0)))(x))])
    model = keras.Model(x, layers.Dense(2)(layers.Flatten()(total)))
    assert sizes(model) == {"a": 4, "b": 3}
    small = surgery.halved(model, tmp_path)
    assert small.get_layer("tied").filters == 2 + 1 + 3 + 2


@pytest.mark.parametrize("kind", [layers.MultiHeadAttention, MatMulAttention, RotaryAttention])
def test_heads_of_attention(kind, seeded, tmp_path):
    x = keras.Input(SEQUENCE, name="x")
    width = layers.Dense(8, name="width")(x)
    y = kind(4, 2, name="attention")(width, layers.Dense(6, name="memory")(x))
    model = keras.Model(x, layers.Dense(2)(layers.Dense(7, name="behind")(y)))
    assert sizes(model) == {"width": 8, "memory": 6, "attention/heads": 4, "attention": 8, "behind": 7}
    heads = next(group for group in channel_groups(model) if group.kind == "heads")
    assert {part.path.split("/")[1] for part in heads.slices} == {"query", "key", "value", "attention_output"}
    small = surgery.halved(model, tmp_path)
    assert small.get_layer("attention").num_heads == 2


def test_attention_with_a_gate_or_with_its_scores_asked_for(seeded):
    x = keras.Input(SEQUENCE, name="x")
    gated = layers.MultiHeadAttention(4, 3, value_dim=2, use_bias=False, use_gate=True, name="gated")(x, x)
    surgery.halved(keras.Model(x, layers.Dense(2)(gated)))
    attended, scores = layers.MultiHeadAttention(4, 3)(x, x, return_attention_scores=True)
    assert sizes(keras.Model(x, [layers.Dense(2)(attended), scores])) == {}


def test_states_of_recurrent_layers_are_tied(seeded, tmp_path):
    x = keras.Input(SEQUENCE, name="x")
    _, *states = layers.LSTM(6, return_state=True, name="encoder")(x)
    y = layers.LSTM(6, return_sequences=True, name="decoder")(x, initial_state=states)
    model = keras.Model(x, layers.Dense(2)(y))
    assert sizes(model) == {"encoder": 6}
    surgery.halved(model, tmp_path)


def test_nested_and_shared_layers_several_inputs_and_outputs(seeded, tmp_path):
    inside = keras.Input((5,), name="inside")
    tower: Any = keras.Model(inside, layers.Dense(6, name="out")(layers.Dense(8, "relu", name="in")(inside)))
    chained = keras.Sequential([keras.Input((6,)), layers.Dense(7, name="a"), layers.Dense(4, name="b")], name="chain")
    a, b = keras.Input((5,), name="a"), keras.Input((5,), name="b")
    shared = layers.Dense(4, name="shared")
    left, right = tower(a), tower(b)
    total = layers.Add(name="total")([layers.Dense(6, name="own")(a), left])
    out = layers.Subtract(name="out")([shared(chained(total)), shared(layers.Dense(4, name="other")(right))])
    model = keras.Model({"a": a, "b": b}, {"out": out, "again": layers.Dense(3, name="again")(right)})
    assert sizes(model) == {"in": 8, "out": 6, "chain/a": 7, "other": 4}  # with own, and with chain/b
    surgery.halved(model, tmp_path)


def test_towers_of_the_same_names_are_groups_apart(seeded):
    def tower(name):
        x = keras.Input(VECTOR)
        hidden = layers.Dense(8, name="hidden")(x)
        return keras.Model(x, layers.Dense(4, name="end")(hidden), name=name)

    a, b = keras.Input(VECTOR, name="a"), keras.Input(VECTOR, name="b")
    model = keras.Model([a, b], layers.Dot(1)([tower("user")(a), tower("item")(b)]))
    assert sizes(model) == {"hidden": 8, "hidden.2": 8}
    surgery.halved(model)


def test_a_layer_that_is_used_in_an_unknown_way_as_well_stays():
    inner = layers.Dense(8)
    x = keras.Input(SEQUENCE)
    known, unknown = inner(x), layers.TimeDistributed(inner)(x)
    model = keras.Model(x, [layers.Dense(2)(known), layers.Dense(2)(unknown)])
    assert sizes(model) == {}


# No group: every width passes a LayerNormalization, and units are read by nothing else.
WITHOUT_GROUPS = ("speech_ctc-gru", "speech_ctc-lstm")


# The others say nothing new of the rules: slow.
SAVED = ["conv1d-average", "conv2d-batch_norm", "resnet-cifar_zeros", "rnn-simple", "transformer-sinusoidal"]
QUICK = [*SAVED, "conv1d-residual", "rnn-gru_bidirectional", "speech_ctc-transformer", "speech_ctc-gru"]


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name, _ in descriptors.every_model()],
)
def test_families(name, seeded, tmp_path):
    model = dict(descriptors.every_model())[name].model.build()
    assert bool(channel_groups(model)) == (name not in WITHOUT_GROUPS)
    surgery.halved(model, tmp_path if name in SAVED else None)


def test_zeros_of_a_shortcut_are_removed_with_the_channels_they_meet(seeded):
    model = descriptors.MODELS["resnet"]["cifar_zeros"].model.build()
    assert sizes(model)["stem_conv"] == 4
    streams = [group for group in channel_groups(model) if group.name.endswith("conv2") or group.name == "stem_conv"]
    assert [group.size for group in streams] == [4, 4, 8]
    keep = {streams[1].name: np.array([True, False, False, False])}
    assert remove_channels(model, keep).get_layer("stage2_block1_shortcut_zeros").filters == 4 + 1


def test_saliency_is_the_norm_over_makers_and_readers():
    model = chain(VECTOR, layers.Dense(3, use_bias=False, name="a"))
    (group,) = channel_groups(model)
    values = {"a/kernel": np.zeros((6, 3), "float32"), "last/kernel": np.zeros((3, 2), "float32")}
    values["a/kernel"][0] = [3, 0, 6]
    values["last/kernel"][:, 1] = [4, 0, 8]
    norms = np.array([5.0, 0, 10])
    np.testing.assert_allclose(saliency(group, values), norms / np.sqrt(np.mean(norms**2)), rtol=1e-6)


@pytest.mark.parametrize(
    ("keep", "error", "message"),
    [
        ({"b": np.ones(8, bool)}, UnknownNameError, "group of channels: 'b'"),
        ({"a": np.ones(7, bool)}, InvalidValueError, r"bool \[8\] for the group 'a'.*bool \[7\]"),
        ({"a": np.ones(8)}, InvalidValueError, r"float64 \[8\]"),
        ({"a": np.zeros(8, bool)}, CompressionError, "All 8 channels of 'a'.*at least one"),
    ],
    ids=["name", "shape", "type", "none-left"],
)
def test_masks_that_are_refused(keep, error, message):
    with pytest.raises(error, match=message):
        remove_channels(chain(VECTOR, layers.Dense(8, name="a")), keep)


def test_models_without_a_graph_are_refused():
    class Subclassed(keras.Model):
        def call(self, inputs):
            return inputs

    with pytest.raises(CompressionError, match="functional shell"):
        channel_groups(Subclassed())
