"""Images: from the bytes a camera or a file gives to what a network is trained on.

Shape glossary: `B` batch, `H` height, `W` width, `C` channels.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

from zoo.errors import InvalidValueError
from zoo.features.base import AbstractInPlaceFeature, AbstractUnfittedFeature

if TYPE_CHECKING:
    import keras

__all__ = ["ImageResize", "ImageScaling"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageScaling(AbstractInPlaceFeature, AbstractUnfittedFeature):
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

    def layer(self) -> keras.Layer:
        """Returns the layer that scales `tensor`."""
        from zoo.layers.scaling import ScaleTensor

        return ScaleTensor(self.tensor, 1.0 / self.max_value, name="image_scaling")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageResize(AbstractInPlaceFeature, AbstractUnfittedFeature):
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

    def layer(self) -> keras.Layer:
        """Returns the layer that resamples `tensor`."""
        from zoo.layers.scaling import ResizeImages

        return ResizeImages(self.tensor, self.height, self.width, name="image_resize")
