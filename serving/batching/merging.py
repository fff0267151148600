"""Rows of several requests as one batch, and the batch's answers back to their requests."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from serving.batching.job import Job
from serving.engines.abstract import AbstractPredictor
from serving.errors import PreconditionError, ServingError
from serving.protocol.signature import Signature

__all__ = ["has_rows", "join", "merge_key", "run_jobs", "split"]

Outputs = Mapping[str, np.ndarray]


def has_rows(signature: Signature) -> bool:
    """Whether every input and output has an open first axis, so that rows can be put together and told apart."""
    specs = (*signature.inputs.values(), *signature.outputs.values())
    return bool(signature.inputs) and all(spec.shape and spec.shape[0] is None for spec in specs)


def merge_key(inputs: Sequence[np.ndarray]) -> Hashable:
    """Equal for requests whose rows fit together; None for one whose inputs differ in their number of rows."""
    rows = inputs[0].shape[0]
    if any(array.shape[0] != rows for array in inputs):
        return None
    return tuple(array.shape[1:] for array in inputs)


def run_jobs(
    engine: AbstractPredictor, key: str, jobs: Sequence[Job], *, pad_rows_to: int = 0, pad_lengths: bool = False
) -> None:
    """Answer `jobs` by one call; if that fails, each by its own, so that none fails for another's values.

    Args:
        engine: the version.
        key: the signature.
        jobs: requests whose rows fit together.
        pad_rows_to: repeat the first row up to this many rows, and drop the answers to the repeats.
        pad_lengths: rows of different lengths are filled up with zeros (empty strings, false).
    """
    try:
        _share(engine.run(key, _inputs(jobs, pad_rows_to, pad_lengths)), jobs, pad_rows_to)
        return
    except Exception as error:
        if len(jobs) == 1:
            jobs[0].error = error
            return
    for job in jobs:  # not while the shared error is handled: it would be the context of each one's own
        _run_alone(engine, key, job)


def _run_alone(engine: AbstractPredictor, key: str, job: Job) -> None:
    if job.drop_if_late():
        return
    try:
        job.outputs = engine.run(key, job.inputs)
    except Exception as error:
        job.error = error


def _inputs(jobs: Sequence[Job], pad_rows_to: int, pad_lengths: bool) -> Sequence[np.ndarray]:
    if len(jobs) == 1 and pad_rows_to <= jobs[0].rows:
        return jobs[0].inputs
    columns = [list(column) for column in zip(*(job.inputs for job in jobs), strict=True)]
    if pad_lengths:
        columns = [_same_lengths(column) for column in columns]
    missing = pad_rows_to - sum(job.rows for job in jobs)
    if missing > 0:
        columns = [[*column, np.repeat(column[0][:1], missing, axis=0)] for column in columns]
    return [np.concatenate(column) for column in columns]


def _same_lengths(arrays: list[np.ndarray]) -> list[np.ndarray]:
    sizes = np.max([array.shape[1:] for array in arrays], axis=0) if arrays[0].ndim > 1 else ()
    return [_filled_up(array, (len(array), *sizes)) for array in arrays]


def _filled_up(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if array.shape == shape:
        return array
    filled = np.full(shape, b"", object) if array.dtype == object else np.zeros(shape, array.dtype)
    filled[tuple(slice(size) for size in array.shape)] = array
    return filled


def _share(outputs: Outputs, jobs: Sequence[Job], pad_rows_to: int) -> None:
    rows = sum(job.rows for job in jobs)
    if len(jobs) == 1 and pad_rows_to <= rows:
        jobs[0].outputs = outputs
        return
    total = max(rows, pad_rows_to)
    for name, array in outputs.items():
        if not array.ndim or array.shape[0] != total:
            raise ServingError(f"Output `{name}` of a batch of {total} rows has shape {list(array.shape)}.")
    start = 0
    for job in jobs:
        job.outputs = {name: array[start : start + job.rows] for name, array in outputs.items()}
        start += job.rows


def split(inputs: Sequence[np.ndarray], rows: int) -> list[list[np.ndarray]]:
    """One request's inputs in parts of at most `rows` rows."""
    return [[array[start : start + rows] for array in inputs] for start in range(0, inputs[0].shape[0], rows)]


def join(parts: Sequence[Outputs]) -> Outputs:
    """The answers to the parts of one request as one.

    Raises:
        PreconditionError: an output has another shape in each part.
    """
    try:
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    except ValueError as error:
        raise PreconditionError(
            f"The answers to the parts of a request that was split cannot be joined: {error}"
        ) from error
