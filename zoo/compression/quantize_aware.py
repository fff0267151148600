"""Quantisation-aware training: weights on a grid of a few bits per channel, the steps of the grid trained.

Papers: arXiv 1712.05877 (simulated quantisation), 1902.08153 (learned step size).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from zoo.compression.base import AbstractAttachment, AbstractTransform, check_float32
from zoo.errors import InvalidValueError

if TYPE_CHECKING:
    import keras
    import numpy as np

__all__ = ["BITS", "Bits", "QuantizeAware"]

Bits = Literal["int8", "int6", "int5", "int4", "int3", "int2", "ternary"]

# Whole numbers from -n to n, so that zero stays zero; 2 bits have no more than ternary then, but one step below.
BITS = {
    "int8": (-127, 127),
    "int6": (-31, 31),
    "int5": (-15, 15),
    "int4": (-7, 7),
    "int3": (-3, 3),
    "int2": (-2, 1),
    "ternary": (-1, 1),
}


@dataclasses.dataclass(frozen=True)
class QuantizeAware(AbstractTransform):
    """Makes each weight a whole number times the scale of its channel; zeros stay zeros.

    A channel is an output of the layer: the last axis of a kernel, the heads and widths of an attention's projections,
    a row of an embedding. A tensor that was clustered before has one scale, so that the number of its values does not
    grow.

    Args:
        weights: `int8` is -127 to 127, `int4` -7 to 7, `int2` -2 to 1, `ternary` -1 to 1; so on with others.
        activations: `int8` also puts layers into the model that round what flows between layers to 256 steps of a range
            that training follows; None leaves them.

    Raises:
        InvalidValueError: a name that is not one of these.
    """

    ORDER: ClassVar = 4

    weights: Bits = "int8"
    _: dataclasses.KW_ONLY
    activations: Literal["int8"] | None = None

    def __post_init__(self) -> None:
        if self.weights not in BITS:
            raise InvalidValueError("weights", f"one of {', '.join(BITS)}", self.weights)
        if self.activations not in (None, "int8"):
            raise InvalidValueError("activations", "int8 or None", self.activations)

    def check(self, weights: Mapping[str, keras.Variable]) -> None:
        """Raises `CompressionError` for weights not of float32."""
        check_float32(self, weights)

    def prepare(self, model: keras.Model) -> keras.Model:
        """Returns the model with quantisers of activations, where they are asked for."""
        from zoo.compression.activations import quantize_activations

        return quantize_activations(model) if self.activations else model

    def attach(
        self,
        weights: Mapping[str, keras.Variable],
        values: Mapping[str, np.ndarray],
        num_steps: int,
        *,
        model: keras.Model,
    ) -> AbstractAttachment:
        """Returns the scales at work, placed where they lose least of `values`."""
        from zoo.compression.scales import Scales

        return Scales(self.weights, weights, values)
