"""Arrays from files for the command line, and answers to files."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from serving.errors import UsageError

__all__ = ["batches", "join", "read_inputs", "to_json", "write_outputs"]


def read_inputs(arguments: Sequence[str]) -> dict[str, np.ndarray]:
    """The arrays of `NAME=FILE.npy` and `NAME=FILE.npz` arguments.

    Of an `.npz` file the array called NAME is taken, or the only one.

    Raises:
        UsageError: an argument of another form, a name given twice, a file that is missing or holds no such array.
    """
    inputs: dict[str, np.ndarray] = {}
    for argument in arguments:
        name, separator, file = argument.partition("=")
        if not (separator and name and file):
            raise UsageError(f"`--input` must be NAME=FILE.npy or NAME=FILE.npz. Received: {argument!r}.")
        if name in inputs:
            raise UsageError(f"`--input` must name each input once. Received twice: {name}.")
        inputs[name] = _read(name, pathlib.Path(file))
    return inputs


def _read(name: str, path: pathlib.Path) -> np.ndarray:
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UsageError(f"`--input {name}={path}`: no array can be read from the file: {error}") from error
    if isinstance(found, np.ndarray):
        return found
    with found:
        names = found.files
        if name not in names and len(names) != 1:
            raise UsageError(f"{path} must hold an array `{name}`, or one array only. It holds: {', '.join(names)}.")
        return found[name if name in names else names[0]]


def batches(inputs: Mapping[str, np.ndarray], size: int | None) -> Iterator[dict[str, np.ndarray]]:
    """`inputs` in slices of `size` rows; whole without a size.

    Raises:
        UsageError: the inputs differ in their number of rows.
    """
    if size is None:
        yield dict(inputs)
        return
    rows = {name: array.shape[0] if array.ndim else 0 for name, array in inputs.items()}
    if len(set(rows.values())) != 1 or 0 in rows.values():
        raise UsageError(f"With `--batch-size`, every input must have the same number of rows. Received: {rows}.")
    for start in range(0, next(iter(rows.values())), size):
        yield {name: array[start : start + size] for name, array in inputs.items()}


def join(answers: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The answers of consecutive batches as one."""
    if len(answers) == 1:
        return dict(answers[0])
    return {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]}


def write_outputs(path: pathlib.Path, outputs: Mapping[str, np.ndarray]) -> None:
    """Write `outputs` as `.npz`; strings as fixed-width bytes, so that no pickle is needed to read them."""
    plain: dict[str, Any] = {
        name: array.astype(np.bytes_) if array.dtype == object else array for name, array in outputs.items()
    }
    with path.open("wb") as stream:
        np.savez(stream, **plain)


def to_json(array: np.ndarray) -> Any:
    """Nested lists; bytes as UTF-8 text."""
    if array.dtype == object:
        array = np.vectorize(lambda value: value.decode(errors="backslashreplace"), otypes=[object])(array)
    elif array.dtype.kind == "c":
        return np.stack([np.real(array), np.imag(array)], axis=-1).tolist()
    return array.tolist()
