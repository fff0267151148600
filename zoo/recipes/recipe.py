"""What a recipe is: transforms in order and how each is trained, alone or as rungs of a ladder with a budget."""

from __future__ import annotations

import dataclasses
import math
import sys
from typing import Any

from zoo.compression.base import AbstractTransform
from zoo.compression.distill import Distill
from zoo.errors import InvalidValueError
from zoo.features.base import AbstractFeature

__all__ = ["Flight", "Ladder", "Recipe", "label"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """Transforms, each trained for `epochs` with those before it held.

    Args:
        transforms: in order.
        epochs: passes over the training split per transform: one number, or one for each.
        learning_rate: at the start of each transform's half cosine: one number, or one for each.
        distill: learn from a teacher as well, in every transform.
        dropout: share of its rate that each dropout of the model has in training.
        augment: what changes training examples at random besides the features of the run, after these; the teacher sees
            them so too.
        min_steps: training steps of each transform at least: more epochs where a data set is small.
    """

    transforms: tuple[AbstractTransform, ...]
    epochs: int | tuple[int, ...] = 3
    learning_rate: float | tuple[float, ...] = 5e-4
    distill: Distill | None = None
    dropout: float = 1.0
    augment: tuple[AbstractFeature, ...] = ()
    min_steps: int = 0

    def __post_init__(self) -> None:
        if not self.transforms:
            raise InvalidValueError("transforms", "one or more transforms", self.transforms)
        if min(self._each("epochs")) < 1:
            raise InvalidValueError("epochs", "at least 1", self.epochs)
        if not min(self._each("learning_rate")) > 0:
            raise InvalidValueError("learning_rate", "above 0", self.learning_rate)
        if not 0 <= self.dropout <= 1:
            raise InvalidValueError("dropout", "from 0 to 1", self.dropout)
        if wrong := [type(feature).__name__ for feature in self.augment if not feature.RANDOM]:
            raise InvalidValueError("augment", "features that change training examples at random alone", wrong)
        if self.min_steps < 0:
            raise InvalidValueError("min_steps", "0 or more", self.min_steps)

    def _each(self, name: str) -> tuple[float, ...]:
        value = getattr(self, name)
        count = sum(transform.TRAINS for transform in self.transforms)
        if isinstance(value, tuple) and len(value) != count:
            raise InvalidValueError(name, f"one number, or {count} as there are transforms to train", value)
        return value if isinstance(value, tuple) else (value,)

    def passes(self, steps_per_epoch: int) -> tuple[int, ...]:
        """Returns the epochs of each transform that trains, with as many as `min_steps` needs."""
        count = sum(transform.TRAINS for transform in self.transforms)
        epochs = self.epochs if isinstance(self.epochs, tuple) else (self.epochs,) * count
        return tuple(max(number, math.ceil(self.min_steps / steps_per_epoch)) for number in epochs)

    def num_epochs(self, steps_per_epoch: int = sys.maxsize) -> int:
        """Returns how many epochs are trained in all; by default without those that `min_steps` adds."""
        return sum(self.passes(steps_per_epoch))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Flight:
    """Rungs of one kind, from mild to strong; the strongest that stays within the budget is what goes on.

    Args:
        rungs: in order.
        is_warm: each rung goes on from the model of the rung before it, and else from what the flight began with.
    """

    rungs: tuple[Recipe, ...]
    is_warm: bool = True

    def __post_init__(self) -> None:
        if not self.rungs:
            raise InvalidValueError("rungs", "one or more recipes", self.rungs)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ladder:
    """Flights one after the other, climbed while the budget of accuracy holds.

    Args:
        flights: each begins with what the one before it kept.
        fallback: tried where no rung of any flight holds; trains nothing.
        max_loss: what the monitored figure of the validation split may lose against the dense run, absolute.
        epochs: in place of those of every rung, for each of its transforms, whatever its `min_steps`.
        learning_rate: in place of that of every rung.

    Raises:
        InvalidValueError: a value out of range, or transforms of a flight that must stand before those of another.
    """

    flights: tuple[Flight, ...]
    fallback: Recipe | None = None
    max_loss: float = 0.002
    epochs: int | None = None
    learning_rate: float | None = None

    def __post_init__(self) -> None:
        if not self.flights:
            raise InvalidValueError("flights", "one or more flights", self.flights)
        if not self.max_loss >= 0:
            raise InvalidValueError("max_loss", "0 or more", self.max_loss)
        if self.fallback is not None and self.fallback.num_epochs():
            raise InvalidValueError("fallback", "transforms that train nothing", label(self.fallback.transforms))
        self._check_orders()

    def _check_orders(self) -> None:
        """Raises where going up all rungs would put a transform behind one that must follow it."""
        paths = [flight.rungs if flight.is_warm else flight.rungs[-1:] for flight in self.set_flights()]
        transforms = tuple(transform for path in paths for rung in path for transform in rung.transforms)
        orders = [transform.ORDER for transform in transforms]
        if orders != sorted(orders):
            expected = "such that each transform keeps what those of earlier rungs made"
            raise InvalidValueError("flights", expected, label(transforms))

    def set_flights(self) -> tuple[Flight, ...]:
        """Returns the flights with `epochs` and `learning_rate` in each rung, where they are given."""
        changes: dict[str, Any] = {} if self.epochs is None else {"epochs": self.epochs, "min_steps": 0}
        if self.learning_rate is not None:
            changes["learning_rate"] = self.learning_rate
        return tuple(
            dataclasses.replace(flight, rungs=tuple(dataclasses.replace(rung, **changes) for rung in flight.rungs))
            for flight in self.flights
        )

    def recipes(self) -> tuple[Recipe, ...]:
        """Returns all that may be tried: each rung, then the fallback."""
        rungs = [rung for flight in self.set_flights() for rung in flight.rungs]
        return (*rungs, self.fallback) if self.fallback else tuple(rungs)


def label(transforms: tuple[AbstractTransform, ...]) -> str:
    """Returns what people call some transforms: each by its name and its first hyperparameter.

    >>> label((Prune(0.9), FoldBatchNorm(), Cluster(16)))
    'Prune 0.9, FoldBatchNorm, Cluster 16'
    """
    common = {field.name for field in dataclasses.fields(AbstractTransform)}

    def one(transform: AbstractTransform) -> str:
        own = [field.name for field in dataclasses.fields(transform) if field.name not in common]
        return f"{type(transform).__name__} {getattr(transform, own[0])}" if own else type(transform).__name__

    return ", ".join(one(transform) for transform in transforms)
