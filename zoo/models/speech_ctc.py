"""Speech to text: convolutional subsampling, an encoder over frames, a class per frame for CTC.

Shape glossary: `B` batch, `T` time, `t` time behind the subsampling, `D` width, `S` symbols, the blank last.
Papers: CTC Graves et al. 2006 (ICML); Conformer arXiv 2005.08100; subsampling as in arXiv 1512.02595.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from zoo.errors import InvalidValueError
from zoo.models.base import AbstractModel, require_positive, require_rate

if TYPE_CHECKING:
    import keras

__all__ = ["SpeechCTC"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpeechCTC(AbstractModel):
    """One strided convolution per entry of `strides`, then `depth` layers or blocks of the encoder.

    Inputs `frames` float32 [B, T, num_features] and `padding_mask` bool [B, T], True where there is data; output
    `logits` float32 [B, t, num_symbols], t = T divided by all strides, each time rounded up. Padded frames say the
    blank for certain, so that padding changes neither the loss nor an answer.

    Args:
        num_features: width of a frame.
        num_symbols: characters of the alphabet, and one for the blank.
        encoder: bidirectional GRU or LSTM layers, or Transformer or Conformer blocks.
        width: of the convolutions and of the encoder; of a recurrent layer, both directions together; even.
        depth: layers or blocks.
        strides: of the convolutions over time.
        kernel_size: frames that a subsampling kernel sees; odd.
        block_kernel_size: frames that the depthwise convolution of a Conformer block sees; odd.
        num_heads: attention heads; `width` is divisible by them.
        mlp_width: hidden units of each block's perceptrons.
        dropout: rate in and between the layers.

    Raises:
        InvalidValueError: a value out of range.

    Example:
        >>> model = SpeechCTC(num_features=40, num_symbols=29, width=32, depth=2).build()
        >>> model.output["logits"].shape
        (None, None, 29)
    """

    PRESETS: ClassVar = {
        "gru128x2": {"encoder": "gru", "width": 256, "depth": 2},
        "conformer_small": {"encoder": "conformer", "width": 144, "depth": 4, "mlp_width": 576, "num_heads": 4},
    }

    num_features: int
    num_symbols: int
    encoder: Literal["gru", "lstm", "transformer", "conformer"] = "gru"
    width: int = 128
    depth: int = 2
    strides: tuple[int, ...] = (2, 2)
    kernel_size: int = 5
    block_kernel_size: int = 15
    num_heads: int = 4
    mlp_width: int = 256
    dropout: float = 0.1

    def __post_init__(self) -> None:
        require_positive(num_features=self.num_features, num_symbols=self.num_symbols, width=self.width)
        require_positive(depth=self.depth, strides=self.strides, num_heads=self.num_heads, mlp_width=self.mlp_width)
        require_rate(dropout=self.dropout)
        for field in ("kernel_size", "block_kernel_size"):
            if getattr(self, field) < 1 or getattr(self, field) % 2 == 0:
                raise InvalidValueError(field, "odd, so that a kernel lies symmetrically", getattr(self, field))
        if self.num_symbols < 2:
            raise InvalidValueError("num_symbols", "at least 2, a character and the blank", self.num_symbols)
        if self.width % 2 or self.width % self.num_heads:
            raise InvalidValueError("width", f"even and divisible by num_heads={self.num_heads}", self.width)

    def build(self) -> keras.Model:
        """Returns the functional model."""
        import keras
        from keras import layers

        from zoo.layers.ctc import BlankPadding, StridedMask
        from zoo.layers.masking import MaskPadding

        # === Layers ===
        frames = keras.Input((None, self.num_features), name="frames")
        padding_mask: Any = keras.Input((None,), dtype="bool", name="padding_mask")
        side = self.kernel_size // 2

        # === Functional Model ===
        x, mask = MaskPadding(name="mask_frames")(frames, padding_mask), padding_mask
        for index, stride in enumerate(self.strides, start=1):
            name = f"subsampling{index}"
            # Alike on both sides, whatever T is: "same" padding would shift the kernels of every second length.
            x = layers.ZeroPadding1D(side, name=f"{name}_border")(x)
            x = layers.Conv1D(self.width, self.kernel_size, strides=stride, name=f"{name}_conv")(x)  # [B, t, D]
            x = layers.LayerNormalization(epsilon=1e-6, name=f"{name}_norm")(x)
            x = layers.ReLU(name=f"{name}_relu")(x)
            mask = StridedMask(stride, name=f"{name}_stride")(mask)
            x = MaskPadding(name=f"{name}_mask")(x, mask)
        x = self._recurrent(x, mask) if self.encoder in ("gru", "lstm") else self._blocks(x, mask)
        x = layers.Dropout(self.dropout, name="dropout")(x)
        logits = layers.Dense(self.num_symbols, name="symbols")(x)
        logits = BlankPadding(name="logits")(logits, mask)
        return keras.Model({"frames": frames, "padding_mask": padding_mask}, {"logits": logits}, name="speech_ctc")

    def _recurrent(self, x: Any, mask: Any) -> Any:
        from keras import layers

        cell = {"gru": layers.GRU, "lstm": layers.LSTM}[self.encoder]
        for index in range(1, self.depth + 1):
            x = layers.Dropout(self.dropout, name=f"dropout{index}")(x)
            layer = cell(self.width // 2, return_sequences=True, name=f"{self.encoder}{index}")
            x = layers.Bidirectional(layer, name=f"bidirectional{index}")(x, mask=mask)
            x = layers.LayerNormalization(epsilon=1e-6, name=f"norm{index}")(x)
        return x

    def _blocks(self, x: Any, mask: Any) -> Any:
        from keras import layers

        from zoo.layers.conformer import conformer_block
        from zoo.layers.encoder import encoder_block
        from zoo.layers.positions import SinusoidalPositions

        x = SinusoidalPositions(name="positions")(x)
        x = layers.Dropout(self.dropout, name="positions_dropout")(x)
        common = {"num_heads": self.num_heads, "mlp_width": self.mlp_width, "dropout": self.dropout}
        for index in range(1, self.depth + 1):
            name = f"block{index}"
            if self.encoder == "conformer":
                x = conformer_block(x, mask, kernel_size=self.block_kernel_size, name=name, **common)
            else:
                x = encoder_block(x, mask, norm_first=True, name=name, **common)
        return layers.LayerNormalization(epsilon=1e-6, name="norm")(x)
