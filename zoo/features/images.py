"""Images: from the bytes a camera or a file gives to what a network is trained on.

Shape glossary: `B` batch, `H` height, `W` width, `C` channels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, ClassVar, Self

from zoo.errors import InvalidValueError
from zoo.features.base import AbstractFeature

if TYPE_CHECKING:
    import keras
    import numpy as np

__all__ = ["ImageResize", "ImageScaling", "RandomShift"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageScaling(AbstractFeature):
    """Scales pixels from `0..max_value` to `0..1`: uint8 [B, H, W, C] -> float32 [B, H, W, C].

    Args:
        max_value: the pixel value that becomes 1; above 0.
        tensor: name of the tensor.
    """

    COSTLY: ClassVar = False
    RANDOM: ClassVar = False

    max_value: float = 255.0
    tensor: str = "image"

    def __post_init__(self) -> None:
        if self.max_value <= 0:
            raise InvalidValueError("max_value", "above 0", self.max_value)

    def reads(self) -> tuple[str, ...]:
        """Returns `tensor`."""
        return (self.tensor,)

    def writes(self) -> tuple[str, ...]:
        """Returns `tensor`."""
        return (self.tensor,)

    def fit(self, batches: Iterable[Mapping[str, np.ndarray]]) -> Self:
        """Returns itself: the scale is given, not learned."""
        return self

    def layer(self) -> keras.Layer:
        """Returns the layer that scales `tensor`."""
        from zoo.layers.scaling import ScaleTensor

        return ScaleTensor(self.tensor, 1.0 / self.max_value, name="image_scaling")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageResize(AbstractFeature):
    """Resamples images of one size to another: [B, H, W, C] of any dtype -> float32 [B, height, width, C].

    Bilinear, and smoothed before it where images shrink. Values keep their range. Proportions are not kept.

    Args:
        height: in pixels.
        width: in pixels.
        tensor: name of the tensor.
    """

    COSTLY: ClassVar = True
    RANDOM: ClassVar = False

    height: int
    width: int
    tensor: str = "image"

    def __post_init__(self) -> None:
        for field in ("height", "width"):
            if getattr(self, field) < 1:
                raise InvalidValueError(field, "at least 1", getattr(self, field))

    def reads(self) -> tuple[str, ...]:
        """Returns `tensor`."""
        return (self.tensor,)

    def writes(self) -> tuple[str, ...]:
        """Returns `tensor`."""
        return (self.tensor,)

    def fit(self, batches: Iterable[Mapping[str, np.ndarray]]) -> Self:
        """Returns itself: the size is given, not learned."""
        return self

    def layer(self) -> keras.Layer:
        """Returns the layer that resamples `tensor`."""
        from zoo.layers.scaling import ResizeImages

        return ResizeImages(self.tensor, self.height, self.width, name="image_resize")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RandomShift(AbstractFeature):
    """Moves training images at random, [B, H, W, C] of any dtype; answers and evaluation see them as they are.

    Args:
        pixels: the farthest move in each direction; at least 1.
        tensor: name of the tensor.
    """

    COSTLY: ClassVar = False
    RANDOM: ClassVar = True

    pixels: int = 2
    tensor: str = "image"

    def __post_init__(self) -> None:
        if self.pixels < 1:
            raise InvalidValueError("pixels", "at least 1", self.pixels)

    def reads(self) -> tuple[str, ...]:
        """Returns `tensor`."""
        return (self.tensor,)

    def writes(self) -> tuple[str, ...]:
        """Returns `tensor`."""
        return (self.tensor,)

    def fit(self, batches: Iterable[Mapping[str, np.ndarray]]) -> Self:
        """Returns itself: nothing is learned."""
        return self

    def layer(self) -> keras.Layer:
        """Returns the layer that moves `tensor` in training."""
        from zoo.layers.augmentation import ShiftImages

        return ShiftImages(self.tensor, self.pixels, name="random_shift")
