"""One-dimensional convolutions over frames, a pool behind each stage, a dense head: sequences to classes.

Shape glossary: `B` batch, `T` time (halved by each stage), `D` width of a frame.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Literal

from zoo.errors import InvalidValueError
from zoo.models.base import AbstractModel, require_positive, require_rate

if TYPE_CHECKING:
    import keras

__all__ = ["Conv1DNet"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Conv1DNet(AbstractModel):
    """Stages of `convs_per_stage` convolutions and activations, and one max-pool by two.

    Inputs `frames` float32 [B, T, num_features] and `padding_mask` bool [B, T], True where there is data; output
    `logits` float32 [B, num_classes]. Padding changes no answer: padded frames are set to zero before each
    convolution, and kernels of odd width lie symmetrically on their frame.

    Args:
        num_features: width of a frame.
        filters: channels of each stage.
        kernel_size: frames a kernel sees; odd.
        convs_per_stage: convolutions before each pool.
        batch_norm: normalise before each activation, by the frames that are data alone (arXiv 1502.03167).
        residual: add what enters a stage, through a convolution of one frame where the width changes, to what its last
            convolution gives, before the activation (arXiv 1512.03385).
        pooling: what is taken over time before the head: the average, the maximum, or an average weighted by a
            learned query.
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
    convs_per_stage: int = 1
    batch_norm: bool = False
    residual: bool = False
    pooling: Literal["average", "max", "attention"] = "average"
    dense_units: int = 256
    dropout: float = 0.5

    def __post_init__(self) -> None:
        require_positive(num_features=self.num_features, num_classes=self.num_classes, filters=self.filters)
        require_positive(kernel_size=self.kernel_size, convs_per_stage=self.convs_per_stage)
        require_rate(dropout=self.dropout)
        if self.kernel_size % 2 == 0:
            raise InvalidValueError("kernel_size", "odd, so that a kernel lies symmetrically", self.kernel_size)
        if self.dense_units < 0:
            raise InvalidValueError("dense_units", "0 (no hidden dense layer) or more", self.dense_units)

    def build(self) -> keras.Model:
        """Returns the functional model."""
        import keras
        from keras import layers

        from zoo.layers.attention import MaskedAttentionPooling
        from zoo.layers.masking import MaskedAveragePooling, MaskedMaxPooling, MaskPadding, PoolMask

        # === Layers ===
        frames = keras.Input((None, self.num_features), name="frames")
        padding_mask: Any = keras.Input((None,), dtype="bool", name="padding_mask")
        kinds = {"average": MaskedAveragePooling, "max": MaskedMaxPooling, "attention": MaskedAttentionPooling}

        # === Functional Model ===
        x, mask = MaskPadding(name="mask_frames")(frames, padding_mask), padding_mask
        for stage, filters in enumerate(self.filters, start=1):
            name = f"stage{stage}"
            x = self._stage(x, mask, filters, name)
            # Zeros never win over what a ReLU leaves, so a window half in the padding is its data's maximum.
            x = layers.MaxPooling1D(2, padding="same", name=f"{name}_pool")(x)  # [B, T / 2, filters]
            mask = PoolMask(2, name=f"{name}_pool_mask")(mask)
        x = kinds[self.pooling](name=self.pooling)(x, mask)  # [B, filters]
        if self.dense_units:
            x = layers.Dense(self.dense_units, activation="relu", name="dense")(x)
        x = layers.Dropout(self.dropout, name="dropout")(x)
        logits = layers.Dense(self.num_classes, name="logits")(x)
        return keras.Model({"frames": frames, "padding_mask": padding_mask}, {"logits": logits}, name="conv1d")

    def _stage(self, x: Any, mask: Any, filters: int, name: str) -> Any:
        """Returns convolutions and activations of a stage, zeros where the mask is false: [B, T, filters]."""
        from keras import layers

        from zoo.layers.masking import MaskPadding

        entered = x
        for index in range(1, self.convs_per_stage + 1):
            part = f"{name}_conv{index}" if self.convs_per_stage > 1 else f"{name}_conv"
            use_bias = not self.batch_norm
            x = layers.Conv1D(filters, self.kernel_size, padding="same", use_bias=use_bias, name=part)(x)
            if self.batch_norm:
                x = layers.BatchNormalization(momentum=0.9, name=f"{part}_norm")(x, mask=mask)
            if self.residual and index == self.convs_per_stage:
                if entered.shape[-1] != filters:
                    entered = layers.Conv1D(filters, 1, use_bias=False, name=f"{name}_shortcut")(entered)
                x = layers.Add(name=f"{name}_add")([entered, x])
            x = layers.ReLU(name=f"{part}_relu" if self.convs_per_stage > 1 else f"{name}_relu")(x)
            x = MaskPadding(name=f"{part}_mask" if self.convs_per_stage > 1 else f"{name}_mask")(x, mask)
        return x
