"""Named recipes: transforms in order and how each is trained, alone or as rungs of a ladder with a budget.

A ladder costs one function here and one line in `zoo.registry.RECIPES`; all its numbers stand in that function.
"""

from __future__ import annotations

import dataclasses
import math
import sys
from typing import Any

from zoo.compression.base import AbstractTransform
from zoo.compression.cluster import Cluster
from zoo.compression.distill import Distill
from zoo.compression.fold_batch_norm import FoldBatchNorm
from zoo.compression.prune import Prune
from zoo.compression.prune_channels import PruneChannels
from zoo.compression.quantize import Quantize
from zoo.compression.quantize_aware import QuantizeAware
from zoo.compression.round_vectors import RoundVectors
from zoo.errors import InvalidValueError

__all__ = [
    "Flight",
    "Ladder",
    "Recipe",
    "clustered",
    "deep",
    "edge",
    "fast",
    "label",
    "pruned",
    "pruned_clustered",
    "small",
    "tiny",
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """Transforms, each trained for `epochs` with those before it held.

    Args:
        transforms: in order.
        epochs: passes over the training split per transform: one number, or one for each.
        learning_rate: at the start of each transform's half cosine: one number, or one for each.
        distill: learn from a teacher as well, in every transform.
        dropout: share of its rate that each dropout of the model has in training.
        min_steps: training steps of each transform at least: more epochs where a data set is small.
    """

    transforms: tuple[AbstractTransform, ...]
    epochs: int | tuple[int, ...] = 3
    learning_rate: float | tuple[float, ...] = 5e-4
    distill: Distill | None = None
    dropout: float = 1.0
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


def pruned() -> Recipe:
    """Returns 80% zeros."""
    return Recipe(transforms=(Prune(sparsity=0.8),))


def clustered() -> Recipe:
    """Returns 32 shared values in each tensor."""
    return Recipe(transforms=(Cluster(num_clusters=32),))


def pruned_clustered() -> Recipe:
    """Returns 80% zeros, then 32 shared values in each tensor, zero among them."""
    return Recipe(transforms=(Prune(sparsity=0.8), Cluster(num_clusters=32)))


def deep() -> Recipe:
    """Returns what made the models of `zoo bench artifact` small: most weights zero, the others of few shared values.

    One threshold for all layers leaves the last layers denser; the network that is left, too small to overfit as its
    dense self did, trains without dropout and learns from it. arXiv 1510.00149 (deep compression) with 1503.02531.
    """
    return Recipe(
        transforms=(Prune(0.94, scope="global", end=0.4), Cluster(5), RoundVectors()),
        epochs=(30, 8),
        learning_rate=(2e-3, 1e-3),
        distill=Distill(),
        dropout=0.0,
    )


def small() -> Ladder:
    """Returns moderate pruning, then 8 bits or 32 shared values: quick, and safe for any family."""
    zeros = (0.5, 0.7, 0.8)
    pruning = tuple(Recipe(transforms=(Prune(share),), epochs=2, min_steps=400, learning_rate=1e-3) for share in zeros)
    few_values = (
        Recipe(transforms=(Quantize("int8"),)),
        Recipe(transforms=(Cluster(32),), epochs=1, min_steps=200),
    )
    return Ladder(
        flights=(Flight(rungs=pruning), Flight(rungs=few_values, is_warm=False)),
        fallback=Recipe(transforms=(Quantize("int8"),)),
    )


def tiny() -> Ladder:
    """Returns as many zeros as hold, by one threshold for all layers, then as few shared values as hold.

    Each rung learns from the dense model, without dropout, as `deep` does; biases and scales are rounded at the end.
    """
    zeros = (0.8, 0.9, 0.94, 0.96, 0.97, 0.98)
    values = (32, 16, 8, 5)
    before = (0.0, *zeros[:-1])
    pruning = tuple(
        Recipe(
            transforms=(Prune(share, initial_sparsity=start, scope="global", end=0.4),),
            epochs=10,
            min_steps=800,
            learning_rate=2e-3,
            distill=Distill(),
            dropout=0.0,
        )
        for start, share in zip(before, zeros, strict=True)
    )
    clustering = tuple(
        Recipe(
            transforms=(Cluster(number),),
            epochs=6,
            min_steps=400,
            learning_rate=1e-3,
            distill=Distill(),
            dropout=0.0,
        )
        for number in values
    )
    rounding = Recipe(transforms=(RoundVectors(),))
    return Ladder(
        flights=(
            Flight(rungs=pruning),
            Flight(rungs=clustering, is_warm=False),
            Flight(rungs=(rounding,)),
        ),
        fallback=Recipe(transforms=(Quantize("int8"), RoundVectors())),
    )


def fast() -> Ladder:
    """Returns a model of fewer channels, a fifth of those left removed by each rung, normalisations folded."""
    share, number = 0.2, 6
    rung = Recipe(
        transforms=(PruneChannels(share, min_channels=2),),
        epochs=4,
        min_steps=400,
        learning_rate=1e-3,
        distill=Distill(),
    )
    return Ladder(flights=(Flight(rungs=(rung,) * number), Flight(rungs=(Recipe(transforms=(FoldBatchNorm(),)),))))


def edge() -> Ladder:
    """Returns weights and activations of 8 bits with normalisations folded, for LiteRT's full integer form."""
    rung = Recipe(
        transforms=(FoldBatchNorm(), QuantizeAware("int8", activations="int8")),
        epochs=4,
        min_steps=400,
        learning_rate=2e-4,
        distill=Distill(),
    )
    return Ladder(
        flights=(Flight(rungs=(rung,)),),
        fallback=Recipe(transforms=(FoldBatchNorm(), Quantize("int8"))),
    )
