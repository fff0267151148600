"""Answers for people: the likeliest classes of each example, or the arrays as they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

__all__ = ["answer_lines", "dtype_name"]

TOP_CLASSES = 5
MAX_ROWS = 20


def dtype_name(array: np.ndarray) -> str:
    """The dtype for people."""
    return "string" if array.dtype == object else array.dtype.name


def answer_lines(outputs: Mapping[str, np.ndarray]) -> Iterator[str]:
    """A table of the five likeliest classes of each row where there are `probabilities`, else every array.

    Example:
        >>> probabilities, label = np.array([[0.25, 0.75]]), np.array([b"dog"], object)
        >>> print(*answer_lines({"probabilities": probabilities, "label": label}), sep="\\n")
        row  class  probability  label
          0      1       0.7500  dog
                 0       0.2500
        <BLANKLINE>
        probabilities: float64 [1, 2]
        label: string [1]
    """
    probabilities = outputs.get("probabilities")
    tabular = probabilities is not None and probabilities.ndim == 2 and probabilities.size > 0
    if probabilities is not None and tabular:
        yield from _table(probabilities.astype(np.float64), outputs.get("label"))
        yield ""
    for name, array in outputs.items():
        yield f"{name}: {dtype_name(array)} {list(array.shape)}"
        if not tabular:
            yield str(array)


def _table(probabilities: np.ndarray, labels: np.ndarray | None) -> Iterator[str]:
    rows = len(probabilities)
    known = labels if labels is not None and labels.shape == (rows,) and labels.dtype == object else None
    yield "row  class  probability" + ("" if known is None else "  label")
    for row, values in enumerate(probabilities[:MAX_ROWS]):
        for rank, index in enumerate(np.argsort(-values, kind="stable")[:TOP_CLASSES]):
            label = f"  {known[row].decode(errors='backslashreplace')}" if known is not None and rank == 0 else ""
            yield f"{row if rank == 0 else '':>3}  {index:5d}  {values[index]:11.4f}{label}"
    if rows > MAX_ROWS:
        yield f"... and {rows - MAX_ROWS} rows more; `--json` or `--output FILE.npz` has them all"
