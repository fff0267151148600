"""Named recipes: transforms in order, and how each is trained."""

from __future__ import annotations

import dataclasses

from zoo.compression.base import AbstractTransform
from zoo.compression.cluster import Cluster
from zoo.compression.distill import Distill
from zoo.compression.prune import Prune
from zoo.errors import InvalidValueError

__all__ = ["Recipe", "clustered", "pruned", "pruned_clustered"]


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


def pruned() -> Recipe:
    """Returns 80% zeros."""
    return Recipe(transforms=(Prune(sparsity=0.8),))


def clustered() -> Recipe:
    """Returns 32 shared values in each tensor."""
    return Recipe(transforms=(Cluster(num_clusters=32),))


def pruned_clustered() -> Recipe:
    """Returns 80% zeros, then 32 shared values in each tensor, zero among them."""
    return Recipe(transforms=(Prune(sparsity=0.8), Cluster(num_clusters=32)))
