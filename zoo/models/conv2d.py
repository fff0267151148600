"""Two-dimensional convolutions, a pool behind each stage, a dense head: small images to classes.

Shape glossary: `B` batch, `h` and `w` height and width of a feature map, `C` channels.
The default is the network of Keras's own MNIST example (https://keras.io/examples/vision/mnist_convnet).
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from zoo.errors import InvalidValueError
from zoo.models.base import AbstractModel, require_positive, require_rate

if TYPE_CHECKING:
    import keras

__all__ = ["Conv2DNet"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Conv2DNet(AbstractModel):
    """Stages of `convs_per_stage` convolutions and a 2x2 max-pool.

    Input `image` float32 [B, H, W, C]; output `logits` float32 [B, num_classes].

    Args:
        input_shape: height, width, channels.
        filters: channels of each stage.
        dense_units: units of the hidden dense layer; 0 for none.
        batch_norm: normalise before each activation (arXiv 1502.03167); convolutions then have no bias.
        pooling: what joins the maps to the head: all of them flattened, or their spatial average.
        dropout: rate before the last dense layer.

    Raises:
        InvalidValueError: a value out of range, or more stages than the image can be halved.

    Example:
        >>> model = Conv2DNet(input_shape=(28, 28, 1), num_classes=10).build()
        >>> model.count_params()
        225034
    """

    PRESETS: ClassVar = {
        # Caffe's LeNet-5, which the papers on compression take: 431,080 parameters.
        "lenet5": {"filters": (20, 50), "kernel_size": 5, "dense_units": 500},
        "dense64": {"filters": (32, 64), "dense_units": 64},
        "dense128": {"filters": (32, 64), "dense_units": 128},
        "batch_norm": {
            "filters": (32, 64, 128),
            "convs_per_stage": 2,
            "padding": "same",
            "batch_norm": True,
            "pooling": "average",
            "dense_units": 0,
        },
    }

    num_classes: int
    input_shape: tuple[int, int, int] = (28, 28, 1)
    filters: tuple[int, ...] = (32, 64)
    kernel_size: int = 3
    convs_per_stage: int = 1
    padding: Literal["valid", "same"] = "valid"
    dense_units: int = 128
    batch_norm: bool = False
    pooling: Literal["flatten", "average"] = "flatten"
    dropout: float = 0.5

    def __post_init__(self) -> None:
        require_positive(num_classes=self.num_classes, input_shape=self.input_shape, filters=self.filters)
        require_positive(kernel_size=self.kernel_size, convs_per_stage=self.convs_per_stage)
        require_rate(dropout=self.dropout)
        if self.dense_units < 0:
            raise InvalidValueError("dense_units", "0 (no hidden dense layer) or more", self.dense_units)
        side = min(self.input_shape[:2])
        for _ in self.filters:
            if self.padding == "valid":
                side -= self.convs_per_stage * (self.kernel_size - 1)
            side //= 2
        if side < 1:
            limit = f"few enough stages that an image of {self.input_shape[:2]} is left with at least 1x1"
            raise InvalidValueError("filters", limit, self.filters)

    def build(self) -> keras.Model:
        """Returns the functional model."""
        import keras
        from keras import layers

        # === Layers ===
        image = keras.Input(self.input_shape, name="image")

        # === Functional Model ===
        x: Any = image
        for stage, filters in enumerate(self.filters, start=1):
            for index in range(1, self.convs_per_stage + 1):
                name = f"stage{stage}_conv{index}"
                x = self._convolution(x, filters, name=name)
                if index == self.convs_per_stage:
                    # Before the ReLU, which then has a quarter to do: both keep order, so the answer is the same.
                    x = layers.MaxPooling2D(2, name=f"stage{stage}_pool")(x)  # [B, h / 2, w / 2, C]
                x = layers.ReLU(name=f"{name}_relu")(x)
        if self.pooling == "average":
            x = layers.GlobalAveragePooling2D(name="average")(x)  # [B, C]
        else:
            x = layers.Flatten(name="flatten")(x)  # [B, h * w * C]
        if self.dense_units:
            x = layers.Dense(self.dense_units, activation="relu", name="dense")(x)
        x = layers.Dropout(self.dropout, name="dropout")(x)
        logits = layers.Dense(self.num_classes, name="logits")(x)
        return keras.Model({"image": image}, {"logits": logits}, name="conv2d")

    def _convolution(self, x: keras.KerasTensor, filters: int, name: str) -> keras.KerasTensor:
        from keras import layers

        x = layers.Conv2D(filters, self.kernel_size, padding=self.padding, use_bias=not self.batch_norm, name=name)(x)
        if self.batch_norm:
            x = layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)
        return x
