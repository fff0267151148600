"""Figures of a run on a split, from every example of it once."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from zoo.config import Experiment
from zoo.errors import DataError
from zoo.tasks.base import AbstractTask, Findings
from zoo.training import inputs
from zoo.training.graph_errors import told_as_data_errors
from zoo.training.run_directory import RunDirectory

if TYPE_CHECKING:
    import keras
    import numpy as np
    import tensorflow as tf

__all__ = ["Evaluation", "evaluate", "predictions", "scored", "spelled"]


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Figures of a split, and what is worth seeing beside them."""

    scores: Mapping[str, float]
    findings: Findings


def evaluate(run: RunDirectory, split: str, *, name: str | None = None) -> Evaluation:
    """Evaluates a run's model, batch by batch, and adds the figures to its `metrics.json`.

    Args:
        run: where the model and its experiment stand.
        split: `train`, `validation` or `test` as the experiment names them, or any split in tfds's notation.
        name: the key of `metrics.json`; by default `split`.

    Raises:
        RunDirectoryError: there is no model.
        DataError: the split holds no example.
    """
    experiment, model = run.experiment(), run.load_model()
    if split == "validation" and not experiment.splits.validation:
        raise DataError(f"The experiment of {run.path} has no validation split. Ask for `test`, or for `train[90%:]`.")
    label_names = run.info().names_of(experiment.task.labelled())
    with told_as_data_errors(f"the split {split!r}"):
        batches = inputs.model_batches(experiment, spelled(experiment, split), list(model.input), training=False)
        evaluation = scored(experiment.task, model, batches, label_names)
    run.update_metrics({name or split: evaluation.scores})
    return evaluation


def scored(task: AbstractTask, model: keras.Model, batches: tf.data.Dataset, label_names: Sequence[str]) -> Evaluation:
    """Returns the figures of a model on batches of `(inputs, targets)`.

    Raises:
        DataError: there is no batch.
    """
    from zoo.layers.quick import quick_kernels

    scorer = task.scorer(label_names)
    with quick_kernels(model, training=False):
        for targets, outputs in predictions(model, batches):
            scorer.update(targets, outputs)
    return Evaluation(scorer.figures(), scorer.findings())


def spelled(experiment: Experiment, split: str) -> str:
    """Returns `train`, `validation` or `test` as the experiment spells it, and any other split as it is."""
    return getattr(experiment.splits, split, None) or split if split in ("train", "validation", "test") else split


def predictions(
    model: keras.Model, batches: tf.data.Dataset
) -> Iterator[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
    """Yields `(targets, outputs)` of each batch, by name.

    Raises:
        DataError: there is no batch.
    """
    import numpy as np
    import tensorflow as tf

    forward = tf.function(lambda batch: model(batch, training=False), reduce_retracing=True, autograph=False)
    is_empty = True
    for batch, targets in batches:
        is_empty = False
        outputs = forward(batch)
        yield (
            {name: np.asarray(tensor) for name, tensor in targets.items()},
            {name: np.asarray(tensor) for name, tensor in outputs.items()},
        )
    if is_empty:
        raise DataError("The split holds no example.")
