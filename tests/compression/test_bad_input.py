"""Everything that can be known to be wrong is said before any training, and what goes wrong in it leaves nothing."""

import json
from typing import Any

import descriptors
import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from zoo.compression.recipe_summary import weights_summary
from zoo.errors import CompressionError, InvalidValueError, TrainingError, UnknownNameError
from zoo.recipes.named import pruned
from zoo.training.loop import train

LOSS = "mean_squared_error"


def model(units=4, outputs=2):
    x = keras.Input((6,), name="x")
    hidden = keras.layers.Dense(units, activation="relu", name="hidden")(x)
    return keras.Model(x, keras.layers.Dense(outputs, name="out")(hidden))


def data(rows=32) -> Any:
    x = np.random.default_rng(0).normal(size=(rows, 6)).astype("float32")
    return x, x[:, :2].copy()


def sequences():
    x = keras.Input((8, 4))
    return keras.Model(x, keras.layers.Flatten()(keras.layers.Conv1D(4, 3, name="conv")(x)))


def frozen():
    made = model()
    made.trainable = False
    return made


def told(says):
    """Returns 4 batches that say they are another number."""
    return tf.data.Dataset.from_tensors(data(8)).repeat(4).apply(tf.data.experimental.assert_cardinality(says))


def read_once():
    batches = iter([data(8)] * 3)
    signature = (tf.TensorSpec((8, 6)), tf.TensorSpec((8, 2)))
    return tf.data.Dataset.from_generator(lambda: batches, output_signature=signature)


class Subclassed(keras.Model):
    def call(self, inputs):
        return inputs


TWO = [zoo.Prune(0.5), zoo.Cluster(4)]
NO_WEIGHTS = [keras.layers.ReLU()]
CHANNELS_THEN_M_BY_N = [zoo.PruneChannels(0.5), zoo.Prune(0.5, m_by_n=(2, 4))]
BAD: dict[str, tuple[Any, Any, Any, Any, str]] = {
    "no-weights": (
        lambda: keras.Sequential([keras.Input((6,)), *NO_WEIGHTS]),
        data,
        TWO,
        CompressionError,
        "no weight",
    ),
    "frozen": (frozen, data, TWO, CompressionError, "no weight to compress.*frozen"),
    "subclassed": (lambda: Subclassed(), data, TWO, CompressionError, "functional or sequential"),
    "no-such-layer": (model, data, [TWO[0], zoo.Cluster(4, only=("hiden",))], UnknownNameError, "mean 'hidden'"),
    "all-skipped": (model, data, [TWO[0], zoo.Cluster(4, skip=("*",))], CompressionError, "leave no weight"),
    "order": (model, data, TWO[::-1], InvalidValueError, "order"),
    "nothing": (model, data, [], InvalidValueError, "one or more transforms"),
    "three-axes": (sequences, data, CHANNELS_THEN_M_BY_N, CompressionError, "two or four axes"),
    "says-more": (model, lambda: told(9), TWO, CompressionError, "expected to contain 9 elements but contained only 4"),
    "says-fewer": (model, lambda: told(2).prefetch(1), TWO, CompressionError, "expected to contain 2 elements"),
    "no-rows": (model, lambda: data(0), TWO, CompressionError, "at least one example"),
    "read-once": (model, read_once, TWO, CompressionError, "gave 3 batches and then none"),
}


@pytest.fixture
def untrained(monkeypatch):
    def fit(*_, **__):
        raise AssertionError("training began")

    monkeypatch.setattr("zoo.training.compress.fit", fit)


@pytest.mark.parametrize(("given", "batches", "transforms", "error", "message"), BAD.values(), ids=BAD)
def test_said_before_training(given, batches, transforms, error, message, untrained):
    with pytest.raises(error, match=message):
        zoo.compress(given(), batches(), transforms, loss=LOSS)


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize(
    "transform", [zoo.Prune(0.5), zoo.Cluster(4), zoo.QuantizeAware()], ids=lambda one: type(one).__name__
)
def test_weights_of_another_type(transform, kind, untrained):
    x = keras.Input((6,), name="x", dtype=kind)
    hidden = keras.layers.Dense(4, dtype=kind, name="hidden")(x)
    given = keras.Model(x, keras.layers.Dense(2, name="out")(hidden))
    message = (
        rf"{type(transform).__name__} works on weights of float32. Received: hidden/kernel \({kind}\).*mixed_bfloat16"
    )
    with pytest.raises(CompressionError, match=message):
        zoo.compress(given, data(), [transform], loss=LOSS)


def test_a_mixed_policy_has_weights_of_float32(seeded):
    x = keras.Input((6,), name="x")
    hidden = keras.layers.Dense(4, dtype="mixed_bfloat16", name="hidden")(x)
    given = keras.Model(x, keras.layers.Dense(2, name="out", dtype="float32")(hidden))
    small = zoo.compress(given, data(), [*TWO, zoo.QuantizeAware()], loss=LOSS, epochs=1)
    assert (np.asarray(small.get_layer("hidden").kernel) == 0).mean() >= 0.5


class WithEmpty(keras.layers.Layer):
    def build(self, input_shape):
        del input_shape
        self.rows = self.add_weight(shape=(0, 4), name="rows")
        self.columns = self.add_weight(shape=(4, 0), name="columns")

    def call(self, x):
        return x + keras.ops.sum(self.rows) + keras.ops.sum(self.columns)  # pyright: ignore[reportOperatorIssue]


def with_empty():
    x = keras.Input((6,), name="x")
    return keras.Model(x, WithEmpty(name="empty")(keras.layers.Dense(2, name="out")(x)))


def test_empty_weights_are_left_alone(seeded):
    given = with_empty()
    transforms = [zoo.Prune(0.5), zoo.Cluster(4), zoo.QuantizeAware()]
    compressed = zoo.compress(given, data(), transforms, loss=LOSS, epochs=1)
    for small, done in ((zoo.quantize(given, "int4"), (zoo.Quantize("int4"),)), (compressed, transforms)):
        summary = weights_summary(small, done)
        json.dumps(summary, allow_nan=False)
        assert summary["out/kernel"]["bits"] < 32
        for name in ("empty/rows", "empty/columns"):
            assert summary[name]["sparsity"] == summary[name]["about_bytes"] == 0


@pytest.mark.parametrize("sparsity", [-0.1, 1.0, 1.5, float("nan")])
@pytest.mark.parametrize("kind", [zoo.Prune, zoo.PruneChannels])
def test_sparsity_outside_its_range(kind, sparsity):
    with pytest.raises(InvalidValueError, match=r"`sparsity` must be at least 0 and below 1. Received"):
        kind(sparsity)


@pytest.mark.parametrize("settings", [{"epochs": 0}, {"epochs": (1, 2, 3)}, {"learning_rate": (0.1,)}], ids=str)
def test_settings_that_do_not_fit_the_transforms(settings, untrained):
    with pytest.raises(InvalidValueError, match=f"`{next(iter(settings))}` must be"):
        zoo.compress(model(), data(), TWO, loss=LOSS, **settings)


def test_a_teacher_with_other_outputs(untrained):
    distill = zoo.Distill(loss="mean_squared_error")
    with pytest.raises(CompressionError, match="the same outputs"):
        zoo.compress(model(), data(), TWO, loss=LOSS, distill=distill, teacher=model(outputs=3))


def test_a_loss_that_is_no_number_leaves_the_model_as_it_is():
    x, y = data()
    y[3] = np.nan
    given = model()
    before = given.get_weights()
    with pytest.raises(TrainingError, match="The loss of 'prune' became nan"):
        zoo.compress(given, (x, y), TWO, loss=LOSS, epochs=1)
    for old, new in zip(before, given.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_loss_that_is_no_number_leaves_no_run(tmp_path, monkeypatch):
    from zoo.training import compress_run

    run = train(descriptors.MODELS["mlp"]["dense"].experiment(epochs=1), tmp_path / "dense")
    broken = run.load_model()
    broken.get_layer("logits").kernel.assign(np.full((6, 3), np.nan))
    run.save_model(broken)
    with pytest.raises(TrainingError, match="became nan"):
        compress_run.compress_run(run.path, pruned(), tmp_path / "small")
    assert not (tmp_path / "small").exists()
