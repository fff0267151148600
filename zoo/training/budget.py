"""What a compression may lose: the monitored figure of the validation split, against that of the dense run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal

from zoo.tasks.base import AbstractTask

__all__ = ["Budget", "monitored"]

_ROUNDING = 1e-9  # 0.99 - 0.988 is a little more than 0.002


def monitored(task: AbstractTask) -> str:
    """Returns the name of the figure that decides, as the task's scorer calls it."""
    return task.MONITOR.removeprefix("val_")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Budget:
    """How far a figure may be from that of the dense run, to the worse.

    Args:
        figure: its name, as the task's scorer calls it.
        mode: whether higher or lower is better.
        baseline: the dense run's value.
        max_loss: absolute.
    """

    figure: str
    mode: Literal["max", "min"]
    baseline: float
    max_loss: float

    @classmethod
    def of(cls, task: AbstractTask, dense_scores: Mapping[str, float], max_loss: float) -> Budget:
        """Returns the budget of a task, from the figures of the dense run."""
        figure = monitored(task)
        return cls(figure=figure, mode=task.MONITOR_MODE, baseline=dense_scores[figure], max_loss=max_loss)

    def loss(self, value: float) -> float:
        """Returns how much worse `value` is than the dense run's; below 0 where it is better."""
        return self.baseline - value if self.mode == "max" else value - self.baseline

    def holds(self, value: float) -> bool:
        """Tells whether `value` is within the budget; a NaN never is."""
        return self.loss(value) <= self.max_loss + _ROUNDING

    def told(self, value: float) -> str:
        """Returns a value and its loss for people."""
        return f"{self.figure} {value:.4f}, loss {self.loss(value):.4f} of {self.max_loss:g}"
