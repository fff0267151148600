"""What a task is: the meaning of a model's outputs, in training, in evaluation and in an answer.

Shape glossary: `B` batch, `N` classes.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    import keras
    import numpy as np

__all__ = ["AbstractTask"]

NamedTensors = dict[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class AbstractTask(abc.ABC):
    """The meaning of a model's outputs.

    Attributes:
        MONITOR: the validation metric that decides which epoch is best; higher is better.
    """

    MONITOR: ClassVar[str]

    @abc.abstractmethod
    def targets(self) -> tuple[str, ...]:
        """Returns the names of the tensors of an example that are to be predicted, not inputs."""

    @abc.abstractmethod
    def split(self, tensors: NamedTensors) -> tuple[NamedTensors, NamedTensors]:
        """Returns `(inputs, targets)` of a batch; targets go by the names of the model's outputs."""

    @abc.abstractmethod
    def losses(self) -> dict[str, keras.losses.Loss]:
        """Returns a loss per output of the model."""

    @abc.abstractmethod
    def metrics(self) -> dict[str, list[keras.metrics.Metric]]:
        """Returns fresh metrics per output of the model, cheap enough for every training step."""

    @abc.abstractmethod
    def check(self, model: keras.Model, label_names: Sequence[str]) -> None:
        """Raises `DataError` where the model's outputs do not fit the data's targets."""

    @abc.abstractmethod
    def answers(self, outputs: NamedTensors, label_names: Sequence[str]) -> NamedTensors:
        """Returns what a caller is told, computed in the graph from the model's outputs."""

    @abc.abstractmethod
    def score(self, targets: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Returns the figures of a whole split, from targets and outputs of all its examples."""
