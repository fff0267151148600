"""Made-up data that a model can learn: equal fields give equal examples, and each class has a pattern of its own."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from zoo.data.base import AbstractSource, DataInfo, TensorInfo
from zoo.data.splits import split_ranges
from zoo.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

__all__ = ["Synthetic"]

_RANKS = {"images": 3, "sequences": 2}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Synthetic(AbstractSource):
    """Examples drawn from one pattern a class, plus noise; for tests and for trying a model out.

    `kind="images"` gives `image` uint8 [H, W, C], `kind="sequences"` gives `frames` float32 [T, D] with T drawn from
    `min_length` to the first number of `shape`; both give `label` int64 []. Classes take turns, so a split holds as
    many of each as its size allows.

    Attributes:
        kind: "images" or "sequences".
        shape: (H, W, C), or (longest T, D).
        num_classes: at least 2.
        num_train: examples in `train`.
        num_test: examples in `test`; they share the patterns of `train`, not its noise.
        min_length: shortest T; of no effect on images.
        noise: standard deviation of the noise, in units of the pattern's.
        seed: of everything drawn.

    >>> Synthetic(kind="sequences", shape=(9, 2)).info().tensors["frames"].shape
    (None, 2)
    """

    kind: str = "images"
    shape: tuple[int, ...] = (12, 12, 1)
    num_classes: int = 4
    num_train: int = 256
    num_test: int = 64
    min_length: int = 3
    noise: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in _RANKS:
            raise UnknownNameError("kind of synthetic data", self.kind, _RANKS)
        if len(self.shape) != _RANKS[self.kind] or min(self.shape) < 1:
            raise UsageError(
                f"`shape` must be {_RANKS[self.kind]} positive numbers for kind={self.kind!r}. "
                f"Received: shape={self.shape}."
            )
        if self.num_classes < 2 or min(self.num_train, self.num_test) < 1 or self.noise < 0:
            raise UsageError(
                "`num_classes` must be at least 2, `num_train` and `num_test` at least 1, `noise` at least 0. "
                f"Received: num_classes={self.num_classes}, num_train={self.num_train}, num_test={self.num_test}, "
                f"noise={self.noise}."
            )
        if self.kind == "sequences" and not 1 <= self.min_length <= self.shape[0]:
            raise UsageError(
                f"`min_length` must be from 1 to the longest length, {self.shape[0]}. Received: "
                f"min_length={self.min_length}."
            )

    def info(self) -> DataInfo:
        """Returns the form of the examples."""
        if self.kind == "images":
            tensors = {"image": TensorInfo(shape=self.shape, dtype="uint8")}
        else:
            tensors = {"frames": TensorInfo(shape=(None, *self.shape[1:]), dtype="float32")}
        names = tuple(f"class_{number}" for number in range(self.num_classes))
        return DataInfo(
            name=f"synthetic_{self.kind}",
            tensors={**tensors, "label": TensorInfo(shape=(), dtype="int64", names=names)},
            num_examples={"train": self.num_train, "test": self.num_test},
            licence="none: drawn at random",
        )

    def load(self, split: str) -> tf.data.Dataset:
        """Returns the raw examples of `split`."""
        import numpy as np

        ranges = split_ranges(split, self.info().num_examples)
        drawn = {part.name: self._draw(part.name) for part in ranges}
        parts = [[array[part.start : part.stop] for array in drawn[part.name]] for part in ranges]
        values, lengths, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return self._examples(values, lengths, labels)

    def _draw(self, split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns padded values, lengths and labels of an official split."""
        import numpy as np

        num_examples = self.info().num_examples[split]
        patterns = np.random.default_rng([self.seed, 0]).normal(size=(self.num_classes, *self.shape))
        random = np.random.default_rng([self.seed, 1 if split == "train" else 2])
        labels = np.arange(num_examples) % self.num_classes
        lengths = random.integers(self.min_length, self.shape[0] + 1, num_examples)
        values = patterns[labels] + self.noise * random.normal(size=(num_examples, *self.shape))
        return values.astype(np.float32), lengths, labels

    def _examples(self, values: np.ndarray, lengths: np.ndarray, labels: np.ndarray) -> tf.data.Dataset:
        import numpy as np
        import tensorflow as tf

        if self.kind == "images":
            pixels = np.clip(128 + 48 * values, 0, 255).astype(np.uint8)
            images = tf.data.Dataset.from_tensor_slices((pixels, labels))
            return images.map(lambda image, label: {"image": image, "label": label})
        padded = tf.data.Dataset.from_tensor_slices((values, lengths, labels))
        return padded.map(lambda frames, length, label: {"frames": frames[:length], "label": label})
