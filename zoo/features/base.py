"""What a feature is: a named step from raw tensors to model inputs.

A feature's layer maps a dictionary of named batched tensors to one; what it does not touch passes through. It has no
weights: what it learns from the training split stands as numbers in its own fields, and so in a run's `config.json`.
Training and the exported graph therefore compute the same thing from the same code.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import keras
    import numpy as np

__all__ = ["AbstractFeature", "compose"]

NamedTensors = dict[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class AbstractFeature(abc.ABC):
    """One step from raw tensors to model inputs."""

    @abc.abstractmethod
    def fit(self, batches: Iterable[Mapping[str, np.ndarray]]) -> Self:
        """Returns this feature with everything it needs from the training split filled in.

        Args:
            batches: the raw batches of the training split as numpy arrays, `padding_mask` included.
        """

    @abc.abstractmethod
    def layer(self) -> keras.Layer:
        """Returns the layer that computes it: dictionary of tensors in, dictionary of tensors out."""


def compose(features: Sequence[AbstractFeature]) -> Callable[..., NamedTensors]:
    """Returns `(tensors, training=False) -> tensors`, each feature applied to what the one before left."""
    layers = [feature.layer() for feature in features]

    def apply(tensors: NamedTensors, training: bool = False) -> NamedTensors:
        for layer in layers:
            tensors = layer(tensors, training=training)
        return tensors

    return apply
