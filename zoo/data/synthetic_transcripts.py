"""Made-up speech: each letter of a text sounds as a pattern of its own for a few frames."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from zoo.data.base import AbstractSource, DataInfo, TensorInfo
from zoo.data.splits import split_ranges
from zoo.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

__all__ = ["SyntheticTranscripts"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SyntheticTranscripts(AbstractSource):
    """Frames and what they say: `frames` float32 [T, D] and `text` string [], for tests and for trying a model out.

    A text has 1 to `max_letters` of the first `num_letters` letters of the alphabet; each lasts `frames_a_letter`
    frames or up to half as many again.

    Attributes:
        num_features: D.
        num_letters: at least 2 and at most 26.
        max_letters: in a text; at least 1.
        frames_a_letter: at least 2.
        num_train: examples in `train`.
        num_test: examples in `test`; their letters sound as those of `train`.
        noise: standard deviation of the noise, in units of the pattern's.
        seed: of everything drawn.

    >>> SyntheticTranscripts().info().tensors["frames"].shape
    (None, 6)
    """

    num_features: int = 6
    num_letters: int = 4
    max_letters: int = 5
    frames_a_letter: int = 8
    num_train: int = 128
    num_test: int = 32
    noise: float = 0.3
    seed: int = 0

    def __post_init__(self) -> None:
        sizes = (self.num_features, self.max_letters, self.num_train, self.num_test)
        if min(sizes) < 1 or not 2 <= self.num_letters <= 26 or self.frames_a_letter < 2 or self.noise < 0:
            raise UsageError(
                "`num_features`, `max_letters`, `num_train` and `num_test` must be at least 1, `num_letters` from 2 to "
                f"26, `frames_a_letter` at least 2 and `noise` at least 0. Received: {self}."
            )

    def info(self) -> DataInfo:
        """Returns the form of the examples."""
        return DataInfo(
            name="synthetic_transcripts",
            tensors={
                "frames": TensorInfo(shape=(None, self.num_features), dtype="float32"),
                "text": TensorInfo(shape=(), dtype="string"),
            },
            num_examples={"train": self.num_train, "test": self.num_test},
            licence="none: drawn at random",
        )

    def load(self, split: str) -> tf.data.Dataset:
        """Returns the raw examples of `split`."""
        import tensorflow as tf

        drawn = {name: self._draw(name) for name in self.info().num_examples}
        ranges = split_ranges(split, self.info().num_examples)
        chosen = [drawn[part.name][place] for part in ranges for place in range(part.start, part.stop)]
        frames = tf.ragged.stack([tf.constant(sound) for _, sound in chosen])
        texts = tf.data.Dataset.from_tensor_slices([text for text, _ in chosen])
        shape = (None, self.num_features)

        def example(sound, text):
            return {"frames": tf.ensure_shape(sound.to_tensor(shape=shape), shape), "text": text}

        return tf.data.Dataset.zip(tf.data.Dataset.from_tensor_slices(frames), texts).map(example)

    def _draw(self, split: str) -> list[tuple[str, np.ndarray]]:
        """Returns text and frames of each example of an official split."""
        import numpy as np

        patterns = np.random.default_rng([self.seed, 0]).normal(size=(self.num_letters, self.num_features))
        random = np.random.default_rng([self.seed, 1 if split == "train" else 2])
        examples = []
        for _ in range(self.info().num_examples[split]):
            letters = random.integers(0, self.num_letters, random.integers(1, self.max_letters + 1))
            lasting = random.integers(self.frames_a_letter, self.frames_a_letter * 3 // 2 + 1, len(letters))
            sound = np.repeat(patterns[letters], lasting, axis=0)
            sound = sound + self.noise * random.normal(size=sound.shape)
            examples.append(("".join(chr(ord("a") + letter) for letter in letters), sound.astype(np.float32)))
        return examples
