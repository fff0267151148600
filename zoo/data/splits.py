"""tfds's notation of splits, read without tfds: `train`, `train[:90%]`, `train[55000:]`, `train[-10%:]`, `train+test`.

Percentages round to the nearest example, as tfds does by default.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

from zoo.errors import DataError, UnknownNameError, UsageError

__all__ = ["SplitRange", "check_split_names", "split_ranges"]

_PART = re.compile(r"(?P<name>[^\[\]+]+)(\[(?P<start>-?\d+%?)?:(?P<stop>-?\d+%?)?\])?")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SplitRange:
    """The examples `start` to `stop`, `stop` excluded, of the official split `name`."""

    name: str
    start: int
    stop: int


def split_ranges(split: str, num_examples: Mapping[str, int]) -> tuple[SplitRange, ...]:
    """Returns the parts of official splits that `split` names, in order.

    Args:
        split: for one, `train[:90%]+test`.
        num_examples: the official splits.

    Raises:
        UnknownNameError: a part names no official split.
        UsageError: the notation cannot be read.
        DataError: no example is left after slicing.

    >>> split_ranges("train[90%:]", {"train": 50})
    (SplitRange(name='train', start=45, stop=50),)
    """
    matches = [_PART.fullmatch(part.strip()) for part in split.split("+")]
    ranges = []
    for match in matches:
        if match is None:
            raise UsageError(
                "A split must be written like `train`, `train[:90%]`, `train[55000:]` or `train+test`. "
                f"Received: {split!r}."
            )
        name = match["name"].strip()
        if name not in num_examples:
            raise UnknownNameError("split", name, num_examples)
        total = num_examples[name]
        start = _position(match["start"], total, 0)
        ranges.append(SplitRange(name=name, start=start, stop=max(start, _position(match["stop"], total, total))))
    if sum(part.stop - part.start for part in ranges) == 0:
        sizes = ", ".join(f"{name} {count}" for name, count in num_examples.items())
        raise DataError(f"The split {split!r} holds no example. The official splits hold: {sizes}.")
    return tuple(ranges)


def check_split_names(split: str, known: Mapping[str, int]) -> None:
    """Raises `UnknownNameError` where `split` names no official split; leaves the slices to tfds."""
    for part in split.split("+"):
        name = part.split("[", 1)[0].strip()
        if name not in known and name != "all":
            raise UnknownNameError("split", name, known)


def _position(text: str | None, total: int, default: int) -> int:
    """Returns one border of a slice as a position from 0 to `total`."""
    if not text:
        return default
    if text.endswith("%"):
        percent = int(text[:-1])
        if abs(percent) > 100:
            raise UsageError(f"A percentage of a split must be from -100 to 100. Received: {text}.")
        position = round(percent * total / 100)
    else:
        position = int(text)
    if abs(position) > total:
        raise UsageError(f"The split holds {total} examples; a slice cannot begin or end at {text}.")
    return position + total if position < 0 else position
