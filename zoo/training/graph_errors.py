"""What a graph refuses, told as what is wrong with the data."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from zoo.errors import DataError

__all__ = ["told_as_data_errors"]

_ESCAPED = re.compile(r"(?:\\[0-7]{3}|\\x[0-9a-f]{2})+")


@contextlib.contextmanager
def told_as_data_errors(what: str) -> Iterator[None]:
    """Raises `DataError` where a check of ours fails in the graph of `what`; other errors pass as they are.

    Features and tasks look at values (a NaN in a sound, a character that the alphabet lacks) where they are computed,
    in a graph, which can only fail with an `InvalidArgumentError`.
    """
    import tensorflow as tf

    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        said = _said(str(error))
        if said is None:
            raise
        raise DataError(f"The data of {what} cannot be used: {said}") from error


def _said(message: str) -> str | None:
    """Returns the words of a failed assertion that begins with the name of a tensor in backquotes, else None."""
    eager = re.search(r"Summarized data: (.*)", message, re.DOTALL)
    graph = re.search(r"assertion failed: (\[`.*?\])(?:\s*\n|\s*\[\[|\s*$)", message, re.DOTALL)
    if graph:
        words = graph[1].removeprefix("[").removesuffix("]").replace("] [", " ")
    elif eager and "`" in eager[1]:
        words = " ".join(part.strip().strip("b'") for part in eager[1].splitlines())
    else:
        return None
    return _ESCAPED.sub(_decoded, words)


def _decoded(match: re.Match[str]) -> str:
    """Returns the characters of escaped UTF-8 bytes, `\\305\\276` or `\\xc5\\xbe`."""
    parts = re.findall(r"\\(?:x([0-9a-f]{2})|([0-7]{3}))", match[0])
    return bytes(int(hexadecimal, 16) if hexadecimal else int(octal, 8) for hexadecimal, octal in parts).decode(
        errors="replace"
    )
