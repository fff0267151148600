"""Runs compressed within a budget of accuracy: what is kept, what is refused, and that nothing is left half-written."""

import dataclasses

import descriptors
import keras
import numpy as np
import pytest

from zoo.compression.cluster import Cluster
from zoo.compression.distill import Distill
from zoo.compression.fold_batch_norm import FoldBatchNorm
from zoo.compression.prune import Prune
from zoo.compression.quantize import Quantize
from zoo.config import Splits, apply_overrides
from zoo.errors import CompressionError, InvalidValueError, RunDirectoryError, UnknownNameError, UsageError
from zoo.features.augmentation import RandomShift
from zoo.recipes.named import fast
from zoo.recipes.recipe import Flight, Ladder, Recipe
from zoo.training import workshop
from zoo.training.compress_run import compress_run
from zoo.training.evaluation import evaluate
from zoo.training.held_out import held_out
from zoo.training.loop import train
from zoo.training.origin import origin
from zoo.training.run_directory import RunDirectory

_MLP, *_ = descriptors.MODELS["mlp"].values()
TINY = apply_overrides(_MLP.experiment(epochs=6, batch_size=8, learning_rate=5e-3), ["model.units=32,16"])
HOPELESS = Recipe(transforms=(Prune(0.995, schedule="constant", end=0.0),), epochs=1, learning_rate=1e-6)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return train(TINY, tmp_path_factory.mktemp("runs") / "tiny")


@pytest.fixture(scope="module")
def unvalidated(tmp_path_factory):
    experiment = dataclasses.replace(TINY, splits=Splits())
    return train(apply_overrides(experiment, ["training.epochs=1"]), tmp_path_factory.mktemp("runs") / "whole")


def ladder(*flights, **fields):
    return Ladder(flights=flights, **fields)


def test_a_ladder_is_climbed_and_its_best_is_a_run(run, tmp_path, capsys):
    pruning = Flight(rungs=tuple(Recipe(transforms=(Prune(share),), epochs=2) for share in (0.5, 0.7)))
    ending = Flight(rungs=(Recipe(transforms=(Cluster(8),), epochs=1, distill=Distill()),), is_warm=False)
    small = compress_run(run.path, ladder(pruning, ending, max_loss=1.0), tmp_path / "small", recipe_name="mine")
    about = small.metrics()["compression"]
    assert about["recipe"] == "mine"
    assert about["transforms"] == "Prune 0.5, Prune 0.7, Cluster 8"
    assert [row["held"] for row in about["rungs"]] == [True] * 3
    assert about["dense"] == run.metrics()["validation"]["accuracy"]
    assert (
        about["value"] == small.metrics()["validation"]["accuracy"] == evaluate(small, "validation").scores["accuracy"]
    )
    assert about["loss"] == about["dense"] - about["value"]
    assert about["weights"]["dense1/kernel"]["sparsity"] >= 0.69
    assert about["weights"]["dense1/kernel"]["distinct_values"] <= 8
    assert about["weights"]["dense1/kernel"]["bits"] == 3
    assert about["about_bytes"] < about["rungs"][1]["about_bytes"]
    assert small.experiment().transforms == (Prune(0.5), Prune(0.7), Cluster(8))
    assert small.experiment().training.epochs == 5
    said = capsys.readouterr().err
    assert "rung 3: Prune 0.5, Prune 0.7, Cluster 8: accuracy" in said
    assert "about 0 s left" in said


def test_what_needs_no_training_is_left_where_nothing_else_holds(run, tmp_path):
    fallback = Recipe(transforms=(Quantize("int8"),))
    small = compress_run(
        run.path, ladder(Flight(rungs=(HOPELESS,)), fallback=fallback, max_loss=0.1), tmp_path / "small"
    )
    about = small.metrics()["compression"]
    assert about["transforms"] == "Quantize int8"
    assert [row["held"] for row in about["rungs"]] == [False, True]
    assert about["weights"]["dense1/kernel"]["bits"] == 8


def test_nothing_is_written_where_nothing_holds(run, tmp_path):
    with pytest.raises(
        CompressionError, match=r"within 0\.1 of the dense run's .* nothing was written.*Prune 0\.995: 0"
    ):
        compress_run(run.path, HOPELESS, tmp_path / "small", max_loss=0.1)
    assert not (tmp_path / "small").exists()


def test_a_rung_that_changes_nothing_does_not_count(run, tmp_path):
    folding = Recipe(transforms=(FoldBatchNorm(),))
    with pytest.raises(CompressionError, match=r"FoldBatchNorm: It changes nothing\."):
        compress_run(run.path, ladder(Flight(rungs=(folding,)), max_loss=1.0), tmp_path / "small")


def test_a_rung_that_cannot_be_done_ends_its_flight(run, tmp_path):
    narrow = apply_overrides(fast(), ["epochs=1", "max_loss=1", 'flights.0.rungs.1.transforms.0.only=["logits"]'])
    small = compress_run(run.path, narrow, tmp_path / "small")
    rows = small.metrics()["compression"]["rungs"]
    assert "no channels to remove" in rows[1]["refused"]
    assert small.metrics()["compression"]["transforms"] == "PruneChannels 0.2"
    assert small.load_model().count_params() < run.load_model().count_params()


def test_a_budget_needs_a_validation_split(unvalidated, tmp_path):
    with pytest.raises(UsageError, match=r"no validation split, and test data must not choose.*train\[90%:\]"):
        compress_run(unvalidated.path, HOPELESS, tmp_path / "small", max_loss=1.0)


def test_examples_held_out_afterwards_are_not_trained_on(unvalidated, tmp_path, monkeypatch, capsys):
    asked = []
    model_batches = workshop.inputs.model_batches

    def spy(experiment, split, model_inputs, *, training):
        asked.append((split, training))
        return model_batches(experiment, split, model_inputs, training=training)

    monkeypatch.setattr(workshop.inputs, "model_batches", spy)
    recipe = Recipe(transforms=(Prune(0.5),), epochs=1)
    small = compress_run(unvalidated.path, recipe, tmp_path / "small", max_loss=1.0, validation="train[75%:]")
    assert sorted(asked) == [("train[0:72]", True), ("train[75%:]", False)]
    assert small.experiment().splits == Splits(train="train[0:72]", validation="train[75%:]")
    assert small.metrics()["compression"]["split"] == "train[75%:]"
    assert "the dense run was trained on train[75%:]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("train_split", "validation", "left"),
    [
        ("train", "train[10:20]", "train[0:10]+train[20:96]"),
        ("train", "train[:8]+train[90:]", "train[8:90]"),
        ("train[:64]", "train[64:]", "train[:64]"),
        ("train[:64]", "train[60:]", "train[0:60]"),
    ],
)
def test_what_is_left_to_train_on(train_split, validation, left):
    experiment = dataclasses.replace(TINY, splits=Splits(train=train_split))
    assert held_out(experiment, validation, {"train": 96, "test": 30}).splits.train == left


@pytest.mark.parametrize(
    ("validation", "error", "message"),
    [
        ("test", InvalidValueError, "test data must not choose"),
        ("test[:5]+train[:5]", InvalidValueError, "test data must not choose"),
        ("train", InvalidValueError, "leaves some of it"),
        ("trian[90%:]", UnknownNameError, "Did you mean 'train'"),
    ],
)
def test_splits_that_cannot_be_held_out(unvalidated, tmp_path, validation, error, message):
    with pytest.raises(error, match=message):
        compress_run(unvalidated.path, HOPELESS, tmp_path / "small", max_loss=1.0, validation=validation)


def test_what_can_be_refused_is_refused_before_any_training(run, tmp_path, monkeypatch):
    def never(*_, **__):
        raise AssertionError("trained")

    monkeypatch.setattr(workshop, "compress", never)
    other = train(apply_overrides(TINY, ["training.epochs=1"]), tmp_path / "other")
    classes = dataclasses.replace(TINY.model, num_classes=4).build()
    other.save_model(classes)
    taught = dataclasses.replace(HOPELESS, distill=Distill(teacher=str(other.path)))
    with pytest.raises(CompressionError, match="Teacher and student must have the same outputs"):
        compress_run(run.path, ladder(Flight(rungs=(HOPELESS,)), Flight(rungs=(taught,))), tmp_path / "small")
    with pytest.raises(InvalidValueError, match="`max_loss` must be 0 or more"):
        compress_run(run.path, HOPELESS, tmp_path / "small", max_loss=-1.0)
    named = Recipe(transforms=(Prune(0.5, skip=("nosuch",)),))
    with pytest.raises(UnknownNameError, match="nosuch"):
        compress_run(run.path, ladder(Flight(rungs=(HOPELESS,)), Flight(rungs=(named,))), tmp_path / "small")
    with pytest.raises(RunDirectoryError, match="is no directory"):
        compress_run(tmp_path / "nowhere", HOPELESS, tmp_path / "small")
    with pytest.raises(RunDirectoryError, match="not empty"):
        compress_run(run.path, HOPELESS, other.path)
    assert not (tmp_path / "small").exists()
    assert isinstance(run, RunDirectory)


@pytest.fixture
def worse(run, tmp_path):
    """A run that was compressed before, and lost nearly everything by it."""
    transforms = (Prune(0.5), Quantize("int8"))
    once = RunDirectory.create(tmp_path / "worse", dataclasses.replace(TINY, transforms=transforms))
    once.write_info(run.info())
    keras.utils.set_random_seed(0)
    once.save_model(TINY.model.build())
    once.update_metrics({"compression": {"recipe": "mine", "from": str(run.path)}})
    return once


def test_what_a_run_lost_by_an_earlier_compression_counts(run, worse, tmp_path, capsys):
    rounding = Recipe(transforms=(Quantize("int4"),))
    with pytest.raises(CompressionError, match=r"within 0\.1 of the dense run's 1\.0"):
        compress_run(worse.path, rounding, tmp_path / "small", max_loss=0.1)
    assert f"{worse.path} begins with accuracy 0." in capsys.readouterr().err
    small = compress_run(worse.path, rounding, tmp_path / "small", max_loss=1.0)
    about = small.metrics()["compression"]
    assert about["dense"] == run.metrics()["validation"]["accuracy"]
    assert about["loss"] == about["dense"] - about["value"] > 0.1
    assert about["judged_against"] == str(run.path.resolve())
    assert about["from"] == str(worse.path.resolve())


def test_a_run_whose_original_is_gone_is_judged_against_itself_and_that_is_said(worse, tmp_path, capsys):
    worse.update_metrics({"compression": {"recipe": "mine", "from": str(tmp_path / "gone")}})
    small = compress_run(worse.path, Recipe(transforms=(Quantize("int4"),)), tmp_path / "small", max_loss=0.5)
    about = small.metrics()["compression"]
    assert about["judged_against"] == str(worse.path.resolve())
    assert about["dense"] < 0.9
    assert "was compressed before, and is judged against itself" in capsys.readouterr().err


def test_without_another_teacher_the_run_before_any_compression_teaches(run, worse, tmp_path):
    shop = workshop.Workshop(worse.path)
    assert shop.original.path.resolve() == run.path.resolve()
    taught_by = shop._teacher(Distill())
    for weight, expected in zip(taught_by.get_weights(), run.load_model().get_weights(), strict=True):
        np.testing.assert_array_equal(weight, expected)
    worse.update_metrics({"compression": {"recipe": "mine", "from": str(tmp_path / "gone")}})
    alone = workshop.Workshop(worse.path)
    assert alone._teacher(Distill()) is alone.start.model


def test_what_would_undo_an_earlier_compression_is_refused_and_the_run_to_take_is_named(run, worse, tmp_path):
    again = ladder(Flight(rungs=(HOPELESS,)), max_loss=1.0)
    with pytest.raises(UsageError, match=r"already went through Prune 0\.5, Quantize int8\. Prune 0\.995") as refused:
        compress_run(worse.path, again, tmp_path / "small")
    assert f"Compress the run that it was made of: {run.path}." in str(refused.value)


def test_where_a_run_came_from_is_found_from_any_directory(run, tmp_path, monkeypatch):
    monkeypatch.chdir(run.path.parent)
    small = compress_run(run.path.name, Recipe(transforms=(Quantize("int8"),)), tmp_path / "small")
    monkeypatch.chdir(tmp_path)
    assert origin(small).path == run.path.resolve()


def test_augmentation_is_for_training_alone_and_the_teacher_sees_it(run):
    shop = workshop.Workshop(run.path)
    still, moved = (shop._training_batches(augment).take(4) for augment in ((), (RandomShift(pixels=3),)))
    one, other = (
        np.concatenate([batch["image"].numpy().sum(axis=(1, 3)) for batch, _ in some]) for some in (still, moved)
    )
    assert not np.allclose(one, other)
    augmented = Recipe(transforms=(Prune(0.5),), epochs=1, distill=Distill(), augment=(RandomShift(pixels=3),))
    candidate = shop.compressed(shop.start, augmented)
    experiment = shop._experiment_of(candidate)
    assert experiment.features == run.experiment().features
