"""What a feature is: a named step from raw tensors to model inputs.

A feature's layer maps a dictionary of named batched tensors to one; what it does not touch passes through. It has no
weights: what it learns from the training split stands as numbers in its own fields, and so in a run's `config.json`.
Training and the exported graph therefore compute the same thing from the same code.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

if TYPE_CHECKING:
    import keras
    import numpy as np

__all__ = [
    "AbstractFeature",
    "AbstractInPlaceFeature",
    "AbstractSoundFeature",
    "AbstractUnfittedFeature",
    "compose",
    "inputs_needed",
]

NamedTensors = dict[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class AbstractFeature(abc.ABC):
    """One step from raw tensors to model inputs.

    Attributes:
        COSTLY: worth computing once and keeping in memory during training, not anew in each epoch.
        RANDOM: changes training examples at random; nothing after it is kept.
    """

    COSTLY: ClassVar[bool]
    RANDOM: ClassVar[bool]

    @abc.abstractmethod
    def reads(self) -> tuple[str, ...]:
        """Returns the names of the tensors it needs, whether training or not; of masks, those it cannot do without."""

    @abc.abstractmethod
    def writes(self) -> tuple[str, ...]:
        """Returns the names of the tensors it makes or changes, and takes away none of which a model reads.

        A feature that makes a sequence makes its mask too: the sequence first, then `padding_mask`.
        """

    @abc.abstractmethod
    def fit(self, batches: Iterable[Mapping[str, np.ndarray]]) -> Self:
        """Returns this feature with everything it needs from the training split filled in.

        Args:
            batches: the raw batches of the training split as numpy arrays, `padding_mask` included.
        """

    @abc.abstractmethod
    def layer(self) -> keras.Layer:
        """Returns the layer that computes it: dictionary of tensors in, dictionary of tensors out."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AbstractUnfittedFeature(AbstractFeature):
    """A feature that learns nothing from the training split."""

    def fit(self, batches: Iterable[Mapping[str, np.ndarray]]) -> Self:
        """Returns itself."""
        return self


@dataclasses.dataclass(frozen=True, kw_only=True)
class AbstractInPlaceFeature(AbstractFeature):
    """A feature that changes one tensor and needs no other.

    Args:
        tensor: its name, before and after.
    """

    tensor: str

    def reads(self) -> tuple[str, ...]:
        """Returns `tensor`."""
        return (self.tensor,)

    def writes(self) -> tuple[str, ...]:
        """Returns `tensor`."""
        return (self.tensor,)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AbstractSoundFeature(AbstractFeature):
    """A feature of sound of one sample rate; training refuses data of another.

    Args:
        sample_rate_hz: of `tensor`.
        tensor: name of the sound, [B, T] samples.
    """

    sample_rate_hz: int = 16_000
    tensor: str = "waveform"


def inputs_needed(features: Sequence[AbstractFeature], names: Iterable[str]) -> set[str]:
    """Returns the tensors that must be there before `features` for the tensors `names` to be there after them.

    Outside training, that is: what changes training examples at random needs nothing then.
    """
    needed = set(names)
    for feature in reversed(features):
        if not feature.RANDOM and needed & set(feature.writes()):
            needed = needed - set(feature.writes()) | set(feature.reads())
    return needed


def compose(features: Sequence[AbstractFeature]) -> Callable[..., NamedTensors]:
    """Returns `(tensors, training=False) -> tensors`, each feature applied to what the one before left."""
    layers = [feature.layer() for feature in features]

    def apply(tensors: NamedTensors, training: bool = False) -> NamedTensors:
        for layer in layers:
            tensors = layer(tensors, training=training)
        return tensors

    return apply
