"""Compression of a run: its model on its own data, into a new run."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.compression.base import named_weights
from zoo.compression.distill import Distill
from zoo.compression.recipe import Recipe
from zoo.config import Experiment, Training
from zoo.errors import CompressionError
from zoo.training import inputs
from zoo.training.compress import check_transforms, compress, per_transform
from zoo.training.evaluation import evaluate
from zoo.training.graph_errors import told_as_data_errors
from zoo.training.run_directory import RunDirectory
from zoo.training.strategy import open_strategy

if TYPE_CHECKING:
    import keras
    import numpy as np

__all__ = ["compress_run"]


def compress_run(
    source: Path | str, recipe: Recipe, run_dir: Path | str, *, recipe_name: str = "custom", seed: int | None = None
) -> RunDirectory:
    """Compresses the model of a run on its own data, and leaves a new run directory.

    Args:
        source: the run.
        recipe: what is done.
        run_dir: new or empty.
        recipe_name: stands in the new run's metrics.
        seed: of the order of examples; by default that of the run.

    Raises:
        RunDirectoryError: `source` is no finished run, or `run_dir` is in use.
    """
    import keras

    from zoo.training.history import write_history

    dense = RunDirectory.open(source)
    dense_experiment = dense.experiment()
    RunDirectory.free(run_dir)
    transforms = (*dense_experiment.transforms, *recipe.transforms)
    training = Training(  # as `compress` trains
        epochs=max(1, sum(per_transform("epochs", recipe.epochs, recipe.transforms))),
        batch_size=dense_experiment.training.batch_size,
        learning_rate=max(per_transform("learning_rate", recipe.learning_rate, recipe.transforms), default=5e-4),
        schedule="cosine",
        strategy=dense_experiment.training.strategy,
        logical_cpus=dense_experiment.training.logical_cpus,
        seed=dense_experiment.training.seed if seed is None else seed,
    )
    experiment = dataclasses.replace(dense_experiment, transforms=transforms, training=training)
    keras.utils.set_random_seed(training.seed)
    with open_strategy(training).scope():
        model = dense.load_model()
        teacher = _teacher(recipe.distill, dense_experiment)
    check_transforms(model, transforms)
    with told_as_data_errors(experiment.name):
        batches = inputs.model_batches(experiment, experiment.splits.train, list(model.input), training=True)
    history: list[dict[str, Any]] = []
    small = compress(
        model,
        batches,
        recipe.transforms,
        loss=experiment.task.losses(),
        metrics=experiment.task.metrics(),
        epochs=recipe.epochs,
        learning_rate=recipe.learning_rate,
        distill=recipe.distill,
        teacher=teacher,
        log=lambda transform, row: history.append({"epoch": len(history), "transform": transform, **row}),
    )
    run = RunDirectory.create(run_dir, experiment)  # not before: a compression that was cut off leaves nothing
    run.write_info(dense.info())
    run.save_model(small)
    write_history(run.history_path, history)
    run.update_metrics({"compression": {"recipe": recipe_name, "from": str(dense.path), "weights": _summary(small)}})
    if experiment.splits.validation:
        evaluate(run, experiment.splits.validation, name="validation")
    return run


def _teacher(distill: Distill | None, student: Experiment) -> keras.Model | None:
    """Returns the model of the run that is to teach, or None where none is named.

    Raises:
        CompressionError: it learned from other data or features.
    """
    if distill is None or distill.teacher is None:
        return None
    run = RunDirectory.open(distill.teacher)
    taught = run.experiment()
    if (taught.data, taught.features) != (student.data, student.features):
        raise CompressionError(
            f"A teacher must see what its student sees: the same data and features. {run.path} is of "
            f"{taught.name!r}, the student of {student.name!r}."
        )
    return run.load_model()


def _summary(model: keras.Model) -> dict[str, dict[str, Any]]:
    """Returns shape, zeros and distinct values of each weight tensor."""
    import numpy as np

    summary = {}
    for path, variable in named_weights(model).items():
        value = _numpy(variable)
        summary[path] = {
            "shape": list(value.shape),
            "sparsity": round(float((value == 0).mean()), 4),
            "distinct_values": len(np.unique(value)),
        }
    return summary


def _numpy(variable: keras.Variable) -> np.ndarray:
    import numpy as np

    return np.asarray(variable.numpy())
