"""The model of a finished run, to teach another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zoo.errors import CompressionError
from zoo.training.run_directory import RunDirectory

if TYPE_CHECKING:
    import keras

    from zoo.compression.distill import Distill
    from zoo.config import Experiment

__all__ = ["teacher_of"]


def teacher_of(distill: Distill | None, student: Experiment) -> keras.Model | None:
    """Returns the model of the run that is to teach, or None where none is named; called in the student's scope.

    What features do in training alone, augmentation, may differ; with `fit_features` behind them, the others may not.

    Raises:
        RunDirectoryError: there is no such run, or it has not ended.
        CompressionError: it learned from other data or features.
    """
    if distill is None or distill.teacher is None:
        return None
    run = RunDirectory.open(distill.teacher)
    taught = run.experiment()
    for what, of in (("data", lambda one: one.data), ("features", _steady)):
        if of(taught) != of(student):
            raise CompressionError(
                f"A teacher must see what its student sees: the same {what}. Received: {of(taught)} in {run.path}, "
                f"{of(student)} for the student {student.name!r}."
            )
    return run.load_model()


def _steady(experiment: Experiment) -> tuple[Any, ...]:
    """Returns the features that also run outside of training."""
    return tuple(feature for feature in experiment.features if not feature.RANDOM)
