"""Changes of training examples at random, so that a model learns what does not matter; answers see nothing of them.

Draws depend on the batch itself: equal batches are changed equally, and shuffling changes them anew in each epoch.

Shape glossary: `B` batch, `H` height, `W` width, `C` channels, `N` classes, `T` time, `D` width of a frame.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar, Literal

from zoo.errors import InvalidValueError
from zoo.features.base import AbstractInPlaceFeature, AbstractUnfittedFeature

if TYPE_CHECKING:
    import keras

__all__ = ["AbstractAugmentation", "Cutout", "Mixup", "RandomAffine", "RandomFlip", "RandomShift", "SpecAugment"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class AbstractAugmentation(AbstractUnfittedFeature):
    """A random change of training examples that learns nothing."""

    COSTLY: ClassVar = False
    RANDOM: ClassVar = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class RandomShift(AbstractInPlaceFeature, AbstractAugmentation):
    """Moves training images at random, [B, H, W, C] of any dtype; answers and evaluation see them as they are.

    Args:
        pixels: the farthest move in each direction; at least 1.
        tensor: name of the tensor.
    """

    pixels: int = 2
    tensor: str = "image"

    def __post_init__(self) -> None:
        if self.pixels < 1:
            raise InvalidValueError("pixels", "at least 1", self.pixels)

    def layer(self) -> keras.Layer:
        """Returns the layer that moves `tensor` in training."""
        from zoo.layers.augmentation import ShiftImages

        return ShiftImages(self.tensor, self.pixels, name="random_shift")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RandomFlip(AbstractInPlaceFeature, AbstractAugmentation):
    """Turns training images left to right, [B, H, W, C] of any dtype. Not for digits or letters.

    Args:
        probability: of each image to be turned, above 0 and at most 1.
        tensor: name of the images.
    """

    probability: float = 0.5
    tensor: str = "image"

    def __post_init__(self) -> None:
        if not 0 < self.probability <= 1:
            raise InvalidValueError("probability", "above 0 and at most 1", self.probability)

    def layer(self) -> keras.Layer:
        """Returns the layer that turns `tensor` in training."""
        from zoo.layers.augmentation import FlipImages

        return FlipImages(self.tensor, self.probability, name="random_flip")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RandomAffine(AbstractInPlaceFeature, AbstractAugmentation):
    """Turns, scales and moves training images about their centre, [B, H, W, C], in one bilinear resampling.

    Any dtype that the images have is kept; integers are rounded. The three changes are drawn evenly and independently.

    Args:
        degrees: the largest angle either way, up to 180.
        zoom: the largest change of size, from `1 - zoom` to `1 + zoom` times; below 1.
        pixels: the largest move along each axis, fractions included.
        fill: what comes in at the edge: "constant" zeros, the "nearest" pixel, or the "reflect"ed image.
        tensor: name of the images.
    """

    degrees: float = 10.0
    zoom: float = 0.1
    pixels: float = 2.0
    fill: Literal["constant", "nearest", "reflect"] = "constant"
    tensor: str = "image"

    def __post_init__(self) -> None:
        if not 0 <= self.degrees <= 180:
            raise InvalidValueError("degrees", "0 to 180", self.degrees)
        if not 0 <= self.zoom < 1:
            raise InvalidValueError("zoom", "at least 0 and below 1", self.zoom)
        if self.pixels < 0:
            raise InvalidValueError("pixels", "at least 0", self.pixels)
        if not (self.degrees or self.zoom or self.pixels):
            raise InvalidValueError("degrees", "above 0 where zoom and pixels are 0", self.degrees)
        if self.fill not in ("constant", "nearest", "reflect"):
            raise InvalidValueError("fill", "'constant', 'nearest' or 'reflect'", self.fill)

    def layer(self) -> keras.Layer:
        """Returns the layer that changes `tensor` in training."""
        from zoo.layers.augmentation import WarpImages

        return WarpImages(self.tensor, self.degrees, self.zoom, self.pixels, self.fill, name="random_affine")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cutout(AbstractInPlaceFeature, AbstractAugmentation):
    """Sets a square of each training image to zero, [B, H, W, C] of any dtype: https://arxiv.org/abs/1708.04552.

    The square's centre may be any pixel, so that part of it may lie outside. The paper normalises images to mean 0
    before; here zero is whatever zero means where the feature stands.

    Args:
        pixels: side of the square; at least 1. The paper takes 16 of 32 for CIFAR-10 and 8 for CIFAR-100.
        tensor: name of the images.
    """

    pixels: int = 8
    tensor: str = "image"

    def __post_init__(self) -> None:
        if self.pixels < 1:
            raise InvalidValueError("pixels", "at least 1", self.pixels)

    def layer(self) -> keras.Layer:
        """Returns the layer that cuts squares out of `tensor` in training."""
        from zoo.layers.augmentation import CutOut

        return CutOut(self.tensor, self.pixels, name="cutout")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mixup(AbstractAugmentation):
    """Mixes each training example with the next of its shuffled batch: https://arxiv.org/abs/1710.09412.

    In training, `tensor` [B, H, W, C] of any dtype becomes float32, and `label` int [B] becomes float32 [B, N], the
    share of each class. Otherwise both stay as they are. The paper draws one share for a batch; here each example has
    its own. A class that is not in `0..N-1` raises `InvalidArgumentError` in the graph.

    Args:
        num_classes: `N`, at least 2.
        alpha: shares are drawn from Beta(alpha, alpha): near 0 hardly mixed, 1 evenly; above 0.
        tensor: name of the images.
        label: name of the class ids.
    """

    num_classes: int
    alpha: float = 0.2
    tensor: str = "image"
    label: str = "label"

    def __post_init__(self) -> None:
        if self.num_classes < 2:
            raise InvalidValueError("num_classes", "at least 2", self.num_classes)
        if self.alpha <= 0:
            raise InvalidValueError("alpha", "above 0", self.alpha)

    def reads(self) -> tuple[str, ...]:
        """Returns `tensor` and `label`."""
        return (self.tensor, self.label)

    def writes(self) -> tuple[str, ...]:
        """Returns `tensor` and `label`."""
        return (self.tensor, self.label)

    def layer(self) -> keras.Layer:
        """Returns the layer that mixes `tensor` and `label` in training."""
        from zoo.layers.augmentation import MixUp

        return MixUp(self.tensor, self.label, self.num_classes, self.alpha, name="mixup")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpecAugment(AbstractInPlaceFeature, AbstractAugmentation):
    """Hides spans of time and bands of values in training: float [B, T, D] -> [B, T, D]: arXiv:1904.08779.

    Hidden values become 0, the mean where a normalisation stands before. Each length is drawn evenly from 0 to the
    largest, then its place within the sequence's own frames. The paper's time warping is left out.

    Args:
        num_spans: spans of time in each sequence; they may overlap.
        max_span: the longest, in frames.
        max_share: the longest, as a share of the sequence's own frames; above 0, at most 1.
        num_bands: bands of neighbouring values.
        max_band: the widest, in values of a frame; below `D`, or the layer raises `DataError`.
        tensor: name of the frames; their mask is `padding_mask` bool [B, T], where there is one.
    """

    num_spans: int = 2
    max_span: int = 40
    max_share: float = 0.2
    num_bands: int = 2
    max_band: int = 8
    tensor: str = "frames"

    def __post_init__(self) -> None:
        for field in ("num_spans", "num_bands"):
            if getattr(self, field) < 0:
                raise InvalidValueError(field, "at least 0", getattr(self, field))
        if not self.num_spans + self.num_bands:
            raise InvalidValueError("num_spans", "at least 1 where num_bands is 0", self.num_spans)
        for field in ("max_span", "max_band"):
            if getattr(self, field) < 1:
                raise InvalidValueError(field, "at least 1", getattr(self, field))
        if not 0 < self.max_share <= 1:
            raise InvalidValueError("max_share", "above 0 and at most 1", self.max_share)

    def layer(self) -> keras.Layer:
        """Returns the layer that hides parts of `tensor` in training."""
        from zoo.layers.augmentation import MaskFrames

        spans, bands = (self.num_spans, self.max_span), (self.num_bands, self.max_band)
        return MaskFrames(self.tensor, spans, self.max_share, bands, name="spec_augment")
