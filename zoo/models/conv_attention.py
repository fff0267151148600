"""Attention over the pixels of feature maps, its queries, keys and values made by convolutions: images to classes.

Paper: arXiv 2103.15808 (CvT). Shape glossary: `B` batch, `h` and `w` height and width of a stage's map, `D` its width,
`n` tokens, which are the map's pixels.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar

from zoo.errors import InvalidValueError
from zoo.models.base import AbstractModel, require_positive, require_rate

if TYPE_CHECKING:
    import keras

__all__ = ["ConvAttentionNet"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvAttentionNet(AbstractModel):
    """Stages of a strided convolution that makes tokens and of attention blocks over them, the average over tokens.

    Input `image` float32 [B, H, W, C]; output `logits` float32 [B, num_classes]. Queries, keys and values each pass a
    depthwise convolution before their projections, and those of keys and values stride, so that attention costs less.
    Positions are told by the convolutions alone.

    The paper normalises behind each depthwise convolution by batch; here the layer normalisation before it is all, so
    that an example's answer depends on no other. The paper classifies by a token of its own, we by the average.

    Args:
        input_shape: height, width, channels.
        widths: `D` of each stage; divisible by its heads.
        depths: blocks of each stage.
        num_heads: attention heads of each stage.
        strides: of the convolution that makes each stage's tokens.
        patch_sizes: pixels, each way, that kernel sees; odd.
        kernel_size: pixels, each way, that a depthwise kernel of a projection sees; odd.
        key_stride: stride of keys and values.
        mlp_ratio: hidden units of a block's perceptron, in multiples of `D`.
        dropout: rate on attention weights, on both branches of a block and before the head.

    Raises:
        InvalidValueError: a value out of range, or tuples of unequal length.

    Example:
        >>> model = ConvAttentionNet.preset("small28", num_classes=10).build()
        >>> model.get_layer("stage2_tokens").output.shape
        (None, 4, 4, 96)
    """

    PRESETS: ClassVar = {
        "small28": {"input_shape": (28, 28, 1)},
        "cvt13": {
            "input_shape": (224, 224, 3),
            "widths": (64, 192, 384),
            "depths": (1, 2, 10),
            "num_heads": (1, 3, 6),
            "strides": (4, 2, 2),
            "patch_sizes": (7, 3, 3),
            "mlp_ratio": 4,
        },
    }

    num_classes: int
    input_shape: tuple[int, int, int] = (28, 28, 1)
    widths: tuple[int, ...] = (48, 96)
    depths: tuple[int, ...] = (1, 2)
    num_heads: tuple[int, ...] = (2, 4)
    strides: tuple[int, ...] = (4, 2)
    patch_sizes: tuple[int, ...] = (7, 3)
    kernel_size: int = 3
    key_stride: int = 2
    mlp_ratio: int = 2
    dropout: float = 0.0

    def __post_init__(self) -> None:
        require_positive(num_classes=self.num_classes, input_shape=self.input_shape, kernel_size=self.kernel_size)
        require_positive(key_stride=self.key_stride, mlp_ratio=self.mlp_ratio)
        require_rate(dropout=self.dropout)
        for field in ("widths", "depths", "num_heads", "strides", "patch_sizes"):
            values = getattr(self, field)
            require_positive(**{field: values})
            if len(values) != len(self.widths):
                stages = f"of {len(self.widths)} numbers, one for each stage that `widths` names"
                raise InvalidValueError(field, stages, values)
        for field, sizes in (("patch_sizes", self.patch_sizes), ("kernel_size", (self.kernel_size,))):
            if any(size % 2 == 0 for size in sizes):
                raise InvalidValueError(field, "odd, so that a kernel lies symmetrically", getattr(self, field))
        if any(width % heads for width, heads in zip(self.widths, self.num_heads, strict=True)):
            raise InvalidValueError("widths", f"divisible by num_heads={self.num_heads}", self.widths)

    def build(self) -> keras.Model:
        """Returns the functional model."""
        import keras
        from keras import layers

        # === Layers ===
        image = keras.Input(self.input_shape, name="image")

        # === Functional Model ===
        x: Any = image
        for stage, width in enumerate(self.widths):
            name = f"stage{stage + 1}"
            border = self.patch_sizes[stage] // 2
            x = layers.ZeroPadding2D(border, name=f"{name}_pad")(x)
            x = layers.Conv2D(width, self.patch_sizes[stage], strides=self.strides[stage], name=f"{name}_conv")(x)
            x = layers.LayerNormalization(epsilon=1e-6, name=f"{name}_tokens")(x)  # [B, h, w, D]
            for index in range(1, self.depths[stage] + 1):
                x = self._block(x, self.num_heads[stage], f"{name}_block{index}")
        x = layers.LayerNormalization(epsilon=1e-6, name="norm")(x)
        x = layers.GlobalAveragePooling2D(name="average")(x)  # [B, D]
        x = layers.Dropout(self.dropout, name="dropout")(x)
        logits = layers.Dense(self.num_classes, name="logits")(x)
        return keras.Model({"image": image}, {"logits": logits}, name="conv_attention")

    def _block(self, x: Any, num_heads: int, name: str) -> Any:
        """Adds attention, and then a perceptron's answer, to `x` [B, h, w, D]."""
        from keras import layers

        width = x.shape[-1]
        y = layers.LayerNormalization(epsilon=1e-6, name=f"{name}_attention_norm")(x)
        y = layers.Dropout(self.dropout, name=f"{name}_attention_dropout")(self._attend(y, num_heads, name))
        x = layers.Add(name=f"{name}_attention_add")([x, y])
        y = layers.LayerNormalization(epsilon=1e-6, name=f"{name}_mlp_norm")(x)
        y = layers.Dense(self.mlp_ratio * width, activation="gelu", name=f"{name}_mlp1")(y)
        y = layers.Dropout(self.dropout, name=f"{name}_mlp_dropout")(layers.Dense(width, name=f"{name}_mlp2")(y))
        return layers.Add(name=f"{name}_mlp_add")([x, y])

    def _attend(self, x: Any, num_heads: int, name: str) -> Any:
        """Convolutional self-attention over a map: [B, h, w, D] -> [B, h, w, D]."""
        from keras import layers

        from zoo.layers.attention import MatMulAttention

        height, width, depth = x.shape[1:]
        # The layer's own projections are the pointwise halves of the separable convolutions.
        attention = MatMulAttention(num_heads, depth // num_heads, dropout=self.dropout, name=f"{name}_attention")
        query = self._tokens(x, 1, f"{name}_query")
        key = self._tokens(x, self.key_stride, f"{name}_key")
        value = self._tokens(x, self.key_stride, f"{name}_value")
        y = attention(query, value, key)  # [B, h * w, D]
        return layers.Reshape((height, width, depth), name=f"{name}_attention_map")(y)

    def _tokens(self, x: Any, stride: int, name: str) -> Any:
        """A depthwise convolution, its map laid out as tokens: [B, h, w, D] -> [B, n, D]."""
        from keras import layers

        # Padded here, since "same" would pad maps of even size at the bottom and on the right only.
        x = layers.ZeroPadding2D(self.kernel_size // 2, name=f"{name}_pad")(x)
        x = layers.DepthwiseConv2D(self.kernel_size, strides=stride, use_bias=False, name=f"{name}_conv")(x)
        return layers.Reshape((-1, x.shape[-1]), name=f"{name}_tokens")(x)
