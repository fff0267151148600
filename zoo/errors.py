"""Every error the zoo raises.

Two families decide a command's exit status: `UsageError` (2: the request was wrong, nothing was done) and any
other `ZooError` (1: the request was right and the work failed). A message says what happened, what was expected,
what was received and how to mend it; the command line prints the message alone.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "CompressionError",
    "DataError",
    "DataUnavailableError",
    "ExportError",
    "InvalidValueError",
    "RunDirectoryError",
    "TrainingError",
    "UnknownNameError",
    "UsageError",
    "VersionExistsError",
    "ZooError",
]


class ZooError(Exception):
    """Base of every error raised on purpose by the zoo."""


class UsageError(ZooError):
    """A name, key, value or path given by the caller is wrong; nothing was done."""


class UnknownNameError(UsageError):
    """A look-up failed.

    Args:
        kind: what was looked up, in the singular: "model", "config", "field of `conv2d`".
        name: the name received.
        known: the names that exist; the nearest one is suggested.
    """

    def __init__(self, kind: str, name: object, known: Iterable[str]):
        names = sorted(known)
        nearest = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
        hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
        super().__init__(f"Unknown {kind}: {name!r}.{hint} Known: {', '.join(names) or '(none)'}.")


class InvalidValueError(UsageError):
    """A hyperparameter or setting is outside what it may be.

    Args:
        field: its name.
        expected: what it must be, as the end of "`field` must be ...".
        received: the value received.
    """

    def __init__(self, field: str, expected: str, received: object):
        super().__init__(f"`{field}` must be {expected}. Received: {field}={received!r}.")


class RunDirectoryError(UsageError):
    """A directory is not a run, or already holds one."""


class VersionExistsError(UsageError):
    """A version directory exists; published versions are never overwritten."""


class DataError(ZooError):
    """A data set is damaged or does not fit the model."""


class DataUnavailableError(DataError):
    """A data set is neither prepared, nor in local files, nor to be downloaded."""


class TrainingError(ZooError):
    """Training could not start or went wrong (a loss that is not a number, for one)."""


class CompressionError(ZooError):
    """A model cannot be compressed as asked, or the proof after compression failed."""


class ExportError(ZooError):
    """A model could not be published; nothing of it is visible to a server."""
