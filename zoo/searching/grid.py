"""What a search tries: how many channels, weights, values and bits are left, and what each point goes on from."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Collection

from zoo.compression.cluster import Cluster
from zoo.compression.distill import Distill
from zoo.compression.fold_batch_norm import FoldBatchNorm
from zoo.compression.prune import Prune
from zoo.compression.prune_channels import PruneChannels
from zoo.compression.quantize import Quantize
from zoo.compression.quantize_aware import Bits
from zoo.recipes.recipe import Recipe

__all__ = ["DENSE", "Grid", "Setting", "between", "parent_of"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
    """How far a model is compressed; a point of a search.

    Args:
        channels: share of the channels removed.
        sparsity: share of the weights left that are zero.
        values: shared values in each tensor; 0 for no clustering.
        bits: weights rounded after training; None for no rounding.
    """

    channels: float = 0.0
    sparsity: float = 0.0
    values: int = 0
    bits: Bits | None = None

    def trunk(self) -> Setting:
        """Returns the setting without clustering and rounding, which come last and which nothing goes on from."""
        return dataclasses.replace(self, values=0, bits=None)

    def slug(self) -> str:
        """Returns a name for files: `sparsity0.9-values16`."""
        given = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        parts = [str(value) if name == "bits" else f"{name}{value:g}" for name, value in given.items() if value]
        return "-".join(parts) or "dense"


DENSE = Setting()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Grid:
    """What a search tries before it looks between the points of the front.

    Args:
        bits: rounding without training, of the dense model, of each sparsity (the first alone) and each share of
            channels (the first alone).
        values: shared values, of the dense model and of each sparsity.
        sparsities: shares of zeros, each trained from the one before it.
        channels: shares of channels removed, each trained from the one before it.
        epochs: passes for each sparsity and each share of channels.
        learning_rate: at their beginning.
        ending_epochs: passes for each clustering.
        ending_learning_rate: at its beginning.
        min_steps: training steps of each training at least: more epochs where a data set is small.
        refinements: points tried between neighbours of the front, when the grid is done; what one goes on from and
            does not stand yet is made before it and does not count.

    Raises:
        InvalidValueError: a value that a transform or a recipe cannot take.
    """

    bits: tuple[Bits, ...] = ("int8", "int4")
    values: tuple[int, ...] = (32, 16)
    sparsities: tuple[float, ...] = (0.6, 0.8, 0.9, 0.95, 0.98)
    channels: tuple[float, ...] = (0.25, 0.5)
    epochs: int = 4
    learning_rate: float = 1e-3
    ending_epochs: int = 2
    ending_learning_rate: float = 3e-4
    min_steps: int = 400
    refinements: int = 8

    def __post_init__(self) -> None:
        for setting in self.settings():
            self.recipe(setting, DENSE)

    def settings(self) -> list[Setting]:
        """Returns the points, from cheap to dear, each after the one that it goes on from."""
        found = [Setting(bits=bits) for bits in self.bits]
        found += [Setting(values=values) for values in self.values]
        # In turns, so that a search that is cut off has seen both.
        for sparsity, channels in itertools.zip_longest(sorted(self.sparsities), sorted(self.channels)):
            if sparsity is not None:
                trunk = Setting(sparsity=sparsity)
                found += [trunk, *self._rounded(trunk)]
                found += [dataclasses.replace(trunk, values=values) for values in self.values]
            if channels is not None:
                trunk = Setting(channels=channels)
                found += [trunk, *self._rounded(trunk)]
        return list(dict.fromkeys(found))

    def _rounded(self, trunk: Setting) -> list[Setting]:
        return [dataclasses.replace(trunk, bits=bits) for bits in self.bits[:1]]

    def recipe(self, setting: Setting, parent: Setting) -> Recipe:
        """Returns what makes a setting of its parent."""
        if setting.values:
            return Recipe(
                transforms=(FoldBatchNorm(), Cluster(setting.values)),
                epochs=self.ending_epochs,
                min_steps=self.min_steps,
                learning_rate=self.ending_learning_rate,
                distill=Distill(),
            )
        if setting.bits:
            return Recipe(transforms=(FoldBatchNorm(), Quantize(setting.bits)))
        if setting.sparsity:
            start = min(parent.sparsity, setting.sparsity)
            transform = Prune(setting.sparsity, initial_sparsity=start, scope="global", regrow=True)
        else:  # the share is of those left
            transform = PruneChannels(1 - (1 - setting.channels) / (1 - parent.channels), min_channels=2)
        return Recipe(
            transforms=(transform,),
            epochs=self.epochs,
            min_steps=self.min_steps,
            learning_rate=self.learning_rate,
            distill=Distill(),
        )


def parent_of(setting: Setting, done: Collection[Setting]) -> Setting:
    """Returns what a setting goes on from: the nearest milder one that is done, or one that must be done before it.

    Args:
        setting: not the dense one.
        done: settings whose models stand.
    """
    if setting != setting.trunk():
        return setting.trunk()
    if setting.sparsity:
        below = [one for one in _trunks(done) if one.channels == setting.channels and one.sparsity < setting.sparsity]
        return max(below, key=lambda one: one.sparsity, default=dataclasses.replace(setting, sparsity=0.0))
    below = [one for one in _trunks(done) if not one.sparsity and one.channels < setting.channels]
    return max(below, key=lambda one: one.channels, default=DENSE)


def _trunks(settings: Collection[Setting]) -> list[Setting]:
    return [DENSE, *(one for one in settings if one == one.trunk())]


def between(one: Setting, other: Setting) -> Setting | None:
    """Returns the setting half-way between two, or None where there is none.

    Half-way in bytes: the share of weights left and the number of values are geometric means.
    """
    left = math.sqrt((1 - one.sparsity) * (1 - other.sparsity))
    values = round(math.sqrt(one.values * other.values)) if one.values and other.values else one.values or other.values
    middle = Setting(
        channels=round((one.channels + other.channels) / 2, 3),
        sparsity=round(1 - left, 4),
        values=values,
        bits=None if values else one.bits or other.bits,
    )
    return None if middle in (one, other, DENSE) else middle
