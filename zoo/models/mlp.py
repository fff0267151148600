"""Dense layers over small images, to classes: LeNet-300-100 (LeCun et al., Gradient-based learning, 1998).

Shape glossary: `B` batch, `H` and `W` height and width of the image, `C` channels.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar

from zoo.models.base import AbstractModel, require_positive, require_rate

if TYPE_CHECKING:
    import keras

__all__ = ["DenseNet"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DenseNet(AbstractModel):
    """Dense layers with ReLU between them.

    Input `image` float32 [B, H, W, C]; output `logits` float32 [B, num_classes].

    Args:
        input_shape: height, width, channels.
        units: of each hidden layer.
        dropout: rate after each hidden layer.

    Raises:
        InvalidValueError: a value out of range.

    Example:
        >>> DenseNet.preset("lenet300", num_classes=10).build().count_params()
        266610
    """

    PRESETS: ClassVar = {"lenet300": {"input_shape": (28, 28, 1), "units": (300, 100)}}

    num_classes: int
    input_shape: tuple[int, int, int] = (28, 28, 1)
    units: tuple[int, ...] = (300, 100)
    dropout: float = 0.0

    def __post_init__(self) -> None:
        require_positive(num_classes=self.num_classes, input_shape=self.input_shape, units=self.units)
        require_rate(dropout=self.dropout)

    def build(self) -> keras.Model:
        """Returns the functional model."""
        import keras
        from keras import layers

        # === Layers ===
        image = keras.Input(self.input_shape, name="image")

        # === Functional Model ===
        x: Any = layers.Flatten(name="flatten")(image)  # [B, H * W * C]
        for index, units in enumerate(self.units, start=1):
            x = layers.Dense(units, activation="relu", name=f"dense{index}")(x)
            x = layers.Dropout(self.dropout, name=f"dropout{index}")(x)
        logits = layers.Dense(self.num_classes, name="logits")(x)
        return keras.Model({"image": image}, {"logits": logits}, name="mlp")
