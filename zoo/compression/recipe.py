"""Named recipes: transforms in order and how each is trained, alone or as rungs of a ladder with a budget.

A ladder costs one function here and one line in `zoo.registry.RECIPES`; all its numbers stand in that function.
"""

from __future__ import annotations

import dataclasses

from zoo.compression.base import AbstractTransform
from zoo.compression.cluster import Cluster
from zoo.compression.distill import Distill
from zoo.compression.fold_batch_norm import FoldBatchNorm
from zoo.compression.prune import Prune
from zoo.compression.prune_channels import PruneChannels
from zoo.compression.quantize import Quantize
from zoo.compression.quantize_aware import QuantizeAware
from zoo.errors import InvalidValueError

__all__ = [
    "Flight",
    "Ladder",
    "Recipe",
    "clustered",
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
    """

    transforms: tuple[AbstractTransform, ...]
    epochs: int | tuple[int, ...] = 3
    learning_rate: float | tuple[float, ...] = 5e-4
    distill: Distill | None = None

    def __post_init__(self) -> None:
        if not self.transforms:
            raise InvalidValueError("transforms", "one or more transforms", self.transforms)
        if min(self._each("epochs")) < 1:
            raise InvalidValueError("epochs", "at least 1", self.epochs)
        if not min(self._each("learning_rate")) > 0:
            raise InvalidValueError("learning_rate", "above 0", self.learning_rate)

    def _each(self, name: str) -> tuple[float, ...]:
        value = getattr(self, name)
        count = sum(transform.TRAINS for transform in self.transforms)
        if isinstance(value, tuple) and len(value) != count:
            raise InvalidValueError(name, f"one number, or {count} as there are transforms to train", value)
        return value if isinstance(value, tuple) else (value,)

    def num_epochs(self) -> int:
        """Returns how many epochs are trained in all."""
        trained = sum(transform.TRAINS for transform in self.transforms)
        return sum(self.epochs) if isinstance(self.epochs, tuple) else self.epochs * trained


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
        epochs: in place of those of every rung, for each of its transforms.
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
        given = {"epochs": self.epochs, "learning_rate": self.learning_rate}
        changes = {name: value for name, value in given.items() if value is not None}
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


def small() -> Ladder:
    """Returns moderate pruning, then 8 bits or 32 shared values: quick, and safe for any family."""
    zeros = (0.5, 0.7, 0.8)
    pruning = tuple(Recipe(transforms=(Prune(share, begin=0.0, end=0.5),), epochs=2) for share in zeros)
    few_values = (
        Recipe(transforms=(Quantize("int8"),)),
        Recipe(transforms=(Cluster(32),), epochs=1, learning_rate=2e-4),
    )
    return Ladder(
        flights=(Flight(rungs=pruning), Flight(rungs=few_values, is_warm=False)),
        fallback=Recipe(transforms=(Quantize("int8"),)),
    )


def tiny() -> Ladder:
    """Returns as many zeros as hold, by one threshold for all layers, then as few shared values as hold.

    The dense model teaches throughout.
    """
    zeros = (0.8, 0.9, 0.95, 0.97, 0.98, 0.985)
    values = (32, 16, 12, 8)
    before = (0.0, *zeros[:-1])
    pruning = tuple(
        Recipe(
            transforms=(Prune(share, initial_sparsity=start, scope="global", regrow=True, l2=1e-5),),
            epochs=8,
            learning_rate=1e-3,
            distill=Distill(),
        )
        for start, share in zip(before, zeros, strict=True)
    )
    clustering = tuple(
        Recipe(transforms=(Cluster(number),), epochs=4, learning_rate=3e-4, distill=Distill()) for number in values
    )
    return Ladder(
        flights=(Flight(rungs=pruning), Flight(rungs=clustering, is_warm=False)),
        fallback=Recipe(transforms=(Quantize("int8"),)),
    )


def fast() -> Ladder:
    """Returns a model of fewer channels, a fifth of those left removed by each rung, normalisations folded."""
    share, number = 0.2, 6
    rung = Recipe(transforms=(PruneChannels(share, min_channels=2),), epochs=4, learning_rate=1e-3, distill=Distill())
    return Ladder(flights=(Flight(rungs=(rung,) * number), Flight(rungs=(Recipe(transforms=(FoldBatchNorm(),)),))))


def edge() -> Ladder:
    """Returns weights and activations of 8 bits with normalisations folded, for LiteRT's full integer form."""
    rung = Recipe(
        transforms=(FoldBatchNorm(), QuantizeAware("int8", activations="int8")),
        epochs=4,
        learning_rate=2e-4,
        distill=Distill(),
    )
    return Ladder(
        flights=(Flight(rungs=(rung,)),),
        fallback=Recipe(transforms=(FoldBatchNorm(), Quantize("int8"))),
    )
