"""Error rates of transcripts: edits per true character and per true word."""

from __future__ import annotations

import collections
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from zoo.tasks.base import AbstractScorer, Findings, Table

if TYPE_CHECKING:
    import numpy as np

    from zoo.tasks.transcription import Transcription

__all__ = ["TranscriptScorer", "error_rate"]

_SHOWN = 30


def error_rate(truths: Sequence[Sequence[str]], answers: Sequence[Sequence[str]]) -> float:
    """Returns edits (insert, delete, replace) per true symbol, over all pairs together.

    >>> error_rate([["a", "b"], ["c"]], [["a"], ["c"]])
    0.3333333333333333
    """
    from rapidfuzz.distance import Levenshtein

    edits = sum(Levenshtein.distance(truth, answer) for truth, answer in zip(truths, answers, strict=True))
    return edits / max(1, sum(map(len, truths)))


class TranscriptScorer(AbstractScorer):
    """Gathers true and answered texts.

    Its figures are `character_error_rate` and `word_error_rate`, `exact`, the share of texts without an error, and the
    two error rates of a constant answer, the best of the split's own five most frequent words and five most frequent
    texts: about what a model without ears could reach. `unreachable` is the share of texts that have more characters
    than their sound has frames.
    """

    def __init__(self, task: Transcription):
        self._task = task
        self._truths: list[str] = []
        self._answers: list[str] = []
        self._num_unreachable = 0

    def update(self, targets: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]) -> None:
        """Takes in places of characters [B, L] and logits [B, T, S]."""
        import numpy as np

        from zoo.tasks.ctc import num_frames

        places = targets[self._task.output]
        answers = self._task.answers(dict(outputs), ())
        self._truths += self._task.spelled(places)
        self._answers += [text.decode() for text in np.asarray(answers["text"]).tolist()]
        # The same character twice in a row needs a blank between.
        repeats = ((places[:, 1:] == places[:, :-1]) & (places[:, 1:] >= 0)).sum(axis=-1)
        needed = (places >= 0).sum(axis=-1) + repeats
        self._num_unreachable += int((needed > num_frames(outputs[self._task.output]).numpy()).sum())

    def figures(self) -> dict[str, float]:
        """Returns the error rates."""
        words = [truth.split() for truth in self._truths]
        constants = self._constants(words)
        return {
            "character_error_rate": error_rate(self._truths, self._answers),
            "word_error_rate": error_rate(words, [answer.split() for answer in self._answers]),
            "exact": sum(map(str.__eq__, self._truths, self._answers)) / len(self._truths),
            "constant_character_error_rate": min(error_rate(self._truths, [text] * len(words)) for text in constants),
            "constant_word_error_rate": min(error_rate(words, [text.split()] * len(words)) for text in constants),
            "unreachable": self._num_unreachable / len(words),
        }

    def findings(self) -> Findings:
        """Returns the first texts and their answers."""
        rows = list(zip(self._truths, self._answers, strict=True))[:_SHOWN]
        return Findings(tables=[Table("Transcripts", ("said", "answered"), rows)])

    def _constants(self, words: Sequence[Sequence[str]]) -> list[str]:
        """Returns the most frequent words and texts of the split."""
        single = collections.Counter(word for text in words for word in text)
        whole = collections.Counter(self._truths)
        return [text for counter in (single, whole) for text, _ in counter.most_common(5)]
