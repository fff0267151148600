"""Batch normalisations go into the layers before them: answers, names and structure stay."""

import sys
from pathlib import Path
from typing import Any

import keras
import pytest
from keras import layers

sys.path.insert(0, str(Path(__file__).parent))  # importlib mode: for `surgery`

import descriptors
import surgery

from zoo import registry
from zoo.compression.folding import fold_batch_norm
from zoo.errors import CompressionError

SEQUENCE, IMAGE, VOLUME = (8, 5), (8, 8, 3), (4, 4, 4, 2)


def norms(model):
    return sum(isinstance(layer, layers.BatchNormalization) for layer in model._flatten_layers())


def chain(shape, *steps):
    x = entered = keras.Input(shape, name="x")
    for step in steps:
        x = step(x)
    return keras.Model(entered, layers.Dense(2, name="last")(layers.Flatten()(x)), name="chain")


def folded(model: Any, left: int = 0, tmp_path=None):
    surgery.randomized(model)
    small = fold_batch_norm(model)
    assert norms(small) == left < norms(model)
    surgery.assert_same_answers(model, small, 1e-4)
    assert small.name == model.name
    if not isinstance(model, keras.Sequential):
        assert [x.name for x in small.inputs] == [x.name for x in model.inputs]
    if tmp_path is not None:
        small.save(tmp_path / "folded.keras")
        again = keras.models.load_model(tmp_path / "folded.keras", registry.custom_objects())
        surgery.assert_same_answers(small, again)
    return small


@pytest.mark.parametrize(
    ("shape", "make"),
    [
        (SEQUENCE, lambda **settings: layers.Dense(6, use_bias=False, **settings)),
        (SEQUENCE, lambda **settings: layers.Conv1D(6, 3, padding="same", use_bias=False, **settings)),
        (IMAGE, lambda **settings: layers.Conv2D(6, 3, strides=2, padding="same", **settings)),
        (IMAGE, lambda **settings: layers.Conv2D(6, 3, groups=3, use_bias=False, **settings)),
        (VOLUME, lambda **settings: layers.Conv3D(6, 2, **settings)),
        (IMAGE, lambda **settings: layers.Conv2DTranspose(6, 3, 2, **settings)),
        (IMAGE, lambda **settings: layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False, **settings)),
        (SEQUENCE, lambda **settings: layers.DepthwiseConv1D(3, depth_multiplier=2, **settings)),
        (IMAGE, lambda **settings: layers.SeparableConv2D(6, 3, depth_multiplier=2, **settings)),
    ],
    ids=["dense", "conv1d", "conv2d", "groups", "conv3d", "transposed", "depthwise2d", "depthwise1d", "separable"],
)
def test_layers_that_take_a_normalisation_in(shape, make, seeded):
    model = chain(shape, make(name="before"), layers.BatchNormalization(name="norm"), layers.ReLU())
    small = folded(model)
    assert [layer.name for layer in small.layers] == [layer.name for layer in model.layers if layer.name != "norm"]
    assert small.get_layer("before").use_bias


@pytest.mark.parametrize("settings", [{"scale": False}, {"center": False}, {"epsilon": 0.1}, {"axis": 3}], ids=str)
def test_normalisations_of_every_kind(settings, seeded, tmp_path):
    folded(chain(IMAGE, layers.Conv2D(6, 3), layers.BatchNormalization(**settings)), tmp_path=tmp_path)


@pytest.mark.parametrize(
    "steps",
    [
        lambda: [layers.Conv2D(6, 3, activation="relu"), layers.BatchNormalization()],
        lambda: [layers.Conv2D(6, 3), layers.ReLU(), layers.BatchNormalization()],
        lambda: [layers.Conv2D(6, 3), layers.BatchNormalization(axis=1)],
        lambda: [layers.BatchNormalization(), layers.Conv2D(6, 3)],
        lambda: [layers.Conv2D(6, 3)],
    ],
    ids=["activation", "between", "axis", "before", "none"],
)
def test_a_model_in_which_nothing_folds_is_returned_itself(steps):
    model = chain(IMAGE, *steps())
    assert fold_batch_norm(model) is model


def test_what_feeds_more_than_the_normalisation_stays(seeded):
    x = keras.Input(IMAGE, name="x")
    conv = layers.Conv2D(3, 3, padding="same", name="twice")(x)
    total = layers.Add()([conv, layers.BatchNormalization(name="kept")(conv)])
    out = layers.Conv2D(3, 3, name="output")(total)
    again = layers.BatchNormalization(name="kept_as_well")(out)
    behind = layers.BatchNormalization(name="gone")(layers.Conv2D(4, 3, name="single")(total))
    model = keras.Model(x, [out, again, layers.ReLU(name="end")(behind)])
    small = folded(model, left=2)
    assert small.output_names == model.output_names
    assert {layer.name for layer in model.layers} - {layer.name for layer in small.layers} == {"gone"}


def test_shared_layers_are_left(seeded):
    a, b = keras.Input(IMAGE, name="a"), keras.Input(IMAGE, name="b")
    conv, norm = layers.Conv2D(4, 3, name="conv"), layers.BatchNormalization(name="norm")
    model = keras.Model([a, b], layers.Add()([norm(conv(a)), norm(conv(b))]))
    assert fold_batch_norm(model) is model
    alone = layers.BatchNormalization(name="one")(conv(a))
    assert fold_batch_norm(keras.Model([a, b], layers.Add()([alone, conv(b)]))).count_params() > 0


def test_nested_models_shared_and_dictionaries(seeded, tmp_path):
    inside = keras.Input(IMAGE, name="inside")
    tower: Any = keras.Model(inside, layers.BatchNormalization(name="norm")(layers.Conv2D(4, 3)(inside)), name="tower")
    chained = keras.Sequential(
        [keras.Input((6, 6, 4)), layers.Conv2D(5, 3), layers.BatchNormalization(), layers.ReLU()], name="chained"
    )
    a, b = keras.Input(IMAGE, name="a"), keras.Input(IMAGE, name="b")
    total = layers.Add(name="add")([tower(a), tower(b)])
    norm = layers.BatchNormalization(name="left")(layers.Conv2D(2, 1, name="conv")(total))
    model = keras.Model({"a": a, "b": b}, {"left": norm, "right": chained(total)})
    small = folded(model, tmp_path=tmp_path)
    assert small.output_names == model.output_names
    assert [layer.name for layer in small.layers] == [layer.name for layer in model.layers]
    assert isinstance(small.get_layer("left"), layers.Identity)


def test_a_sequential_model_stays_one(seeded):
    steps = [keras.Input(IMAGE), layers.Conv2D(4, 3), layers.BatchNormalization(), layers.Flatten(), layers.Dense(2)]
    small = folded(keras.Sequential(steps, name="sequence"))
    assert isinstance(small, keras.Sequential)
    assert len(small.layers) == 3


# Whatever norms stay, a convolution is not what they follow, or they follow an activation.
FAMILIES = {
    "conv1d-residual": 0,
    "conv2d-batch_norm": 0,
    "resnet-bottleneck": 0,
    "resnet-cifar_zeros": 0,
    "resnet-pre_activation": 3,
    "resnet-keras_bottleneck": 0,
}


@pytest.mark.parametrize("name", FAMILIES)
def test_families(name, seeded):
    small = folded(dict(descriptors.every_model())[name].model.build(), left=FAMILIES[name])
    assert all("Batch" not in type(layer).__name__ for layer in small.layers) == (FAMILIES[name] == 0)


@pytest.mark.parametrize("name", ["conv1d-average", "transformer-sinusoidal"])
def test_families_without_a_normalisation_are_not_touched(name):
    model = dict(descriptors.every_model())[name].model.build()
    assert fold_batch_norm(model) is model


def test_models_without_a_graph_are_refused():
    class Subclassed(keras.Model):
        def call(self, inputs):
            return inputs

    with pytest.raises(CompressionError, match="functional shell"):
        fold_batch_norm(Subclassed())
