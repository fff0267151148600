"""Biases, scales and moving statistics rounded to half their bytes, once kernels take a bit each and these are left."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

from zoo.compression.base import AbstractWholeTransform

if TYPE_CHECKING:
    import keras

__all__ = ["RoundVectors"]

_AXES = 1  # kernels, which other transforms work on, have more


@dataclasses.dataclass(frozen=True)
class RoundVectors(AbstractWholeTransform):
    """Rounds each float32 weight of one axis or none to the nearest bfloat16, relative error at most 2^-9; no training.

    Their type stays float32; the packed form writes the half that is zero in next to no bytes.

    Raises:
        InvalidValueError: `only` or `skip`, which choose among kernels, is given.
    """

    ORDER: ClassVar = 5

    def prepare(self, model: keras.Model) -> keras.Model:
        """Returns a copy of the model with rounded vectors."""
        import ml_dtypes
        import numpy as np

        from zoo.compression.cloning import copied

        copy = copied(model)
        for variable in copy.weights:
            if variable.dtype == "float32" and len(variable.shape) <= _AXES:
                value = np.asarray(variable.numpy())
                variable.assign(value.astype(ml_dtypes.bfloat16).astype("float32"))
        return copy
