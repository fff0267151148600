"""A big array, or a stream of rows, in batches."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike

from serving.errors import UsageError

__all__ = ["Inputs", "in_batches"]

Inputs = Mapping[str, ArrayLike] | Iterable[Mapping[str, ArrayLike]]


def in_batches(inputs: Inputs, batch_size: int | None) -> Iterator[dict[str, Any]]:
    """`inputs` as requests of at most `batch_size` rows each.

    Args:
        inputs: either arrays by name, cut along their first axis; or an iterable of rows, mappings of an example's
            arrays without a batch axis, which is only read as far as batches are taken.
        batch_size: rows in a batch; None takes arrays whole, and each item of an iterable as a batch of its own.

    Raises:
        UsageError: `batch_size` is below 1, arrays differ in their number of rows, or rows in their names.

    Example:
        >>> list(in_batches({"x": [1, 2, 3]}, 2))
        [{'x': [1, 2]}, {'x': [3]}]
        >>> list(in_batches([{"x": 1}, {"x": 2}, {"x": 3}], 2))
        [{'x': [1, 2]}, {'x': [3]}]
    """
    if batch_size is not None and batch_size < 1:
        raise UsageError(f"`batch_size` must be at least 1, or None. Received: batch_size={batch_size}.")
    if isinstance(inputs, Mapping):
        arrays: dict[str, Any] = dict(cast(Mapping[str, ArrayLike], inputs))
        return iter([arrays]) if batch_size is None else _cut(arrays, batch_size)
    return (dict(batch) for batch in inputs) if batch_size is None else _gather(inputs, batch_size)


def _cut(inputs: Mapping[str, Any], size: int) -> Iterator[dict[str, Any]]:
    arrays = {name: value if isinstance(value, list) else np.asarray(value) for name, value in inputs.items()}
    rows = {name: len(array) if isinstance(array, list) or array.ndim else 0 for name, array in arrays.items()}
    if len(set(rows.values())) != 1 or 0 in rows.values():
        raise UsageError(f"To be cut into batches, all inputs must have the same number of rows. Received: {rows}.")
    starts = range(0, next(iter(rows.values())), size)
    return ({name: array[start : start + size] for name, array in arrays.items()} for start in starts)


def _gather(rows: Iterable[Mapping[str, ArrayLike]], size: int) -> Iterator[dict[str, Any]]:
    remaining = iter(rows)
    while batch := list(itertools.islice(remaining, size)):
        names = batch[0].keys()
        for row in batch:
            if row.keys() != names:
                raise UsageError(f"Every row must have the same inputs. Received: {sorted(names)} and {sorted(row)}.")
        yield {name: [row[name] for row in batch] for name in names}
