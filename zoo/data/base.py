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
    """Shape and dtype of one tensor of a raw example, without a batch axis; `None` is a length that varies."""

    shape: tuple[int | None, ...]
    dtype: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataInfo:
    """What is known of a data set before an example is read.

    Attributes:
        tensors: name and form of each tensor of a raw example, the label included.
        num_examples: examples in each official split.
        label_names: the name of each class, in order of its id; empty where there are none.
        licence: licence of the data as stated by its origin.
        citation: where the data comes from.
    """

    name: str
    tensors: Mapping[str, TensorInfo]
    num_examples: Mapping[str, int]
    label_names: tuple[str, ...] = ()
    licence: str = ""
    citation: str = ""


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
