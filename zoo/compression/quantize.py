"""Quantisation after training: weights rounded to a few bits per channel, nothing trained, no data."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from zoo.compression.base import AbstractAttachment, AbstractTransform, select
from zoo.compression.quantize_aware import BITS, Bits
from zoo.errors import CompressionError, InvalidValueError

if TYPE_CHECKING:
    import keras
    import numpy as np

__all__ = ["Quantize", "quantize"]


@dataclasses.dataclass(frozen=True)
class Quantize(AbstractTransform):
    """Rounds each weight to a whole number times the scale of its channel; zeros stay zeros.

    Channels and numbers are as in `QuantizeAware`, which loses less from four bits down.

    Args:
        weights: how many bits.

    Raises:
        InvalidValueError: a name that is none of these.
    """

    ORDER: ClassVar = 4
    TRAINS: ClassVar = False

    weights: Bits = "int8"

    def __post_init__(self) -> None:
        if self.weights not in BITS:
            raise InvalidValueError("weights", f"one of {', '.join(BITS)}", self.weights)

    def attach(
        self,
        weights: Mapping[str, keras.Variable],
        values: Mapping[str, np.ndarray],
        num_steps: int,
        *,
        model: keras.Model,
    ) -> AbstractAttachment:
        """Raises `CompressionError`: there is nothing to train."""
        raise CompressionError("Quantize is not trained; it rounds weights. To train them, take QuantizeAware.")

    def prepare(self, model: keras.Model) -> keras.Model:
        """Returns a copy of the model with rounded weights."""
        import numpy as np

        from zoo.compression.cloning import copied
        from zoo.compression.scales import grid_axes, rounded, starting_scale

        copy = copied(model)
        low, high = BITS[self.weights]
        for path, variable in select(copy, self).items():
            value = np.asarray(variable.numpy())
            scale = starting_scale(value, grid_axes(path, value), low, high)
            variable.assign(rounded(value, scale, low, high))
        return copy


def quantize(
    model: keras.Model, weights: Bits = "int8", *, only: tuple[str, ...] = (), skip: tuple[str, ...] = ()
) -> keras.Model:
    """Returns a copy of a functional model with weights rounded to a few bits, for the form `packed`.

    Its layers and its speed stay what they are; the model in memory is of float32.

    Args:
        model: built, functional or sequential; any layers.
        weights: how many bits: int8, int6, int5, int4, int3, int2 or ternary.
        only: names or patterns of layers.
        skip: names or patterns of layers.

    Raises:
        CompressionError: no functional model, or nothing to quantise.
        UnknownNameError: `only` or `skip` names no layer.
    """
    from zoo.compression.cloning import graph

    if graph(model) is None:
        raise CompressionError(
            f"Quantisation needs a built functional or sequential `keras.Model`. Received: {type(model).__name__}. "
            "Give a subclassed model a functional shell: `keras.Model(inputs, model(inputs))`."
        )
    return Quantize(weights, only=only, skip=skip).prepare(model)
