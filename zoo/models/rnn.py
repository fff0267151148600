"""Stacked recurrent layers over frames, a dense head: sequences to classes.

Shape glossary: `B` batch, `T` time, `D` width of a frame.
Cells: simple (Elman 1990), LSTM (Hochreiter and Schmidhuber 1997), GRU (arXiv 1406.1078, reset after the product).
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar, Literal

from zoo.models.base import AbstractModel, require_positive, require_rate

if TYPE_CHECKING:
    import keras

__all__ = ["RecurrentNet"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecurrentNet(AbstractModel):
    """One recurrent layer per entry of `units`, each over the whole sequence.

    Inputs `frames` float32 [B, T, num_features] and `padding_mask` bool [B, T], True where there is data; output
    `logits` float32 [B, num_classes]. A padded frame leaves the state as it was, so that padding changes no answer.

    Args:
        num_features: width of a frame.
        cell: kind of the recurrent cell.
        units: width of the state of each layer, in order.
        bidirectional: read each sequence in both directions and concatenate.
        pooling: the state after the last frame, or the average over frames.
        dropout: rate between the layers and before the head.

    Raises:
        InvalidValueError: a value out of range.

    Example:
        >>> model = RecurrentNet.preset("lstm128x2", num_features=12, num_classes=9).build()
        >>> [layer.units for layer in model.layers if hasattr(layer, "return_sequences")]
        [128, 128]
    """

    PRESETS: ClassVar = {
        "lstm128x2": {"cell": "lstm", "units": (128, 128)},
        "lstm128x3": {"cell": "lstm", "units": (128, 128, 128)},
    }

    num_features: int
    num_classes: int
    cell: Literal["simple", "lstm", "gru"] = "lstm"
    units: tuple[int, ...] = (128,)
    bidirectional: bool = False
    pooling: Literal["last", "average"] = "last"
    dropout: float = 0.2

    def __post_init__(self) -> None:
        require_positive(num_features=self.num_features, num_classes=self.num_classes, units=self.units)
        require_rate(dropout=self.dropout)

    def build(self) -> keras.Model:
        """Returns the functional model."""
        import keras
        from keras import layers

        from zoo.layers.masking import MaskedAveragePooling

        # === Layers ===
        cell = {"simple": layers.SimpleRNN, "lstm": layers.LSTM, "gru": layers.GRU}[self.cell]
        frames = keras.Input((None, self.num_features), name="frames")
        padding_mask = keras.Input((None,), dtype="bool", name="padding_mask")

        # === Functional Model ===
        x = frames
        for index, units in enumerate(self.units, start=1):
            sequences = self.pooling == "average" or index < len(self.units)
            layer = cell(units, return_sequences=sequences, name=f"{self.cell}{index}")
            if self.bidirectional:
                layer = layers.Bidirectional(layer, name=f"bidirectional{index}")
            if self.dropout and index > 1:
                x = layers.Dropout(self.dropout, name=f"dropout{index - 1}")(x)
            x = layer(x, mask=padding_mask)  # [B, T, units], the last one [B, units]
        if self.pooling == "average":
            x = MaskedAveragePooling(name="average")(x, padding_mask)
        x = layers.Dropout(self.dropout, name="dropout")(x)
        logits = layers.Dense(self.num_classes, name="logits")(x)
        return keras.Model({"frames": frames, "padding_mask": padding_mask}, {"logits": logits}, name="rnn")
