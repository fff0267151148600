"""Sequences of frames: normalisation that no padded frame takes part in.

Shape glossary: `B` batch, `T` time, `D` width of a frame.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, ClassVar, Self

from zoo.errors import DataError
from zoo.features.base import AbstractInPlaceFeature, AbstractUnfittedFeature

if TYPE_CHECKING:
    import keras
    import numpy as np

__all__ = ["SequenceNormalization", "UtteranceNormalization"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SequenceNormalization(AbstractInPlaceFeature):
    """Gives each of the `D` values of a frame mean 0 and variance 1: float32 [B, T, D] -> float32 [B, T, D].

    Mean and standard deviation are those of the training split's real frames; padded frames come out as zeros.

    Args:
        mean: one number per value of a frame; empty until `fit`.
        std: likewise; above 0.
        tensor: name of the tensor; its mask is `padding_mask`.
    """

    COSTLY: ClassVar = False
    RANDOM: ClassVar = False

    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    tensor: str = "frames"

    def fit(self, batches: Iterable[Mapping[str, np.ndarray]]) -> Self:
        """Returns the feature with the statistics of `batches`; one pass, in float64.

        Raises:
            DataError: no frame at all, or one that is not a finite number.
        """
        import numpy as np

        count, total, squares = 0, np.zeros(()), np.zeros(())
        for batch in batches:
            frames = batch[self.tensor].astype("float64")
            # [frames, D]; sequences that all have one length come without a mask
            frames = frames[batch["padding_mask"]] if "padding_mask" in batch else frames.reshape(-1, frames.shape[-1])
            count, total = count + len(frames), total + frames.sum(axis=0)
            squares = squares + np.square(frames).sum(axis=0)
        if not count:
            raise DataError(f"There is no frame in `{self.tensor}` of the training split to normalise by.")
        if not np.isfinite(squares).all():
            raise DataError(f"`{self.tensor}` of the training split holds a NaN or an infinity. Mend the data first.")
        mean = total / count
        variance = squares / count - np.square(mean)
        # A column that never changes in training stays as it is, or any change later would be blown up.
        std = np.sqrt(np.where(variance > 1e-10 * np.maximum(np.square(mean), 1e-10), variance, 1.0))
        return dataclasses.replace(self, mean=tuple(mean.tolist()), std=tuple(std.tolist()))

    def layer(self) -> keras.Layer:
        """Returns the layer that normalises `tensor`.

        Raises:
            DataError: `fit` was not called.
        """
        if not self.mean or len(self.mean) != len(self.std):
            raise DataError("SequenceNormalization has no statistics yet: call `fit` on the training split first.")
        from zoo.layers.scaling import StandardizeFrames

        return StandardizeFrames(self.tensor, self.mean, self.std, name="sequence_normalization")


@dataclasses.dataclass(frozen=True, kw_only=True)
class UtteranceNormalization(AbstractInPlaceFeature, AbstractUnfittedFeature):
    """Gives each of the `D` values mean 0 and variance 1 over each sequence's own frames: [B, T, D] -> float32.

    Takes the speaker's level and the microphone's colour out of cepstra. Nothing is learned. A value that does not
    change within a sequence, as in a sequence of one frame, comes out as zeros, and so do padded frames.

    Args:
        tensor: name of the tensor; its mask is `padding_mask` bool [B, T], where there is one.
    """

    COSTLY: ClassVar = False
    RANDOM: ClassVar = False

    tensor: str = "frames"

    def layer(self) -> keras.Layer:
        """Returns the layer that normalises `tensor`."""
        from zoo.layers.scaling import NormalizeUtterances

        return NormalizeUtterances(self.tensor, name="utterance_normalization")
