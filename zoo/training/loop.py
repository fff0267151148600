"""The training loop: Keras's own `fit`, inside a strategy scope. Read from top to bottom."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.config import Experiment, from_json, to_json
from zoo.errors import InvalidValueError, RunDirectoryError, TrainingError
from zoo.training import inputs
from zoo.training.evaluation import evaluate
from zoo.training.graph_errors import told_as_data_errors
from zoo.training.optimizer import make_optimizer
from zoo.training.run_directory import RunDirectory
from zoo.training.strategy import open_strategy, steps_per_execution

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from zoo.compression.distill import Teaching

__all__ = ["compiled", "fit", "train"]


def train(experiment: Experiment, run_dir: Path | str, *, resume: bool = False) -> RunDirectory:
    """Trains an experiment and leaves a run directory.

    Args:
        experiment: what to train.
        run_dir: new or empty, or with `resume` a run of the same experiment that was cut off.
        resume: go on after the last backup, which is an epoch or ten seconds old at most; a run that has ended is
            returned as it is.

    Raises:
        UsageError: a value of the experiment is of the wrong kind.
        RunDirectoryError: the directory is in use, or holds another experiment.
        DataError: the data is not there, or does not fit the model or the task.
        CompressionError: a teacher that does not fit.
        TrainingError: the loss became NaN, or devices are not as asked.
    """
    import keras

    from zoo.training.history import read_history

    experiment = from_json(to_json(experiment))  # each value checked by its annotation, as `--set` does
    run = RunDirectory.open(run_dir) if resume else RunDirectory.free(run_dir)
    keras.utils.set_random_seed(experiment.training.seed)
    strategy = open_strategy(experiment.training)
    inputs.check_sample_rates(experiment.features, experiment.data.info())
    with told_as_data_errors(experiment.name):
        experiment = dataclasses.replace(experiment, features=inputs.fit_features(experiment))
    if resume:
        _check_same(run, experiment)
        if run.model_path.is_file():
            return run

    with strategy.scope():
        model = experiment.model.build()
        teaching = _teaching(experiment, model)
    with told_as_data_errors(experiment.name):  # costly features are computed here
        batches = inputs.model_batches(experiment, experiment.splits.train, list(model.input), training=True)
    info = experiment.data.info()  # after the first batches: tfds counts examples when it has prepared them
    experiment.task.check(model, info.names_of(experiment.task.labelled()))
    inputs.check_inputs(model, batches, info)
    validation = None
    if experiment.splits.validation:
        with told_as_data_errors(experiment.name):
            validation = inputs.model_batches(
                experiment, experiment.splits.validation, list(model.input), training=False
            )

    if not resume:  # all that can be refused was
        run = RunDirectory.create(run_dir, experiment)
    run.write_info(info)
    started = time.monotonic()
    trained = compiled(model, experiment, int(batches.cardinality()), strategy, teaching)
    trained_epochs = fit(
        trained,
        batches,
        validation,
        epochs=experiment.training.epochs,
        title=experiment.name,
        callbacks=_callbacks(experiment, run, validation is not None),
    )

    run.save_model(model)
    history = read_history(run.history_path)
    run.update_metrics(
        {
            "training": {
                "seconds": round(time.monotonic() - started, 1),
                "epochs": len(history),
                "epochs_before_resuming": len(history) - len(trained_epochs),
                "replicas": strategy.num_replicas_in_sync,
                "batch_size": experiment.training.batch_size,
                "parameters": model.count_params(),
                "last_epoch": history[-1],
            }
        }
    )
    if experiment.splits.validation:
        evaluate(run, experiment.splits.validation, name="validation")
    return run


def compiled(
    model: keras.Model,
    experiment: Experiment,
    steps_per_epoch: int,
    strategy: tf.distribute.Strategy,
    teaching: Teaching | None = None,
) -> keras.Model:
    """Returns the model as `fit` trains it: compiled, its optimiser built, in the strategy's scope."""
    from zoo.compression.reparametrized import Reparametrized
    from zoo.layers.replicas import Replicated

    training = experiment.training
    with strategy.scope():
        trained = Reparametrized(model, [], [], teaching) if teaching else Replicated(model)
        trained.compile(
            optimizer=make_optimizer(training, steps_per_epoch),
            loss=experiment.task.losses(),
            metrics=experiment.task.metrics(),
            steps_per_execution=steps_per_execution(training.steps_per_execution, steps_per_epoch, strategy),
            jit_compile=training.jit_compile,  # pyright: ignore[reportArgumentType]
        )
        trained.optimizer.build(trained.trainable_variables)
    return trained


def fit(
    model: keras.Model,
    batches: tf.data.Dataset,
    validation: tf.data.Dataset | None,
    *,
    epochs: int,
    title: str,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    is_shown: bool = True,
) -> list[dict[str, float]]:
    """Fits a compiled model and returns the figures of each epoch.

    Raises:
        TrainingError: the loss became NaN or infinite; the model is as it was when that happened.
    """
    import keras

    from zoo.layers.quick import quick_kernels
    from zoo.training.memory import keep_freed_memory
    from zoo.training.progress import Progress

    keep_freed_memory()

    class StopOnNaN(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if not math.isfinite((logs or {}).get("loss", 0.0)):
                raise TrainingError(
                    f"The loss of {title!r} became {logs['loss']} in epoch {epoch + 1}. "  # type: ignore[index]
                    "Lower training.learning_rate, or look for NaN and labels out of range in the data."
                )

    steps = int(batches.cardinality())
    progress = Progress(title) if is_shown else None
    try:
        quick = contextlib.nullcontext() if model.jit_compile else quick_kernels(model, training=True)
        with told_as_data_errors(title), quick:
            history = model.fit(
                # One endless iterator for all epochs: under a strategy, Keras needs 0.1 to 0.3 s to make a new one.
                batches.repeat(),
                steps_per_epoch=steps,
                validation_data=validation,
                epochs=epochs,
                shuffle=False,  # the dataset shuffles itself; Keras warns otherwise
                verbose=0,  # type: ignore[arg-type]
                callbacks=[StopOnNaN(), *([progress] if progress else []), *callbacks],
            )
    finally:
        if progress:
            progress.close()  # an exception must not leave a terminal's cursor hidden
    return [dict(zip(history.history, figures, strict=True)) for figures in zip(*history.history.values(), strict=True)]


def _teaching(experiment: Experiment, student: keras.Model) -> Teaching | None:
    """Returns the teacher at work, where the experiment has one.

    Raises:
        InvalidValueError: it names no run.
        CompressionError: the teacher does not fit.
    """
    from zoo.compression.distill import Teaching
    from zoo.training.teacher import teacher_of

    if experiment.distill is None:
        return None
    teacher = teacher_of(experiment.distill, experiment)
    if teacher is None:
        raise InvalidValueError("distill.teacher", "a run directory: a new model has no earlier self", None)
    return Teaching(experiment.distill, teacher, student)


def _check_same(run: RunDirectory, experiment: Experiment) -> None:
    if run.experiment() != experiment:
        raise RunDirectoryError(
            f"{run.path} holds another experiment than the one asked for. "
            "Resume with the same config, seed and overrides, or name another `--run-dir`."
        )


def _callbacks(experiment: Experiment, run: RunDirectory, validated: bool) -> list[keras.callbacks.Callback]:
    from keras import callbacks

    from zoo.training.backup import Backup, BestWeights, EarlyStopping
    from zoo.training.history import HistoryLog, read_history

    chosen: list[Any] = [
        Backup(run.checkpoints / "backup"),
        HistoryLog(run.history_path),
        callbacks.TensorBoard(str(run.tensorboard), write_graph=False),
    ]
    if validated and experiment.training.early_stopping:
        monitor, mode = experiment.task.MONITOR, experiment.task.MONITOR_MODE
        rows = read_history(run.history_path)
        best_before = {"max": max, "min": min}[mode]((row[monitor] for row in rows), default=None)
        chosen += [
            EarlyStopping(monitor, mode, experiment.training.early_stopping, rows),
            BestWeights(run.checkpoints / "best.weights.h5", monitor, mode, best_before),
        ]
    return chosen
