"""PruneChannels: channels masked while training goes on, and taken out of the graph behind it."""

import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

sys.path.insert(0, str(Path(__file__).parent))  # importlib mode: for `surgery`

import surgery
from chains import VECTOR, chain, sizes

from zoo.compression.base import select
from zoo.compression.prune_channels import PruneChannels
from zoo.compression.reparametrized import Reparametrized, write_back
from zoo.config import Training
from zoo.errors import CompressionError, InvalidValueError
from zoo.training.compress import compress
from zoo.training.strategy import open_strategy

LOSS = "mean_squared_error"
WRONG: Any = "lin"


def small_model():
    x = keras.Input(VECTOR, name="x")
    hidden = layers.Dense(8, "sigmoid", name="first")(x)
    hidden = layers.BatchNormalization(name="norm")(layers.Dense(12, name="second")(hidden))
    return keras.Model(x, layers.Dense(2, name="third")(layers.ReLU(name="relu")(hidden)))


def data(rows=64):
    x = np.random.default_rng(0).normal(size=(rows, 6)).astype("float32")
    return x, np.stack([x.sum(axis=1), x[:, 0]], axis=1)


def trained(model, transform, steps=12):
    attachment: Any = transform.attach(select(model, transform), {}, steps, model=model)
    outer = Reparametrized(model, [attachment], [attachment])
    outer.compile("adam", LOSS, jit_compile=False)  # pyright: ignore[reportArgumentType]
    seen = []
    for _ in range(steps):
        outer.train_on_batch(*data(16))
        seen.append(sum(int((~mask).sum()) for mask in attachment.kept().values()))
    return attachment, seen


def stepped(model, transform, steps=12):
    attachment: Any = transform.attach(select(model, transform), {}, steps, model=model)
    seen = []
    for step in range(steps):
        attachment.advance(tf.constant(step, tf.int64))
        seen.append(sum(int((~mask).sum()) for mask in attachment.kept().values()))
    return attachment, seen


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: PruneChannels(1.0), "sparsity"),
        (lambda: PruneChannels(0.5, initial_sparsity=0.6), "initial_sparsity"),
        (lambda: PruneChannels(0.5, begin=0.7, end=0.6), "end"),
        (lambda: PruneChannels(0.5, schedule=WRONG), "schedule"),
        (lambda: PruneChannels(0.5, scope=WRONG), "scope"),
        (lambda: PruneChannels(0.5, min_channels=0), "min_channels"),
    ],
    ids=["one", "initial", "order", "schedule", "scope", "least"],
)
def test_refused_values(make, field):
    with pytest.raises(InvalidValueError, match=f"`{field}` must be"):
        make()


@pytest.mark.parametrize(
    ("transform", "left"),
    [
        (PruneChannels(0.5, begin=0.2, end=1.0), None),
        (PruneChannels(0.5, scope="layer", schedule="constant", end=0.0), {"first": 4, "second": 6}),
        (PruneChannels(0.5, scope="layer", only=("second",)), {"first": 8, "second": 6}),
        (PruneChannels(0.9, scope="layer", min_channels=3), {"first": 3, "second": 3}),
        (PruneChannels(0.95, min_channels=2), {"first": 2, "second": 2}),
    ],
    ids=["global", "constant", "only", "least_layer", "least_global"],
)
def test_masked_channels_are_removed_exactly(transform, left, seeded):
    model = small_model()
    attachment, seen = trained(model, transform) if left is None else stepped(model, transform)
    assert seen == sorted(seen)
    write_back([attachment])
    small = transform.finish(model, attachment)
    surgery.assert_same_answers(model, small)
    surgery.assert_same_names(model, small)
    sizes_left = sizes(small)
    assert left in (None, sizes_left)
    assert sum(sizes(model).values()) - sum(sizes_left.values()) == seen[-1]
    if left is None:
        assert seen[0] == 0
        assert seen[-1] == 10
        assert len(set(seen)) > 5


def test_the_channels_that_matter_least_go(seeded):
    model = small_model()
    quiet = np.array([0, 3, 5])
    kernel = np.asarray(model.get_layer("second").kernel).copy()
    kernel[:, quiet] *= 1e-3
    model.get_layer("second").kernel.assign(kernel)
    reader = np.asarray(model.get_layer("third").kernel).copy()
    reader[quiet] *= 1e-3
    model.get_layer("third").kernel.assign(reader)
    attachment, _ = stepped(model, PruneChannels(3 / 20, schedule="constant", end=0.0), steps=1)
    assert np.flatnonzero(~attachment.kept()["second"]).tolist() == quiet.tolist()
    assert attachment.kept()["first"].all()


def test_unmasked_channels_are_a_broken_promise(seeded):
    model = small_model()
    transform = PruneChannels(0.5)
    attachment = transform.attach(select(model, transform), {}, 5, model=model)
    with pytest.raises(CompressionError, match="0 channels masked in all, 10 promised"):
        write_back([attachment])


def test_nothing_to_remove_is_told():
    model = chain(VECTOR)
    with pytest.raises(CompressionError, match="no channels to remove"):
        PruneChannels(0.5).attach(select(model, PruneChannels(0.5)), {}, 5, model=model)


def test_a_reader_that_does_not_train_keeps_its_channels():
    model = small_model()
    model.get_layer("third").trainable = False
    transform = PruneChannels(0.5)
    attachment: Any = transform.attach(select(model, transform), {}, 5, model=model)
    assert set(attachment.kept()) == {"first"}


def test_pruned_on_two_replicas(seeded):
    strategy = open_strategy(Training(epochs=1, logical_cpus=2))
    with strategy.scope():
        model = small_model()
    small = compress(model, data(32), [PruneChannels(0.5)], loss=LOSS, epochs=2, batch_size=16)
    assert sum(sizes(small).values()) == sum(sizes(model).values()) // 2
    assert small.output_shape == model.output_shape
