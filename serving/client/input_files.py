"""Arrays from files for the command line, and answers to files."""

from __future__ import annotations

import contextlib
import pathlib
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from serving.errors import ServingError, UsageError

__all__ = ["join", "read_inputs", "to_json", "writable", "write_outputs"]


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
        with path.open("rb") as stream:
            found = np.load(stream, allow_pickle=False)
            array = found if isinstance(found, np.ndarray) else _take(name, path, found)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UsageError(f"`--input {name}={path}`: no array can be read from the file: {error}") from error
    if not isinstance(array, np.ndarray):
        raise UsageError(f"`--input {name}={path}`: `{name}` in the archive is no array.")
    return array


def _take(name: str, path: pathlib.Path, archive: Any) -> Any:
    with archive:
        names = archive.files
        if name not in names and len(names) != 1:
            raise UsageError(f"{path} must hold an array `{name}`, or one array only. It holds: {', '.join(names)}.")
        return archive[name if name in names else names[0]]


def join(answers: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The answers of consecutive batches as one; scalars become a vector with one value of each batch.

    Raises:
        ServingError: an output has another shape in each batch.
    """
    if len(answers) == 1:
        return dict(answers[0])
    return {name: _join(name, [answer[name] for answer in answers]) for name in answers[0]}


def _join(name: str, arrays: Sequence[np.ndarray]) -> np.ndarray:
    if all(array.ndim == 0 for array in arrays):
        return np.stack(arrays)
    try:
        return np.concatenate(arrays)
    except ValueError as error:
        shapes = ", ".join(sorted({str(list(array.shape)) for array in arrays}))
        raise ServingError(
            f"The batches' answers in `{name}` cannot be joined. Received shapes: {shapes}. Leave out `--batch-size`."
        ) from error


@contextlib.contextmanager
def writable(path: pathlib.Path | None) -> Iterator[None]:
    """Find out now that `path` can be written, and leave no empty file behind if the work then fails.

    Raises:
        UsageError: it cannot.
    """
    if path is None:
        yield
        return
    existed = path.exists()
    try:
        path.open("ab").close()
    except OSError as error:
        raise UsageError(
            f"`--output {path}` cannot be written: {error.strerror}. Choose a file in a directory that exists."
        ) from error
    try:
        yield
    except BaseException:
        if not existed:
            path.unlink(missing_ok=True)
        raise


def write_outputs(path: pathlib.Path, outputs: Mapping[str, np.ndarray]) -> list[str]:
    """Write `outputs` as `.npz`; the names of those that were widened to float32 because numpy has no bfloat16.

    Strings are written as fixed-width bytes, so that no pickle is needed to read them.
    """
    plain: dict[str, Any] = {
        name: array.astype(np.bytes_) if array.dtype == object else array for name, array in outputs.items()
    }
    widened = [name for name, array in outputs.items() if array.dtype.name == "bfloat16"]
    plain.update({name: outputs[name].astype(np.float32) for name in widened})
    with path.open("wb") as stream:
        np.savez(stream, **plain)
    return widened


def to_json(array: np.ndarray) -> Any:
    """Nested lists; bytes as UTF-8 text, complex numbers as pairs, NaN and infinities (which JSON lacks) as null."""
    if array.dtype == object:
        return np.vectorize(lambda value: value.decode(errors="backslashreplace"), otypes=[object])(array).tolist()
    if array.dtype.kind == "c":
        array = np.stack([np.real(array), np.imag(array)], axis=-1)
    if array.dtype.kind in "biu":
        return array.tolist()
    if array.dtype.name == "bfloat16":
        array = array.astype(np.float32)
    finite = np.isfinite(array)
    if finite.all():
        return array.tolist()
    values = array.astype(object)
    values[~finite] = None
    return values.tolist()
