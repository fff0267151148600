"""Text for sound: characters by connectionist temporal classification.

Shape glossary: `B` batch, `T` frames, `L` characters of the longest text, `S` characters of the alphabet and the blank.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from zoo.errors import DataError, InvalidValueError
from zoo.tasks.base import AbstractScorer, AbstractTask, NamedTensors

if TYPE_CHECKING:
    import keras
    import numpy as np

__all__ = ["Transcription"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Transcription(AbstractTask):
    """Characters by CTC over `logits` float32 [B, T, S], against `text` string [B].

    A text is put in lower case, each character of `ignored` becomes a space, and spaces are joined; what is then not in
    `alphabet` is an error. Answers `text` string [B] and `probability` float32 [B], that of the text given the sound.

    Args:
        alphabet: each character once, the space included; its place is its class, and the blank comes after the last.
        ignored: characters that are not written out.
        text: name of the tensor that holds the text.
        output: name of the model's output.
        beam_width: prefixes kept at each frame while an answer is looked for; 1 takes the best class of each frame.

    Raises:
        InvalidValueError: a character stands twice, or `beam_width` is below 1.

    Example:
        >>> Transcription(alphabet=" abc").normalized("A, b -  C!")
        'a b c'
    """

    MONITOR: ClassVar = "val_character_error_rate"
    MONITOR_MODE: ClassVar = "min"

    alphabet: str = " abcdefghijklmnopqrstuvwxyz'"
    ignored: str = '.,;:!?\u2026"\u201c\u201d\u201e\u00ab\u00bb()[]-\u2013\u2014/*\t\n\r\u00a0\u202f'
    text: str = "text"
    output: str = "logits"
    beam_width: int = 16

    def __post_init__(self) -> None:
        if len(set(self.alphabet)) != len(self.alphabet) or " " not in self.alphabet:
            raise InvalidValueError("alphabet", "each character once, the space among them", self.alphabet)
        if self.beam_width < 1:
            raise InvalidValueError("beam_width", "at least 1", self.beam_width)

    def targets(self) -> tuple[str, ...]:
        """Returns the name of the text."""
        return (self.text,)

    def labelled(self) -> None:
        """Returns None: the classes are the characters of the alphabet."""
        return

    def normalized(self, text: str) -> str:
        """Returns a text as the model is to write it."""
        written = "".join(" " if char in self._dropped() else char for char in text.lower())
        return re.sub(" +", " ", written).strip()

    def split(self, tensors: NamedTensors) -> tuple[NamedTensors, NamedTensors]:
        """Returns the inputs, and the places of the characters, int32 [B, L], -1 behind the end."""
        inputs = {name: tensor for name, tensor in tensors.items() if name != self.text}
        return inputs, {self.output: self._encoded(tensors[self.text])}

    def losses(self) -> dict[str, keras.losses.Loss]:
        """Returns the CTC loss."""
        from zoo.tasks.ctc import CTCLoss

        return {self.output: CTCLoss(name="ctc")}

    def metrics(self) -> dict[str, list[keras.metrics.Metric]]:
        """Returns the error rate of the best character of each frame."""
        from zoo.tasks.ctc import SymbolErrorRate

        return {self.output: [SymbolErrorRate(name="character_error_rate")]}

    def check(self, model: keras.Model, label_names: Sequence[str]) -> None:
        """Raises `DataError` unless the model has a logit per character, and one for the blank, in each frame."""
        outputs = model.output if isinstance(model.output, dict) else {}
        expected = len(self.alphabet) + 1
        received = tuple(outputs[self.output].shape) if self.output in outputs else None
        if received is None or len(received) != 3 or received[-1] != expected:
            raise DataError(
                f"Transcription with {len(self.alphabet)} characters needs an output `{self.output}` of shape [B, T, "
                f"{expected}], the blank last. Received: {received or ', '.join(outputs) or '(unnamed)'}. "
                f"Give the model num_symbols={expected}."
            )

    def answers(self, outputs: NamedTensors, label_names: Sequence[str]) -> NamedTensors:
        """Returns `text` string [B] and `probability` float32 [B]."""
        import tensorflow as tf

        from zoo.tasks.ctc import decoded

        paths, log_probability = decoded(outputs[self.output], self.beam_width)
        # One more than the alphabet, for the -1 behind the end.
        places = tf.where(paths < 0, tf.cast(len(self.alphabet), paths.dtype), paths)
        characters = tf.gather(tf.constant([*self.alphabet, ""]), places)
        return {"text": tf.strings.reduce_join(characters, axis=-1), "probability": tf.exp(log_probability)}

    def difference(
        self, served: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray], tolerance: float
    ) -> str | None:
        """Returns `text` where another text is answered, whose probability is another one too.

        Two texts that are equally probable are told apart by rounding.
        """
        import numpy as np

        rows = expected["text"] != served["text"]
        gap = np.abs(expected["probability"][rows] - served["probability"][rows])
        is_tie = (gap <= tolerance * expected["probability"][rows]).all()
        return None if is_tie else "text"

    def scorer(self, label_names: Sequence[str]) -> AbstractScorer:
        """Returns what gathers error rates of characters and words."""
        from zoo.tasks.transcripts import TranscriptScorer

        return TranscriptScorer(self)

    def spelled(self, places: np.ndarray) -> list[str]:
        """Returns the texts of places of characters, int [B, L], -1 behind the end."""
        return ["".join(self.alphabet[place] for place in row if place >= 0) for row in places.astype(int)]

    def _dropped(self) -> str:
        return "".join(char for char in self.ignored if char not in self.alphabet)

    def _encoded(self, texts: Any) -> Any:
        """Returns the places of the characters of normalised texts; the graph fails at one outside the alphabet."""
        import tensorflow as tf

        lower = tf.strings.lower(texts, encoding="utf-8")
        pattern = "[" + "".join(re.escape(char) for char in self._dropped()) + "]"
        spaced = tf.strings.regex_replace(lower, pattern, " ") if self._dropped() else lower
        spaced = tf.strings.strip(tf.strings.regex_replace(spaced, " +", " "))
        points = tf.strings.unicode_decode(spaced, "UTF-8")
        ordered = sorted(self.alphabet)
        known = tf.constant([ord(char) for char in ordered], tf.int32)
        places = tf.constant([self.alphabet.index(char) for char in ordered], tf.int32)
        found = tf.minimum(tf.searchsorted(known, points.flat_values), len(ordered) - 1)
        is_known = tf.equal(tf.gather(known, found), points.flat_values)
        strange = tf.strings.unicode_encode(tf.boolean_mask(points.flat_values, ~is_known)[:, None], "UTF-8")
        message = f"`{self.text}` holds characters outside the alphabet of the task:"
        check = tf.debugging.Assert(tf.reduce_all(is_known), [message, strange, "in", texts], summarize=8)
        with tf.control_dependencies([] if check is None else [check]):
            ids = points.with_flat_values(tf.gather(places, found))
        return ids.to_tensor(-1)
