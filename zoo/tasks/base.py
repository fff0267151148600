"""What a task is: the meaning of a model's outputs, in training, in evaluation and in an answer.

Shape glossary: `B` batch, `N` classes.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

if TYPE_CHECKING:
    import keras
    import numpy as np

__all__ = ["AbstractScorer", "AbstractTask", "Confusion", "Findings", "Table"]

NamedTensors = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows for people to read."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


@dataclasses.dataclass(frozen=True)
class Confusion:
    """How often each true class [row] was answered by each class [column], int [N, N], in the order of `names`."""

    counts: np.ndarray
    names: Sequence[str]


@dataclasses.dataclass(frozen=True)
class Findings:
    """What is worth seeing of the answers to a split, beside the figures."""

    tables: Sequence[Table] = ()
    confusion: Confusion | None = None


class AbstractScorer(abc.ABC):
    """Gathers the figures of a split batch by batch; it holds no outputs."""

    @abc.abstractmethod
    def update(self, targets: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]) -> None:
        """Takes in a batch: targets as `AbstractTask.split` gives them, and the model's outputs, by name."""

    @abc.abstractmethod
    def figures(self) -> dict[str, float]:
        """Returns the figures of all batches taken in, at least one."""

    @abc.abstractmethod
    def findings(self) -> Findings:
        """Returns tables and counts for a report."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AbstractTask(abc.ABC):
    """The meaning of a model's outputs.

    Attributes:
        MONITOR: the validation metric that decides which epoch is best.
        MONITOR_MODE: whether higher ("max") or lower ("min") is better.
        SCORES: the answer that holds a score for each class, float32 [B, N]; None where the task has no classes.
    """

    MONITOR: ClassVar[str]
    MONITOR_MODE: ClassVar[Literal["max", "min"]]
    SCORES: ClassVar[str | None] = None

    @abc.abstractmethod
    def targets(self) -> tuple[str, ...]:
        """Returns the names of the tensors of an example that are to be predicted, not inputs."""

    @abc.abstractmethod
    def labelled(self) -> str | None:
        """Returns the name of the tensor whose class names an answer uses, if any."""

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
    def difference(
        self, served: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray], tolerance: float
    ) -> str | None:
        """Returns the name of an answer that is no number and differs for more than rounding; None where none does.

        Args:
            served: answers of an exported model, by name; their floating-point ones are known to agree.
            expected: answers of the model itself.
            tolerance: what floating-point answers may differ by.
        """

    @abc.abstractmethod
    def scorer(self, label_names: Sequence[str]) -> AbstractScorer:
        """Returns a fresh scorer."""
