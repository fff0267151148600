"""Magnitude pruning: the smallest weights become zero, more of them as training goes on.

Papers: arXiv 1506.02626 (magnitude pruning), arXiv 1710.01878 (the cubic schedule). Masks and schedules are TFMOT's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from zoo.compression import _tfmot
from zoo.compression.base import AbstractAttachment, AbstractTransform
from zoo.errors import InvalidValueError

if TYPE_CHECKING:
    import keras
    import numpy as np
    import tensorflow as tf

__all__ = ["Prune"]


@dataclasses.dataclass(frozen=True)
class Prune(AbstractTransform):
    """Sets a share of each weight tensor to zero.

    A weight that is masked has no gradient and keeps its last value behind the mask, so it can return when a later
    mask finds it larger than others.

    Args:
        sparsity: share of zeros at the end, in [0, 1).
        initial_sparsity: share at the beginning of a polynomial schedule.
        schedule: cubic from `initial_sparsity` to `sparsity`, or all at once.
        begin: share of the training steps before the first mask.
        end: share of the training steps after which masks stay as they are.
        num_updates: masks computed between `begin` and `end`.

    Raises:
        InvalidValueError: a value out of range.
    """

    ORDER: ClassVar = 1

    sparsity: float
    _: dataclasses.KW_ONLY
    initial_sparsity: float = 0.0
    schedule: Literal["polynomial", "constant"] = "polynomial"
    begin: float = 0.0
    end: float = 0.6
    num_updates: int = 30

    def __post_init__(self) -> None:
        if not 0 <= self.sparsity < 1:
            raise InvalidValueError("sparsity", "at least 0 and below 1", self.sparsity)
        if not 0 <= self.initial_sparsity <= self.sparsity:
            limit = f"between 0 and sparsity={self.sparsity}"
            raise InvalidValueError("initial_sparsity", limit, self.initial_sparsity)
        if not 0 <= self.begin < 1:
            raise InvalidValueError("begin", "at least 0 and below 1", self.begin)
        if not self.begin <= self.end <= 1:
            raise InvalidValueError("end", f"between begin={self.begin} and 1", self.end)
        if self.schedule not in ("polynomial", "constant"):
            raise InvalidValueError("schedule", "polynomial or constant", self.schedule)
        if self.num_updates < 1:
            raise InvalidValueError("num_updates", "at least 1", self.num_updates)

    def attach(
        self, weights: Mapping[str, keras.Variable], values: Mapping[str, np.ndarray], num_steps: int
    ) -> AbstractAttachment:
        """Returns the masks at work, all ones until the schedule begins."""
        return _Masks(self, weights, num_steps)

    def steps(self, num_steps: int) -> tuple[int, int, int]:
        """Returns `(begin, end, frequency)` in steps; a mask is due at both ends."""
        begin = min(int(self.begin * num_steps), num_steps - 1)
        last = max(begin, min(int(self.end * num_steps), num_steps - 1))
        frequency = max(1, (last - begin) // self.num_updates)
        return begin, begin + (last - begin) // frequency * frequency, frequency


class _Masks(AbstractAttachment):
    def __init__(self, transform: Prune, weights: Mapping[str, keras.Variable], num_steps: int):
        import tensorflow as tf

        self.weights = weights
        self._transform = transform
        self._masks = {path: tf.Variable(tf.ones(weight.shape), trainable=False) for path, weight in weights.items()}
        triples = [
            (weight.value, self._masks[path], tf.Variable(tf.zeros([]), trainable=False))
            for path, weight in weights.items()
        ]
        self._step: tf.Tensor | None = None
        self._core = _tfmot.pruning(lambda: self._step, triples, self._schedule(num_steps))

    def _schedule(self, num_steps: int) -> Any:
        begin, end, frequency = self._transform.steps(num_steps)
        if self._transform.schedule == "constant":
            return _tfmot.constant_sparsity(self._transform.sparsity, begin, end, frequency)
        if begin == end:  # a single mask: the cubic's first value would be the initial sparsity
            return _tfmot.constant_sparsity(self._transform.sparsity, begin, end, 1)
        return _tfmot.polynomial_decay(
            self._transform.initial_sparsity, self._transform.sparsity, begin, end, frequency
        )

    def variables(self) -> list[keras.Variable]:
        return []

    def advance(self, step: tf.Tensor) -> None:
        self._step = step
        self._core.conditional_mask_update()

    def apply(self, path: str, value: tf.Tensor) -> tf.Tensor:
        return value * self._masks[path]

    def verify(self, path: str, value: np.ndarray) -> str | None:
        zeros, kept = int((value == 0).sum()), max(1, round(value.size * (1 - self._transform.sparsity)))
        if zeros >= value.size - kept:
            return None
        return f"{zeros / value.size:.4f} zeros, {self._transform.sparsity} promised"
