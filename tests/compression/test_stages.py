"""Transforms one after another: models that change on the way, settings for each, rounding without training."""

import keras
import numpy as np
import pytest

import zoo
from zoo.compression.base import named_weights
from zoo.compression.fold_batch_norm import FoldBatchNorm
from zoo.compression.quantize import quantize
from zoo.errors import CompressionError, InvalidValueError, UnknownNameError
from zoo.layers.quantization import ActivationQuantizer
from zoo.training.compress import compress

LOSS = "mean_squared_error"


def data(rows=32):
    x = np.random.default_rng(0).normal(size=(rows, 8, 8, 2)).astype("float32")
    return x, x.mean(axis=(1, 2))


def model():
    x = keras.Input((8, 8, 2), name="x")
    y = keras.layers.Conv2D(8, 3, name="conv")(x)
    y = keras.layers.ReLU()(keras.layers.BatchNormalization(name="norm")(y))
    inner = keras.Input((6, 6, 8))
    block = keras.Model(inner, keras.layers.Conv2D(8, 3, activation="relu", name="inside")(inner), name="block")
    y = keras.layers.Flatten()(block(y))
    y = keras.layers.Dense(24, activation="relu", name="hidden")(y)
    return keras.Model(x, keras.layers.Dense(2, name="out")(y))


EVERYTHING = [
    zoo.PruneChannels(0.5, scope="layer", only=("hidden",)),
    zoo.Prune(0.5),
    zoo.FoldBatchNorm(),
    zoo.Cluster(9),
    zoo.QuantizeAware("int8", activations="int8"),
]


def test_all_transforms_in_one_call_keep_each_promise(seeded, tmp_path):
    dense = model()
    small = compress(dense, data(), EVERYTHING, loss=LOSS, epochs=(2, 2, 1, 1), learning_rate=1e-3, batch_size=16)
    layers = {layer.name: layer for layer in small._flatten_layers()}  # pyright: ignore[reportAttributeAccessIssue]
    assert layers["hidden"].units == 12
    assert "norm" not in layers
    assert sum(isinstance(layer, ActivationQuantizer) for layer in layers.values()) == 4
    for path, weight in named_weights(small).items():
        if weight.name == "kernel":
            value = np.asarray(weight)
            assert (value == 0).mean() >= 0.5, path
            assert len(np.unique(value)) <= 9, path
    assert small.input_shape == dense.input_shape
    assert "norm" in {layer.name for layer in dense.layers}, "the model given must stay as it is"
    small.save(tmp_path / "small.keras")
    again = zoo.load_model(tmp_path / "small.keras")
    np.testing.assert_allclose(again(data()[0]), small(data()[0]), atol=1e-6)  # pyright: ignore[reportArgumentType]
    published = zoo.export(small, tmp_path / "models", name="m", form="packed")
    assert published.manifest["measured"]["max_difference"] <= 1e-4


def test_activations_lie_on_256_steps(seeded):
    small = compress(model(), data(), [zoo.QuantizeAware(activations="int8")], loss=LOSS, epochs=2, batch_size=16)
    quantizer = small.get_layer("conv_quantizer") if "conv_quantizer" in {x.name for x in small.layers} else None
    names = [layer.name for layer in small.layers if isinstance(layer, ActivationQuantizer)]
    assert names
    assert quantizer is None  # the convolution's output goes to a normalisation, which has no kernel
    seen = keras.Model(small.input, small.get_layer(names[-1]).output)(data(200)[0])
    assert 2 < len(np.unique(np.asarray(seen))) <= 256


def test_an_untrained_quantizer_passes_everything_on():
    x = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    np.testing.assert_array_equal(ActivationQuantizer()(x), x)


def test_settings_for_each_transform_that_trains():
    with pytest.raises(InvalidValueError, match=r"`epochs` must be one number, or 4 as there are transforms to train"):
        compress(model(), data(), EVERYTHING, loss=LOSS, epochs=(1, 2))
    with pytest.raises(InvalidValueError, match=r"`transforms` must be in this order.*Prune, FoldBatchNorm"):
        compress(model(), data(), [zoo.FoldBatchNorm(), zoo.Prune(0.5)], loss=LOSS)


def test_folding_alone_needs_no_training():
    dense = model()
    folded = compress(dense, data(), [FoldBatchNorm()], loss=LOSS)
    assert "norm" not in {layer.name for layer in folded.layers}
    np.testing.assert_allclose(folded(data()[0]), dense(data()[0], training=False), atol=1e-4)


@pytest.mark.parametrize(("bits", "values", "error"), [("int8", 255, 0.01), ("int4", 15, 0.15)])
def test_rounding_after_training(bits, values, error, seeded):
    dense = model()
    small = quantize(dense, bits, skip=("out",))
    before = named_weights(dense)
    for path, weight in named_weights(small).items():
        old, new = np.asarray(before[path]), np.asarray(weight)
        if weight.name != "kernel" or path.startswith("out"):
            np.testing.assert_array_equal(old, new)
            continue
        columns = new.reshape(-1, new.shape[-1]).T
        assert all(len(np.unique(column)) <= values for column in columns)
        assert 0 < np.abs(new - old).max() < error * np.abs(old).max()


def test_rounding_keeps_zeros_and_the_number_of_values(seeded):
    small = compress(model(), data(), [zoo.Prune(0.5), zoo.Cluster(9), zoo.Quantize("int4")], loss=LOSS, epochs=1)
    for weight in small.trainable_variables:
        if weight.name == "kernel":
            assert (np.asarray(weight) == 0).mean() >= 0.5
            assert len(np.unique(np.asarray(weight))) <= 9


def test_quantising_what_cannot_be(seeded):
    class Subclassed(keras.Model):
        def call(self, inputs):
            return inputs

    with pytest.raises(CompressionError, match="built functional or sequential"):
        zoo.quantize(Subclassed())
    with pytest.raises(UnknownNameError, match="'none'"):
        zoo.quantize(model(), skip=("none",))


@pytest.mark.parametrize("bits", ["int8", "int4"])
@pytest.mark.parametrize("form", ["plain", "packed"])
def test_keras_quantises_what_it_can_and_the_result_is_exported(bits, form, seeded, tmp_path):
    dense = model()
    small = quantize(dense, bits, engine="keras", skip=("out",))
    assert small.get_layer("hidden").quantization_mode == bits
    assert small.get_layer("out").quantization_mode is None
    assert small.get_layer("conv").kernel.dtype == dense.get_layer("hidden").kernel.dtype == "float32"
    published = zoo.export(small, tmp_path, name="m", form=form)
    assert published.manifest["measured"]["max_difference"] <= 1e-4
    before, after = (np.asarray(one(data(8)[0])) for one in (dense, small))
    assert 0 < np.abs(after - before).max() < 0.5 * np.abs(before).max()


def test_what_keras_cannot_quantise():
    with pytest.raises(InvalidValueError, match="`weights` must be int8 or int4 with engine='keras'"):
        quantize(model(), "int3", engine="keras")
    with pytest.raises(CompressionError, match="Keras quantises Dense, EinsumDense and Embedding"):
        quantize(model(), engine="keras", only=("conv",))
    with pytest.raises(InvalidValueError, match="`engine` must be"):
        quantize(model(), engine="kears")  # pyright: ignore[reportArgumentType]
