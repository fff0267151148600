"""Sound that a test can understand: letters as tones."""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf

from zoo.data.base import AbstractSource, DataInfo, TensorInfo
from zoo.data.splits import split_ranges

RATE = 8_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tones(AbstractSource):
    """Each of the letters a and b is a tone of its own, 0.1 s long: `waveform` int16 [T], `text` string []."""

    sample_rate_hz: int = RATE
    num_train: int = 64

    def info(self) -> DataInfo:
        return DataInfo(
            name="tones",
            tensors={
                "waveform": TensorInfo(shape=(None,), dtype="int16", sample_rate_hz=self.sample_rate_hz),
                "text": TensorInfo(shape=(), dtype="string"),
                "speaker": TensorInfo(shape=(), dtype="int64"),
            },
            num_examples={"train": self.num_train, "test": 16},
        )

    def load(self, split: str) -> tf.data.Dataset:
        (part,) = split_ranges(split, self.info().num_examples)
        random = np.random.default_rng(part.name == "train")
        sounds, texts = [], []
        for _ in range(part.stop):
            text = "".join(random.choice(["a", "b"], random.integers(1, 4)))
            steps = np.arange(RATE // 10)
            tones = [np.sin(2 * np.pi * {"a": 440, "b": 1760}[letter] * steps / RATE) for letter in text]
            gap = np.zeros(RATE // 20)
            sound = np.concatenate([part for tone in tones for part in (tone, gap)])
            sounds.append((8000 * sound + 50 * random.normal(size=len(sound))).astype("int16"))
            texts.append(text)
        ragged = tf.ragged.constant(sounds[part.start :], dtype=tf.int16)
        dataset = tf.data.Dataset.from_tensor_slices((ragged, texts[part.start :]))
        return dataset.map(lambda sound, text: {"waveform": sound, "text": text, "speaker": tf.constant(0, tf.int64)})
