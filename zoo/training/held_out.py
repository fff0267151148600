"""Examples held out of the training split afterwards, for an experiment that has no validation split of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from zoo.config import Experiment
from zoo.data.splits import SplitRange, split_ranges
from zoo.errors import InvalidValueError, UsageError

__all__ = ["check_validated", "held_out", "was_trained_on"]


def held_out(experiment: Experiment, validation: str, num_examples: Mapping[str, int]) -> Experiment:
    """Returns the experiment with another validation split, whose examples are taken out of the training split.

    Args:
        experiment: whose splits are changed.
        validation: in tfds's notation, as in `train[90%:]`.
        num_examples: the official splits.

    Raises:
        UnknownNameError, UsageError: the notation cannot be read.
        InvalidValueError: the test split holds some of the examples, or training keeps none.
    """
    chosen = split_ranges(validation, num_examples)
    if _overlap(chosen, split_ranges(experiment.splits.test, num_examples)):
        expected = f"examples that the test split {experiment.splits.test!r} does not hold: test data must not choose"
        raise InvalidValueError("validation", expected, validation)
    left = list(split_ranges(experiment.splits.train, num_examples))
    for part in chosen:
        left = [rest for one in left for rest in _without(one, part)]
    if not left:
        expected = f"a part of the training split {experiment.splits.train!r} that leaves some of it"
        raise InvalidValueError("validation", expected, validation)
    train = "+".join(f"{part.name}[{part.start}:{part.stop}]" for part in left)
    if not was_trained_on(experiment, validation, num_examples):
        train = experiment.splits.train
    return dataclasses.replace(
        experiment, splits=dataclasses.replace(experiment.splits, train=train, validation=validation)
    )


def was_trained_on(experiment: Experiment, split: str, num_examples: Mapping[str, int]) -> bool:
    """Tells whether the training split of an experiment holds examples of `split`."""
    return _overlap(split_ranges(split, num_examples), split_ranges(experiment.splits.train, num_examples))


def check_validated(experiment: Experiment) -> None:
    """Raises `UsageError` unless the experiment has a validation split."""
    if experiment.splits.validation is None:
        raise UsageError(
            f"The experiment {experiment.name!r} has no validation split, and test data must not choose. Best train it "
            'again with one: `zoo train ... --set "splits.train=train[:90%]" --set "splits.validation=train[90%:]"`. '
            'Or hold examples out of the compression alone: `--validation "train[90%:]"`.'
        )


def _overlap(some: Sequence[SplitRange], others: Sequence[SplitRange]) -> bool:
    return any(
        one.name == other.name and max(one.start, other.start) < min(one.stop, other.stop)
        for one in some
        for other in others
    )


def _without(part: SplitRange, hole: SplitRange) -> list[SplitRange]:
    """Returns what is left of `part` before and behind `hole`."""
    if part.name != hole.name:
        return [part]
    sides = (
        dataclasses.replace(part, stop=min(part.stop, hole.start)),
        dataclasses.replace(part, start=max(part.start, hole.stop)),
    )
    return [side for side in sides if side.start < side.stop]
