"""One-dimensional convolutions over frames, a pool behind each stage, a dense head: sequences to classes.

Shape glossary: `B` batch, `T` time (halved by each stage), `D` width of a frame.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Literal

from zoo.errors import InvalidValueError
from zoo.models.base import AbstractModel, require_positive, require_rate

if TYPE_CHECKING:
    import keras

__all__ = ["Conv1DNet"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Conv1DNet(AbstractModel):
    """Stages of one convolution, one activation and one max-pool by two.

    Inputs `frames` float32 [B, T, num_features] and `padding_mask` bool [B, T], True where there is data; output
    `logits` float32 [B, num_classes]. Padding changes no answer: padded frames are set to zero before each
    convolution, and kernels of odd width lie symmetrically on their frame.

    Args:
        num_features: width of a frame.
        filters: channels of each stage.
        kernel_size: frames a kernel sees; odd.
        pooling: what is taken over time before the head.
        dense_units: units of the hidden dense layer; 0 for none.
        dropout: rate before the last dense layer.

    Raises:
        InvalidValueError: a value out of range.

    Example:
        >>> model = Conv1DNet(num_features=12, num_classes=9).build()
        >>> sorted(model.input)
        ['frames', 'padding_mask']
    """

    num_features: int
    num_classes: int
    filters: tuple[int, ...] = (64, 128)
    kernel_size: int = 3
    pooling: Literal["average", "max"] = "average"
    dense_units: int = 256
    dropout: float = 0.5

    def __post_init__(self) -> None:
        require_positive(num_features=self.num_features, num_classes=self.num_classes, filters=self.filters)
        require_positive(kernel_size=self.kernel_size)
        require_rate(dropout=self.dropout)
        if self.kernel_size % 2 == 0:
            raise InvalidValueError("kernel_size", "odd, so that a kernel lies symmetrically", self.kernel_size)
        if self.dense_units < 0:
            raise InvalidValueError("dense_units", "0 (no hidden dense layer) or more", self.dense_units)

    def build(self) -> keras.Model:
        """Returns the functional model."""
        import keras
        from keras import layers

        from zoo.layers.masking import MaskedAveragePooling, MaskedMaxPooling, MaskPadding, PoolMask

        # === Layers ===
        frames = keras.Input((None, self.num_features), name="frames")
        padding_mask = keras.Input((None,), dtype="bool", name="padding_mask")
        pool = {"average": MaskedAveragePooling, "max": MaskedMaxPooling}[self.pooling]

        # === Functional Model ===
        x, mask = MaskPadding(name="mask_frames")(frames, padding_mask), padding_mask
        for stage, filters in enumerate(self.filters, start=1):
            name = f"stage{stage}"
            x = layers.Conv1D(filters, self.kernel_size, padding="same", name=f"{name}_conv")(x)
            x = layers.ReLU(name=f"{name}_relu")(x)
            x = MaskPadding(name=f"{name}_mask")(x, mask)
            # Zeros never win over what a ReLU leaves, so a window half in the padding is its data's maximum.
            x = layers.MaxPooling1D(2, padding="same", name=f"{name}_pool")(x)  # [B, T / 2, filters]
            mask = PoolMask(2, name=f"{name}_pool_mask")(mask)
        x = pool(name=self.pooling)(x, mask)  # [B, filters]
        if self.dense_units:
            x = layers.Dense(self.dense_units, activation="relu", name="dense")(x)
        x = layers.Dropout(self.dropout, name="dropout")(x)
        logits = layers.Dense(self.num_classes, name="logits")(x)
        return keras.Model({"frames": frames, "padding_mask": padding_mask}, {"logits": logits}, name="conv1d")
