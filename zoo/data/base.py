"""What a source of data is: a name and splits in, raw examples out.

Shape glossary: `H` height, `W` width, `C` channels, `T` time (varies from example to example), `D` width of a frame.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = ["AbstractSource", "DataInfo", "TensorInfo"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TensorInfo:
    """What one tensor of a raw example is.

    Attributes:
        shape: without a batch axis; `None` is a length that varies.
        dtype: TensorFlow's name of it.
        names: of a class id, the name of each class in order; empty where there are none.
        sample_rate_hz: of sound [T], samples a second.
    """

    shape: tuple[int | None, ...]
    dtype: str
    names: tuple[str, ...] = ()
    sample_rate_hz: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataInfo:
    """What is known of a data set before an example is read.

    Attributes:
        tensors: name and form of each tensor of a raw example, the label included.
        num_examples: examples in each official split.
        licence: licence of the data as stated by its origin.
        citation: where the data comes from.
    """

    name: str
    tensors: Mapping[str, TensorInfo]
    num_examples: Mapping[str, int]
    licence: str = ""
    citation: str = ""

    def mask_names(self) -> dict[str, str]:
        """Returns the name of the mask of each tensor whose first axis varies.

        `padding_mask` for the first of `tensors`, and `<name>_padding_mask` for any after it, whichever of them a model
        takes. A mask is bool [T], True where there is data.

        >>> frames, tokens = TensorInfo(shape=(None, 12), dtype="float32"), TensorInfo(shape=(None,), dtype="int64")
        >>> DataInfo(name="pairs", tensors={"frames": frames, "tokens": tokens}, num_examples={}).mask_names()
        {'frames': 'padding_mask', 'tokens': 'tokens_padding_mask'}
        """
        varying = [name for name, tensor in self.tensors.items() if tensor.shape and tensor.shape[0] is None]
        return {name: f"{name}_padding_mask" if index else "padding_mask" for index, name in enumerate(varying)}

    def names_of(self, tensor: str | None) -> tuple[str, ...]:
        """Returns the names of the classes that `tensor` holds ids of; none where it has none or is not there."""
        return self.tensors[tensor].names if tensor is not None and tensor in self.tensors else ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class AbstractSource(abc.ABC):
    """A named origin of raw examples.

    A raw example is a dictionary of named tensors, `{"image": uint8 [H, W, C], "label": int64 []}` or
    `{"frames": float32 [T, D], "label": int64 []}`. Its names are the names of the model's inputs, of the exported
    signature's inputs and of what a client sends.
    """

    @abc.abstractmethod
    def info(self) -> DataInfo:
        """Returns what is known of the data; raises `DataUnavailableError` where that needs data not there."""

    @abc.abstractmethod
    def load(self, split: str) -> tf.data.Dataset:
        """Returns the raw examples of `split`, unbatched, in one fixed order.

        Args:
            split: tfds's notation: `train`, `train[:90%]`, `train[55000:]`, `train+test`.

        Raises:
            UnknownNameError: no such split.
            DataUnavailableError: the data is not there and cannot be had.
        """
