"""Magnitude pruning: the smallest weights become zero, more of them as training goes on.

Papers: arXiv 1506.02626 (magnitude pruning), 1710.01878 (the cubic schedule), 1608.04493 (masked weights go on learning
and may return), 2010.07611 (one threshold for all layers, by LAMP). Masks and schedules are TFMOT's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from zoo.compression.base import AbstractAttachment, AbstractTransform, check_float32
from zoo.compression.schedule import check_schedule, check_sparsity, mask_steps
from zoo.errors import CompressionError, InvalidValueError

if TYPE_CHECKING:
    import keras
    import numpy as np

__all__ = ["Prune"]


@dataclasses.dataclass(frozen=True)
class Prune(AbstractTransform):
    """Sets a share of the weights to zero.

    Args:
        sparsity: share of zeros at the end, in [0, 1).
        initial_sparsity: share at the beginning of a polynomial schedule.
        schedule: cubic from `initial_sparsity` to `sparsity`, or all at once.
        begin: share of the training steps before the first mask.
        end: share of the training steps after which masks stay as they are.
        num_updates: masks computed between `begin` and `end`.
        scope: `layer` gives each tensor the same share; `global` has one threshold for all, on each weight's square by
            the sum of those in its tensor that are no smaller.
        regrow: a masked weight goes on learning as if it were not, and returns when it has become large. Without, it
            has no gradient and keeps its last value behind the mask.
        block: rows and columns of a weight, seen as a matrix with the outputs as columns, that are zero together.
        m_by_n: m zeros in each n weights in a row that one output reads, as in `(2, 4)`; the share is then m / n, and
            `sparsity` must say so.
        l2: times the sum of the squared weights is added to the loss, so that what nothing needs, such as the weights
            of a pixel that is always black, becomes small and goes first.

    Raises:
        InvalidValueError: a value out of range, or two that exclude each other.
    """

    ORDER: ClassVar = 1

    sparsity: float
    _: dataclasses.KW_ONLY
    initial_sparsity: float = 0.0
    schedule: Literal["polynomial", "constant"] = "polynomial"
    begin: float = 0.0
    end: float = 0.6
    num_updates: int = 30
    scope: Literal["layer", "global"] = "layer"
    regrow: bool = False
    block: tuple[int, int] = (1, 1)
    m_by_n: tuple[int, int] | None = None
    l2: float = 0.0

    def __post_init__(self) -> None:
        check_sparsity(self.sparsity, self.initial_sparsity)
        check_schedule(self.schedule, self.begin, self.end, self.num_updates)
        if self.scope not in ("layer", "global"):
            raise InvalidValueError("scope", "layer or global", self.scope)
        if min(self.block) < 1:
            raise InvalidValueError("block", "two numbers of at least 1", self.block)
        if self.l2 < 0:
            raise InvalidValueError("l2", "0 or more", self.l2)
        self._check_patterns()

    def _check_patterns(self) -> None:
        if (self.block != (1, 1) or self.m_by_n) and self.scope == "global":
            raise InvalidValueError("scope", "layer where blocks or m:n are asked for", self.scope)
        if self.m_by_n is None:
            return
        zeros, width = self.m_by_n
        if not 0 < zeros < width:
            raise InvalidValueError("m_by_n", "m zeros in n weights, 0 < m < n", self.m_by_n)
        if self.block != (1, 1):
            raise InvalidValueError("m_by_n", "left out where blocks are asked for", self.m_by_n)
        if abs(self.sparsity - zeros / width) > 1e-6:
            raise InvalidValueError("sparsity", f"{zeros}/{width} as m_by_n={self.m_by_n} has it", self.sparsity)

    def check(self, weights: Mapping[str, keras.Variable]) -> None:
        """Raises `CompressionError` for weights not of float32, and for m:n of one of neither two nor four axes."""
        check_float32(self, weights)
        wrong = [path for path, weight in weights.items() if self.m_by_n and len(weight.shape) not in (2, 4)]
        if wrong:
            raise CompressionError(
                f"`m_by_n` needs weights of two or four axes. Received: {', '.join(wrong)}. Leave them out by `skip`."
            )

    def attach(
        self,
        weights: Mapping[str, keras.Variable],
        values: Mapping[str, np.ndarray],
        num_steps: int,
        *,
        model: keras.Model,
    ) -> AbstractAttachment:
        """Returns the masks at work, all ones until the schedule begins."""
        from zoo.compression.masks import Masks

        return Masks(self, weights, values, num_steps)

    def steps(self, num_steps: int) -> tuple[int, int, int]:
        """Returns `(begin, end, frequency)` in steps; a mask is due at both ends."""
        return mask_steps(self.begin, self.end, self.num_updates, num_steps)
