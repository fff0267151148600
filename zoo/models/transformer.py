"""The encoder of the Transformer over frames, a pooling, a dense head: sequences to classes.

Shape glossary: `B` batch, `T` time, `D` width of the model, `H` heads. Paper: arXiv 1706.03762.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Literal

from zoo.errors import InvalidValueError
from zoo.models.base import AbstractModel, require_positive, require_rate

if TYPE_CHECKING:
    import keras

__all__ = ["TransformerEncoder"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TransformerEncoder(AbstractModel):
    """A projection to `width`, positions, `depth` encoder blocks and a pooling over frames.

    Inputs `frames` float32 [B, T, num_features] and `padding_mask` bool [B, T], True where there is data; output
    `logits` float32 [B, num_classes]. No padded frame is attended to or averaged, so that padding changes no answer.

    Args:
        num_features: width of a frame.
        width: `D`; divisible by `num_heads`.
        mlp_width: hidden units of each block's perceptron.
        positions: fixed sines, a learned table of `max_length` rows, or rotations inside each attention (arXiv
            2104.09864).
        max_length: frames a learned table covers; a longer sequence is refused. Sines and rotations have no limit.
        pooling: the average over frames, or one weighted by a learned query.
        norm_first: normalise before each branch, not after it (arXiv 2002.04745).
        dropout: rate inside the blocks and before the head.

    Raises:
        InvalidValueError: a value out of range.

    Example:
        >>> model = TransformerEncoder(num_features=12, num_classes=9, depth=2).build()
        >>> model.output["logits"].shape
        (None, 9)
    """

    num_features: int
    num_classes: int
    width: int = 64
    depth: int = 2
    num_heads: int = 4
    mlp_width: int = 128
    positions: Literal["sinusoidal", "learned", "rotary"] = "sinusoidal"
    max_length: int = 512
    pooling: Literal["average", "attention"] = "average"
    norm_first: bool = True
    dropout: float = 0.1

    def __post_init__(self) -> None:
        require_positive(num_features=self.num_features, num_classes=self.num_classes, width=self.width)
        require_positive(depth=self.depth, num_heads=self.num_heads, mlp_width=self.mlp_width)
        require_positive(max_length=self.max_length)
        require_rate(dropout=self.dropout)
        if self.width % self.num_heads:
            raise InvalidValueError("width", f"divisible by num_heads={self.num_heads}", self.width)
        if self.positions == "rotary" and self.width // self.num_heads % 2:
            raise InvalidValueError("width", f"{self.num_heads} heads of even width, for rotations", self.width)

    def build(self) -> keras.Model:
        """Returns the functional model."""
        import keras
        from keras import layers

        from zoo.layers.attention import MaskedAttentionPooling
        from zoo.layers.encoder import encoder_block
        from zoo.layers.masking import MaskedAveragePooling
        from zoo.layers.positions import LearnedPositions, SinusoidalPositions

        # === Layers ===
        frames = keras.Input((None, self.num_features), name="frames")
        padding_mask: Any = keras.Input((None,), dtype="bool", name="padding_mask")
        pool = {"average": MaskedAveragePooling, "attention": MaskedAttentionPooling}[self.pooling]

        # === Functional Model ===
        x = layers.Dense(self.width, name="projection")(frames)  # [B, T, D]
        if self.positions == "learned":
            x = LearnedPositions(self.max_length, name="positions")(x)
        elif self.positions == "sinusoidal":
            x = SinusoidalPositions(name="positions")(x)
        x = layers.Dropout(self.dropout, name="positions_dropout")(x)
        for block in range(1, self.depth + 1):
            x = encoder_block(
                x,
                padding_mask,
                num_heads=self.num_heads,
                mlp_width=self.mlp_width,
                dropout=self.dropout,
                norm_first=self.norm_first,
                name=f"block{block}",
                rotary=self.positions == "rotary",
            )
        if self.norm_first:
            x = layers.LayerNormalization(epsilon=1e-6, name="norm")(x)
        x = pool(name=self.pooling)(x, padding_mask)  # [B, D]
        x = layers.Dropout(self.dropout, name="dropout")(x)
        logits = layers.Dense(self.num_classes, name="logits")(x)
        return keras.Model({"frames": frames, "padding_mask": padding_mask}, {"logits": logits}, name="transformer")
