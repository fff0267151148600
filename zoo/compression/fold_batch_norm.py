"""Batch normalisation folded into the layers before it, as a step among transforms. Paper: arXiv 1712.05877."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

from zoo.compression.base import AbstractWholeTransform

if TYPE_CHECKING:
    import keras

__all__ = ["FoldBatchNorm"]


@dataclasses.dataclass(frozen=True)
class FoldBatchNorm(AbstractWholeTransform):
    """Makes each batch normalisation a part of the layer before it, where it can be; nothing is trained.

    It stands after `Prune`, whose zeros it keeps, and before `Cluster` and `QuantizeAware`, whose values it would
    multiply.

    Raises:
        InvalidValueError: `only` or `skip` is given: what folds is seen in the graph.
    """

    ORDER: ClassVar = 2

    def prepare(self, model: keras.Model) -> keras.Model:
        """Returns the folded model; `model` itself where nothing folds."""
        from zoo.compression.folding import fold_batch_norm

        return fold_batch_norm(model)
