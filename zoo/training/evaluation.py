"""Figures of a run on a split, from every example of it once."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

from zoo.errors import DataError
from zoo.training import inputs
from zoo.training.run_directory import RunDirectory

if TYPE_CHECKING:
    import keras
    import numpy as np
    import tensorflow as tf

__all__ = ["Evaluation", "evaluate", "predict"]


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Figures of a split, with the targets and outputs they come from, example by example in the split's order."""

    scores: Mapping[str, float]
    targets: Mapping[str, np.ndarray]
    outputs: Mapping[str, np.ndarray]


def evaluate(run: RunDirectory, split: str, *, name: str | None = None) -> Evaluation:
    """Evaluates a run's model and adds the figures to its `metrics.json`.

    Args:
        run: where the model and its experiment stand.
        split: `train`, `validation` or `test` as the experiment names them, or any split in tfds's notation.
        name: the key of `metrics.json`; by default `split`.

    Raises:
        RunDirectoryError: there is no model.
        DataError: the split holds no example.
    """
    experiment, model = run.experiment(), run.load_model()
    spelled = {
        "train": experiment.splits.train,
        "validation": experiment.splits.validation,
        "test": experiment.splits.test,
    }
    if split == "validation" and not experiment.splits.validation:
        raise DataError(f"The experiment of {run.path} has no validation split. Ask for `test`, or for `train[90%:]`.")
    batches = inputs.model_batches(experiment, spelled.get(split) or split, list(model.input), training=False)
    targets, outputs = predict(model, batches)
    scores = experiment.task.score(targets, outputs)
    run.update_metrics({name or split: scores})
    return Evaluation(scores, targets, outputs)


def predict(model: keras.Model, batches: tf.data.Dataset) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Returns `(targets, outputs)` of all batches, joined along the batch axis."""
    import numpy as np
    import tensorflow as tf

    forward = tf.function(lambda batch: model(batch, training=False), reduce_retracing=True, autograph=False)
    targets, outputs = [], []
    for batch, target in batches:
        targets.append({name: np.asarray(tensor) for name, tensor in target.items()})
        outputs.append({name: np.asarray(tensor) for name, tensor in forward(batch).items()})
    if not targets:
        raise DataError("The split holds no example.")

    def joined(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    return joined(targets), joined(outputs)
