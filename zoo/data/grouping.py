"""Which examples belong together, to which split a group of them goes, and what was left out on the way."""

from __future__ import annotations

import collections
import contextlib
import contextvars
import hashlib
import logging
from collections.abc import Hashable, Iterable, Iterator, Mapping

from zoo.errors import DataError

__all__ = ["SPLITS", "LeftOut", "groups_of", "named_unreadable", "split_evenly", "split_of"]

# Name of a split, to the share of the groups at which it ends.
SPLITS: Mapping[str, float] = {"train": 0.70, "validation": 0.85, "test": 1.0}

_MAX_UNREADABLE_SHARE = 0.01

_logger = logging.getLogger(__name__)
_named: contextvars.ContextVar[list[str] | None] = contextvars.ContextVar("unreadable", default=None)


@contextlib.contextmanager
def named_unreadable() -> Iterator[list[str]]:
    """Gives a list to which every `LeftOut` adds the names of files that cannot be read, while the context lasts."""
    names: list[str] = []
    token = _named.set(names)
    try:
        yield names
    finally:
        _named.reset(token)


def split_of(group: str) -> str:
    """Returns the split of a group by the hash of its name: about 70% train, 15% validation, 15% test.

    >>> [split_of(name) for name in ("bear", "cat", "oak")]
    ['validation', 'train', 'test']
    """
    position = int.from_bytes(hashlib.sha256(group.encode()).digest()[:8]) / 2**64
    return _split_at(position)


def split_evenly(sizes: Mapping[str, int]) -> dict[str, str]:
    """Returns the split of each group such that about 70%, 15% and 15% of the members of all are in each.

    The groups are put in order by the hash of their names, and each goes where its middle lies.

    Args:
        sizes: members of each group, by its name.

    >>> split_evenly({"bear": 2, "cat": 7, "oak": 1})
    {'cat': 'train', 'bear': 'validation', 'oak': 'test'}
    """
    splits, done = {}, 0
    for group in sorted(sizes, key=lambda name: hashlib.sha256(name.encode()).digest()):
        splits[group] = _split_at((done + sizes[group] / 2) / sum(sizes.values()))
        done += sizes[group]
    return splits


def _split_at(position: float) -> str:
    """Returns the split that holds a position from 0 to below 1."""
    return next(split for split, end in SPLITS.items() if position < end)


def groups_of(traits: Mapping[str, Iterable[Hashable]]) -> dict[str, str]:
    """Returns the group of each item, named after the first of its members: items that share a trait are together.

    Args:
        traits: of each item, by its name.

    >>> groups_of({"a": ["red"], "b": ["red", "round"], "c": ["round"], "d": ["flat"]})
    {'a': 'a', 'b': 'a', 'c': 'a', 'd': 'd'}
    """
    parents = {item: item for item in sorted(traits)}

    def root(item: str) -> str:
        while parents[item] != item:
            parents[item] = item = parents[parents[item]]
        return item

    first_with: dict[Hashable, str] = {}
    for item in parents:
        for trait in traits[item]:
            one, other = root(item), root(first_with.setdefault(trait, item))
            parents[max(one, other)] = min(one, other)
    return {item: root(item) for item in parents}


class LeftOut:
    """Counts what is left out of a split, by reason, and names each file that could not be read in the log.

    Args:
        title: of the split, for the log: `tuxpaint_fr train`.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._reasons: collections.Counter[str] = collections.Counter()
        self._unreadable = 0

    def count(self, reason: str, number: int = 1) -> None:
        """Counts examples that a rule leaves out."""
        self._reasons[reason] += number

    def unreadable(self, name: str, error: Exception) -> None:
        """Counts one example that should be in the split and cannot be read."""
        self._unreadable += 1
        names = _named.get()
        if names is not None:
            names.append(name)
        _logger.warning("%s: %s was skipped, since it cannot be read: %s", self._title, name, error)

    def close(self, num_kept: int) -> None:
        """Logs the counts; raises `DataError` where more than 1% could not be read."""
        parts = [f"{count} {reason}" for reason, count in sorted(self._reasons.items()) if count]
        if self._unreadable:
            parts.append(f"{self._unreadable} unreadable")
        level = logging.WARNING if self._unreadable else logging.INFO
        _logger.log(level, "%s: %d examples; left out: %s", self._title, num_kept, ", ".join(parts) or "none")
        if self._unreadable > _MAX_UNREADABLE_SHARE * (num_kept + self._unreadable):
            raise DataError(
                f"{self._unreadable} files of {self._title} cannot be read, where {num_kept} can; the log names each. "
                f"Expected at most {_MAX_UNREADABLE_SHARE:.0%}. The files are those that were checked, so the library "
                "that reads them lacks their format: reinstall soundfile or Pillow."
            )
