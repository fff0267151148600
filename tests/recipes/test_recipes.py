"""Recipes and ladders as data: what is refused, what may be set, what is said of the result."""

import dataclasses

import keras
import numpy as np
import pytest

from zoo import registry
from zoo.compression.cluster import Cluster
from zoo.compression.fold_batch_norm import FoldBatchNorm
from zoo.compression.prune import Prune
from zoo.compression.prune_channels import PruneChannels
from zoo.compression.quantize import Quantize
from zoo.compression.recipe_summary import about_bytes, weights_summary
from zoo.config import apply_overrides
from zoo.errors import InvalidValueError, UnknownNameError, UsageError
from zoo.features.images import ImageScaling
from zoo.recipes.named import tiny
from zoo.recipes.recipe import Flight, Ladder, Recipe, label

PRUNE, CLUSTER = Recipe(transforms=(Prune(0.5),)), Recipe(transforms=(Cluster(4),))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Ladder(flights=()), "`flights` must be one or more"),
        (lambda: Flight(rungs=()), "`rungs` must be one or more"),
        (lambda: Ladder(flights=(Flight(rungs=(PRUNE,)),), max_loss=-0.1), "`max_loss` must be 0 or more"),
        (lambda: Ladder(flights=(Flight(rungs=(PRUNE,)),), max_loss=float("nan")), "`max_loss` must be 0 or more"),
        (lambda: Ladder(flights=(Flight(rungs=(PRUNE,)),), fallback=CLUSTER), "train nothing"),
        (lambda: Ladder(flights=(Flight(rungs=(CLUSTER,)), Flight(rungs=(PRUNE,)))), r"Cluster 4, Prune 0\.5"),
        (lambda: Ladder(flights=(Flight(rungs=(PRUNE,)),), epochs=0), "`epochs` must be at least 1"),
        (lambda: dataclasses.replace(PRUNE, dropout=1.1), "`dropout` must be from 0 to 1"),
        (lambda: dataclasses.replace(PRUNE, augment=(ImageScaling(),)), r"at random alone. Received.*ImageScaling"),
    ],
    ids=[
        "no flight",
        "no rung",
        "negative loss",
        "nan loss",
        "fallback trains",
        "order",
        "epochs",
        "dropout",
        "augment",
    ],
)
def test_what_a_ladder_cannot_be(make, message):
    with pytest.raises(InvalidValueError, match=message):
        make()


@pytest.mark.parametrize("name", ["small", "tiny", "fast", "edge"])
def test_named_ladders_go_from_mild_to_strong(name):
    ladder: Ladder = registry.lookup(registry.RECIPES, "recipe", name)()
    assert ladder.max_loss == 0.002
    for flight in ladder.flights:
        shares = [t.sparsity for rung in flight.rungs for t in rung.transforms if isinstance(t, Prune)]
        assert shares == sorted(shares)
        values = [t.num_clusters for rung in flight.rungs for t in rung.transforms if isinstance(t, Cluster)]
        assert values == sorted(values, reverse=True)


def test_fields_that_may_be_set():
    ladder = apply_overrides(
        tiny(), ["epochs=2", "learning_rate=0.01", "max_loss=0.05", "flights.0.rungs.1.transforms.0.sparsity=0.85"]
    )
    assert ladder.max_loss == 0.05
    rungs = [rung for flight in ladder.set_flights() for rung in flight.rungs]
    assert {(rung.epochs, rung.learning_rate, rung.min_steps) for rung in rungs} == {(2, 0.01, 0)}
    pruning = ladder.set_flights()[0]
    assert pruning.rungs[1].transforms[0] == dataclasses.replace(
        tiny().flights[0].rungs[1].transforms[0], sparsity=0.85
    )
    own = apply_overrides(tiny(), ["flights.1.rungs.0.epochs=7"])
    assert own.set_flights()[1].rungs[0].epochs == 7
    with pytest.raises(UsageError, match="must be 0 or more"):
        apply_overrides(tiny(), ["max_loss=-1"])
    with pytest.raises(UnknownNameError, match="transforms"):
        apply_overrides(tiny(), ["transforms.0.sparsity=0.9"])


def test_epochs_are_those_of_transforms_that_train():
    assert Recipe(transforms=(PruneChannels(0.5), FoldBatchNorm(), Cluster(4)), epochs=3).num_epochs() == 6
    assert Recipe(transforms=(Prune(0.5), Cluster(4)), epochs=(3, 5)).num_epochs() == 8
    assert Recipe(transforms=(Quantize("int8"),)).num_epochs() == 0


def test_a_small_data_set_takes_more_epochs():
    recipe = Recipe(transforms=(Prune(0.5), Cluster(4)), epochs=(3, 20), min_steps=100)
    assert recipe.passes(1000) == (3, 20)
    assert recipe.passes(8) == (13, 20)
    assert recipe.num_epochs(8) == 33
    with pytest.raises(InvalidValueError, match="min_steps"):
        Recipe(transforms=(Prune(0.5),), min_steps=-1)


def test_label_names_the_first_hyperparameter():
    assert label((Prune(0.9, only=("dense",)), FoldBatchNorm(), Quantize("int4"))) == "Prune 0.9, FoldBatchNorm, " + (
        "Quantize int4"
    )


def test_summary_tells_zeros_values_bits_and_bytes():
    x = keras.Input((64,), name="x")
    model = keras.Model(x, keras.layers.Dense(4, name="b")(keras.layers.Dense(64, name="a")(x)))
    drawn = np.random.default_rng(0).permutation(np.tile(np.array([0.0, 0.5, 0.0, -0.5], "float32"), 1024))
    half = drawn.reshape(64, 64)
    model.get_layer("a").kernel.assign(half)
    summary = weights_summary(model, ())
    kernel = summary["a/kernel"]
    entropy_bytes = 4096 * 1.5 / 8 + 3 * 4  # half zeros, two quarters: 1.5 bits each, and three values
    assert entropy_bytes <= kernel.pop("about_bytes") < 1.2 * entropy_bytes  # Huffman's code has no 1.5 bits
    assert kernel == {"shape": [64, 64], "sparsity": 0.5, "distinct_values": 3, "bits": 2}
    assert summary["b/kernel"]["bits"] == 32
    assert 0.8 * 64 * 4 * 4 < summary["b/kernel"]["about_bytes"] < 64 * 4 * 4
    rounded = Quantize("int4", only=("b",)).prepare(model)
    summary = weights_summary(rounded, (Quantize("int4", only=("b",)),))
    assert summary["b/kernel"]["bits"] == 4
    assert 64 * 4 * 3 / 8 < summary["b/kernel"]["about_bytes"] < 64 * 4
    assert about_bytes(summary) == sum(weight["about_bytes"] for weight in summary.values())
