"""Residual networks: convolutions that learn what to add to their input; images to classes.

Papers: arXiv 1512.03385 (ResNet), 1603.05027 (normalisation and activation first), 1706.02677 (the stride in the 3x3).
Shape glossary: `B` batch, `h` and `w` height and width of a feature map, `C` channels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from zoo.errors import InvalidValueError
from zoo.models.base import AbstractModel, require_positive, require_rate

if TYPE_CHECKING:
    import keras

__all__ = ["DEPTHS", "ResNet", "Variant"]


@dataclasses.dataclass(frozen=True)
class Variant:
    """What a depth stands for: the blocks of each stage, their kind, and the stem before them."""

    blocks: tuple[int, ...]
    block: Literal["basic", "bottleneck"]
    stem: Literal["imagenet", "cifar"]


# 18 to 152 are table 1 of arXiv 1512.03385, 20 to 110 its section 4.2: 6n + 2. 8 and 14 continue these downwards.
DEPTHS: Mapping[int, Variant] = {
    18: Variant((2, 2, 2, 2), "basic", "imagenet"),
    34: Variant((3, 4, 6, 3), "basic", "imagenet"),
    50: Variant((3, 4, 6, 3), "bottleneck", "imagenet"),
    101: Variant((3, 4, 23, 3), "bottleneck", "imagenet"),
    152: Variant((3, 8, 36, 3), "bottleneck", "imagenet"),
    **{6 * n + 2: Variant((n, n, n), "basic", "cifar") for n in (1, 2, 3, 5, 7, 9, 18)},
}
_STEM_FILTERS = {"imagenet": 64, "cifar": 16}
_EXPANSION = {"basic": 1, "bottleneck": 4}

_KERAS = {"stride_in": "first", "conv_bias": True, "norm_epsilon": 1.001e-5, "norm_momentum": 0.99}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResNet(AbstractModel):
    """A stem, stages of residual blocks that halve the map and double its channels, the average over the map.

    Input `image` float32 [B, H, W, C]; output `logits` float32 [B, num_classes]. The defaults count and compute what
    torchvision's networks do: every strided kernel lies symmetrically on its pixel, whatever the size of the map.

    Args:
        depth: layers with weights, as the papers count them; a key of `DEPTHS`.
        input_shape: height, width, channels.
        blocks: blocks of each stage, for a network of another size; None for those of the depth.
        width: channels of the first stage, before a bottleneck widens them by four; None for the paper's 64 (stem
            "imagenet") or 16 (stem "cifar").
        stem: a 7x7 convolution of stride 2 and a max-pool, or one 3x3 convolution; None for that of the depth.
        shortcut: where a block changes the shape, a 1x1 convolution (option B) or zeros without weights (option A).
        stride_in: the convolution of a bottleneck that strides: the first, 1x1 (the paper) or the middle, 3x3, which
            drops no pixel (known as v1.5).
        pre_activation: normalise and activate before each convolution, not behind it.
        conv_bias: give convolutions a bias, which the normalisation behind them takes out again in training.
        norm_epsilon: what the normalisation adds to a variance.
        norm_momentum: share of its old value that a moving average keeps at each step.
        norm_synchronized: take the statistics of a batch over all replicas, not over each one's share.

    Raises:
        InvalidValueError: a value out of range.

    Example:
        >>> model = ResNet.preset("cifar20", num_classes=10, input_shape=(32, 32, 3)).build()
        >>> model.output["logits"].shape
        (None, 10)
    """

    PRESETS: ClassVar = {
        **{f"cifar{depth}": {"depth": depth, "shortcut": "zeros"} for depth in (8, 14, 20, 32, 44, 56, 110)},
        **{f"keras_resnet{depth}": {"depth": depth, **_KERAS} for depth in (50, 101, 152)},
    }

    num_classes: int
    depth: int = 50
    input_shape: tuple[int, int, int] = (224, 224, 3)
    blocks: tuple[int, ...] | None = None
    width: int | None = None
    stem: Literal["imagenet", "cifar"] | None = None
    shortcut: Literal["projection", "zeros"] = "projection"
    stride_in: Literal["first", "middle"] = "middle"
    pre_activation: bool = False
    conv_bias: bool = False
    norm_epsilon: float = 1e-5
    norm_momentum: float = 0.9
    norm_synchronized: bool = False

    def __post_init__(self) -> None:
        if self.depth not in DEPTHS:
            raise InvalidValueError("depth", f"one of {', '.join(map(str, sorted(DEPTHS)))}", self.depth)
        require_positive(num_classes=self.num_classes, input_shape=self.input_shape)
        given = {"blocks": self.blocks, "width": self.width}
        require_positive(**{field: value for field, value in given.items() if value is not None})
        require_rate(norm_momentum=self.norm_momentum)
        if self.norm_epsilon <= 0:
            raise InvalidValueError("norm_epsilon", "above 0", self.norm_epsilon)

    def build(self) -> keras.Model:
        """Returns the functional model."""
        import keras
        from keras import layers

        # === Layers ===
        variant = DEPTHS[self.depth]
        stem = self.stem or variant.stem
        width = self.width or _STEM_FILTERS[variant.stem]
        image = keras.Input(self.input_shape, name="image")
        block = self._basic if variant.block == "basic" else self._bottleneck

        # === Functional Model ===
        if stem == "imagenet":
            x = self._conv(image, width, 7, 2, "stem_conv")
            x = self._norm_relu(x, "stem_norm", "stem_relu")
            x = layers.ZeroPadding2D(1, name="stem_pool_pad")(x)  # behind a ReLU, as good as minus infinity
            x = layers.MaxPooling2D(3, strides=2, name="stem_pool")(x)  # [B, H / 4, W / 4, C]
        else:
            x = self._conv(image, width, 3, 1, "stem_conv")
            x = self._norm_relu(x, "stem_norm", "stem_relu")
        for stage, num_blocks in enumerate(self.blocks or variant.blocks):
            for index in range(num_blocks):
                stride = 2 if stage and not index else 1
                x = self._residual(x, block, width << stage, stride, f"stage{stage + 1}_block{index + 1}")
        if self.pre_activation:
            x = self._norm_relu(x, "norm", "relu")
        x = layers.GlobalAveragePooling2D(name="average")(x)  # [B, C]
        logits = layers.Dense(self.num_classes, name="logits")(x)
        return keras.Model({"image": image}, {"logits": logits}, name="resnet")

    def _residual(self, x: Any, block: Any, filters: int, stride: int, name: str) -> Any:
        """Adds a block's answer to its input, or to a shortcut where the shapes differ."""
        from keras import layers

        from zoo.layers.residual import ZeroShortcut

        shortcut = x
        # The stem's own normalisation and ReLU are those of the very first block (arXiv 1603.05027, section 3).
        if self.pre_activation and name != "stage1_block1":
            x = self._norm_relu(x, f"{name}_norm1", f"{name}_relu1")
        out = filters * _EXPANSION[DEPTHS[self.depth].block]
        if stride > 1 or shortcut.shape[-1] != out:
            if self.shortcut == "zeros":
                shortcut = ZeroShortcut(out, stride, name=f"{name}_shortcut_zeros")(shortcut)
            else:
                shortcut = self._conv(x, out, 1, stride, f"{name}_shortcut_conv")
                if not self.pre_activation:
                    shortcut = self._norm(shortcut, f"{name}_shortcut_norm")
        x = layers.Add(name=f"{name}_add")([shortcut, block(x, filters, stride, name)])
        return x if self.pre_activation else layers.ReLU(name=f"{name}_relu")(x)

    def _basic(self, x: Any, filters: int, stride: int, name: str) -> Any:
        """Two 3x3 convolutions."""
        return self._branch(x, ((filters, 3, stride), (filters, 3, 1)), name)

    def _bottleneck(self, x: Any, filters: int, stride: int, name: str) -> Any:
        """A 1x1 convolution down, a 3x3, a 1x1 up to four times the channels."""
        first, middle = (stride, 1) if self.stride_in == "first" else (1, stride)
        return self._branch(x, ((filters, 1, first), (filters, 3, middle), (filters * 4, 1, 1)), name)

    def _branch(self, x: Any, convolutions: tuple[tuple[int, int, int], ...], name: str) -> Any:
        """Convolutions of filters, kernel size and stride; the input of the first is active already."""
        from keras import layers

        for index, (filters, kernel_size, stride) in enumerate(convolutions, start=1):
            if self.pre_activation and index > 1:
                x = self._norm_relu(x, f"{name}_norm{index}", f"{name}_relu{index}")
            x = self._conv(x, filters, kernel_size, stride, f"{name}_conv{index}")
            if not self.pre_activation:
                x = self._norm(x, f"{name}_norm{index}")
                if index < len(convolutions):
                    x = layers.ReLU(name=f"{name}_relu{index}")(x)
        return x

    def _conv(self, x: Any, filters: int, kernel_size: int, stride: int, name: str) -> Any:
        from keras import layers

        padding = "same"
        if stride > 1 and kernel_size > 1:
            # "same" would pad maps of even size at the bottom and on the right only.
            x, padding = layers.ZeroPadding2D(kernel_size // 2, name=f"{name}_pad")(x), "valid"
        return layers.Conv2D(
            filters,
            kernel_size,
            strides=stride,
            padding=padding,
            use_bias=self.conv_bias,
            kernel_initializer="he_normal",  # arXiv 1502.01852
            name=name,
        )(x)

    def _norm_relu(self, x: Any, norm: str, relu: str) -> Any:
        from keras import layers

        return layers.ReLU(name=relu)(self._norm(x, norm))

    def _norm(self, x: Any, name: str) -> Any:
        from keras import layers

        return layers.BatchNormalization(
            momentum=self.norm_momentum,
            epsilon=self.norm_epsilon,
            synchronized=self.norm_synchronized,
            name=name,
        )(x)
