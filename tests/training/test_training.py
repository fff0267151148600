"""Runs: what a run directory holds, resuming, refusals, and figures that are right."""

import csv
import dataclasses
import json

import descriptors
import numpy as np
import pytest

from zoo.config import Training, apply_overrides
from zoo.data.synthetic import Synthetic
from zoo.errors import DataError, RunDirectoryError, TrainingError, UsageError
from zoo.layers import recurrent
from zoo.models.conv2d import Conv2DNet
from zoo.recipes.named import clustered, pruned_clustered
from zoo.training.compress_run import compress_run
from zoo.training.evaluation import evaluate
from zoo.training.history import HistoryLog, read_history
from zoo.training.loop import train
from zoo.training.run_directory import RunDirectory
from zoo.training.strategy import open_strategy

# Large enough to learn its three classes within six epochs of eight steps.
TINY = apply_overrides(
    descriptors.MODELS["conv2d"]["dense"].experiment(epochs=6, batch_size=8, learning_rate=5e-3),
    ["model.filters=8,12", "model.dense_units=24"],
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return train(TINY, tmp_path_factory.mktemp("runs") / "tiny")


def test_run_directory_holds_everything(run):
    assert {path.name for path in run.path.iterdir()} >= {
        "config.json",
        "data.json",
        "model.keras",
        "metrics.json",
        "history.csv",
        "plots",
        "checkpoints",
        "tensorboard",
    }
    assert list(run.tensorboard.rglob("events.out.tfevents.*"))
    assert run.experiment() == TINY
    assert run.info() == TINY.data.info()
    with run.history_path.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1", "2", "3", "4", "5"]
    assert {"loss", "accuracy", "val_loss", "val_accuracy"} <= set(rows[0])
    metrics = run.metrics()
    assert metrics["training"]["batch_size"] == 8
    assert metrics["training"]["replicas"] == 1
    assert metrics["validation"]["accuracy"] == pytest.approx(float(rows[-1]["val_accuracy"]), abs=1e-6)


def test_evaluation_covers_every_example_once(run):
    evaluation = evaluate(run, "test")
    assert evaluation.findings.confusion is not None
    counts = evaluation.findings.confusion.counts
    assert counts.sum(axis=1).tolist() == [10, 10, 10]  # 30 examples, no multiple of the batch
    assert evaluation.scores["accuracy"] == counts.trace() / 30
    assert evaluation.scores["accuracy"] > 0.7
    assert run.metrics()["test"] == evaluation.scores


def test_same_seed_same_run_and_another_seed_another(run, tmp_path):
    again = train(TINY, tmp_path / "again")
    other = train(apply_overrides(TINY, ["training.seed=1"]), tmp_path / "other")
    for same, first in zip(again.load_model().get_weights(), run.load_model().get_weights(), strict=True):
        np.testing.assert_allclose(same, first, atol=1e-5)
    difference = [
        np.abs(a - b).max()
        for a, b in zip(other.load_model().get_weights(), run.load_model().get_weights(), strict=True)
    ]
    assert max(difference) > 1e-2


class PowerCut(HistoryLog):
    """Ends a training after its second epoch."""

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        if epoch == 1:
            raise KeyboardInterrupt


def test_resume_goes_on_after_the_last_backup(tmp_path, monkeypatch, capsys):
    path = tmp_path / "cut"
    with monkeypatch.context() as patch:
        patch.setattr("zoo.training.history.HistoryLog", PowerCut)
        with pytest.raises(KeyboardInterrupt):
            train(TINY, path)
    assert not (path / "model.keras").exists()
    with pytest.raises(RunDirectoryError, match="not empty"):
        train(TINY, path)
    with pytest.raises(RunDirectoryError, match="another experiment"):
        train(apply_overrides(TINY, ["training.epochs=9"]), path, resume=True)
    before = read_history(path / "history.csv")
    capsys.readouterr()
    resumed = train(TINY, path, resume=True)
    assert "epoch 1/6" not in capsys.readouterr().err  # the first epoch was restored, not trained again
    rows = read_history(resumed.history_path)
    assert [row["epoch"] for row in rows] == [0, 1, 2, 3, 4, 5]
    assert rows[0] == before[0]
    assert evaluate(resumed, "test").scores["accuracy"] > 0.7


def test_resume_leaves_a_finished_run_alone(run):
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*") if path.is_file()}
    assert train(TINY, run.path, resume=True).path == run.path
    assert {path: path.stat().st_mtime_ns for path in run.path.rglob("*") if path.is_file()} == before


def test_early_stopping_keeps_the_best_epoch_of_a_resumed_run(tmp_path, monkeypatch):
    settings = ["training.epochs=6", "training.early_stopping=2"]
    experiment, path = apply_overrides(TINY, settings), tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr("zoo.training.history.HistoryLog", PowerCut)
        with pytest.raises(KeyboardInterrupt):
            train(experiment, path)
    # As if the cut-off part had been the best: what follows can only be worse.
    history = (path / "history.csv").read_text().splitlines()
    names, best = history[0].split(","), history[1].split(",")
    best[names.index("val_accuracy")] = "2.0"
    (path / "history.csv").write_text("\n".join([history[0], ",".join(best)]) + "\n")
    kept = (path / "checkpoints" / "best.weights.h5").read_bytes()
    train(experiment, path, resume=True)
    assert (path / "checkpoints" / "best.weights.h5").read_bytes() == kept


def test_what_can_be_refused_is_refused_before_a_directory_is_made(tmp_path):
    wrong_classes = dataclasses.replace(TINY, model=dataclasses.replace(TINY.model, num_classes=5))
    wrong_value = dataclasses.replace(TINY, training=dataclasses.replace(TINY.training, optimizer="adma"))
    for experiment, error in ((wrong_classes, DataError), (wrong_value, UsageError)):
        with pytest.raises(error):
            train(experiment, tmp_path / "run")
        assert not (tmp_path / "run").exists()


def test_early_stopping_keeps_the_best_epoch(tmp_path):
    experiment = apply_overrides(
        TINY, ["training.epochs=12", "training.early_stopping=1", "training.learning_rate=0.05"]
    )
    stopped = train(experiment, tmp_path / "stopped")
    with stopped.history_path.open() as file:
        values = [float(row["val_accuracy"]) for row in csv.DictReader(file)]
    assert len(values) < 12
    assert stopped.metrics()["validation"]["accuracy"] == pytest.approx(max(values), abs=1e-6)


def test_two_replicas_keep_the_global_batch_and_give_the_same_curve(run, tmp_path):
    experiment = apply_overrides(TINY, ["training.strategy=mirrored", "training.logical_cpus=2"])
    two = train(experiment, tmp_path / "two")
    assert two.metrics()["training"] | {"replicas": 2, "batch_size": 8} == two.metrics()["training"]
    rows = zip(read_history(run.history_path), read_history(two.history_path), strict=True)
    for one_row, two_row in list(rows)[:3]:  # rounding grows with every step
        assert two_row["loss"] == pytest.approx(one_row["loss"], rel=0.02)
        assert two_row["val_loss"] == pytest.approx(one_row["val_loss"], rel=0.02)


def test_compressed_run_is_a_run_like_any_other(run, tmp_path):
    recipe = apply_overrides(pruned_clustered(), ["epochs=6", "learning_rate=0.005", "transforms.1.num_clusters=8"])
    small = compress_run(run.path, recipe, tmp_path / "small", recipe_name="pruned_clustered")
    about = small.metrics()["compression"]
    assert about["weights"]["stage2_conv1/kernel"]["sparsity"] >= 0.79
    assert about["weights"]["dense/kernel"]["distinct_values"] <= 8
    assert small.experiment().transforms == recipe.transforms
    assert evaluate(small, "test").scores["accuracy"] > 0.5
    smaller = compress_run(small.path, apply_overrides(clustered(), ["epochs=1"]), tmp_path / "smaller")
    assert smaller.experiment().transforms == (*recipe.transforms, *clustered().transforms)
    assert smaller.metrics()["compression"]["weights"]["stage2_conv1/kernel"]["sparsity"] >= 0.79
    with pytest.raises(RunDirectoryError, match="not empty"):
        compress_run(run.path, recipe, tmp_path / "small")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"model": Conv2DNet(input_shape=(28, 28, 1), num_classes=3)},
            DataError,
            r"has the shape \[12, 12, 1\].*takes \[28, 28, 1\]",
        ),
        (
            {"model": Conv2DNet(input_shape=(12, 12, 1), num_classes=5, filters=(4,))},
            DataError,
            "3 classes and the model answers 5",
        ),
        ({"model": descriptors.MODELS["rnn"]["lstm"].model}, DataError, "takes `frames`, `padding_mask`"),
        ({"training": Training(epochs=1, batch_size=65, strategy="none")}, DataError, "batch"),
        (
            {"training": Training(epochs=1, batch_size=1, logical_cpus=2)},
            TrainingError,
            "2 replicas cannot share a batch of 1",
        ),
    ],
    ids=["shape", "classes", "inputs", "batch", "replicas"],
)
def test_what_does_not_fit_is_said_before_training(tmp_path, change, error, message):
    with pytest.raises(error, match=message):
        train(dataclasses.replace(TINY, **change), tmp_path / "run")


def test_loss_that_is_no_number_stops_training(tmp_path):
    with pytest.raises(TrainingError, match=r"became (nan|inf).*learning_rate"):
        train(apply_overrides(TINY, ["training.learning_rate=1e30", "training.optimizer=sgd"]), tmp_path / "run")


def test_directories_that_are_no_run(tmp_path, run):
    with pytest.raises(RunDirectoryError, match="is no directory"):
        RunDirectory.open(tmp_path / "nowhere")
    with pytest.raises(RunDirectoryError, match=r"has no config.json"):
        RunDirectory.open(tmp_path)
    unfinished = RunDirectory.create(tmp_path / "unfinished", TINY)
    with pytest.raises(RunDirectoryError, match="no model"):
        unfinished.load_model()
    unfinished.model_path.write_bytes(run.model_path.read_bytes()[:1000])
    with pytest.raises(RunDirectoryError, match="cannot be read"):
        unfinished.load_model()
    (unfinished.path / "config.json").write_text("{")
    with pytest.raises(Exception, match="no JSON document"):
        unfinished.experiment()


def test_strategies():
    assert open_strategy(Training(epochs=1, strategy="none")).num_replicas_in_sync == 1
    assert open_strategy(Training(epochs=1)).num_replicas_in_sync == 1
    assert open_strategy(Training(epochs=1, logical_cpus=2)).num_replicas_in_sync == 2
    with pytest.raises(TrainingError, match="before TensorFlow runs"):
        open_strategy(Training(epochs=1, logical_cpus=3))


def test_features_are_fitted_and_kept_in_the_config(tmp_path):
    experiment = descriptors.MODELS["conv1d"]["average"].experiment(epochs=1)
    run = train(experiment, tmp_path / "run")
    (feature,) = json.loads((run.path / "config.json").read_text())["features"]
    assert len(feature["mean"]) == len(feature["std"]) == 5
    assert run.experiment().data == Synthetic(**vars(descriptors.SEQUENCES))


def test_training_and_evaluation_go_the_quick_way(tmp_path, monkeypatch):
    traced, way = set(), recurrent._inner_loop

    def spy(layer, *, training, **given):
        traced.add(bool(training))
        return way(layer, training=training, **given)

    monkeypatch.setattr(recurrent, "_inner_loop", spy)
    run = train(descriptors.MODELS["rnn"]["lstm"].experiment(epochs=1, batch_size=8), tmp_path / "lstm")
    assert traced == {True, False}
    traced.clear()
    evaluate(run, "test")
    assert traced == {False}


def test_benchmark_times_both_sides():
    from zoo.training.benchmark import measure_training

    result = measure_training(TINY, examples=64, rounds=2, seconds=0.2)
    assert result.examples == 64
    assert result.ratio_min <= result.ratio <= result.ratio_max
    assert result.zoo_examples_per_s > 0


def test_benchmark_takes_what_the_split_holds_and_passes_errors_on():
    from zoo.training.benchmark import measure_training

    held = int(TINY.data.load(TINY.splits.train).cardinality())
    assert measure_training(TINY, examples=10**6, rounds=1, seconds=0.2).examples == held // 8 * 8
    with pytest.raises(TrainingError, match="fewer examples than one batch of 4096"):
        measure_training(apply_overrides(TINY, ["training.batch_size=4096"]), examples=64, rounds=1, seconds=0.2)


def test_data_of_any_size_does_not_fit_a_model_of_one_size():
    import keras
    import tensorflow as tf

    from zoo.training.inputs import check_inputs

    spec = {"image": tf.TensorSpec([None, None, None, 3], tf.uint8)}
    batches = tf.data.Dataset.from_generator(lambda: iter(()), output_signature=(spec, {}))
    fixed = keras.Model({"image": (image := keras.Input((32, 32, 3), name="image"))}, {"logits": image})
    with pytest.raises(DataError, match=r"\[None, None, 3\].*takes \[32, 32, 3\]"):
        check_inputs(fixed, batches, TINY.data.info())
    free = keras.Model({"image": (image := keras.Input((None, None, 3), name="image"))}, {"logits": image})
    check_inputs(free, batches, TINY.data.info())
