"""What version directories cost: bytes, load time, memory and latency, measured side by side."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import signal
import subprocess
import sys
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.errors import ExportError, InvalidValueError

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Measured", "bytes_of", "gzip_bytes_of", "measure"]

_CHUNK = 1 << 20
_TOLD_LINES = 5


@dataclasses.dataclass(frozen=True)
class Measured:
    """What a version directory costs.

    Attributes:
        bytes: of all files in the directory.
        gzip_bytes: of all files, each gzipped at level 9.
        load_ms: of a load into a process with TensorFlow started and no other model; the quickest of three such
            processes, as what else the machine does can only add.
        memory_mb: resident memory of that process (10^6 bytes) after the load less that before it: what it wrote, and
            files of the model that it has mapped, without the code of libraries, which is the same for every model.
        p50_ms_1: of a call of the signature with one row, on one thread; half of the calls took no longer.
        p50_ms_32: with 32 rows; of 32 calls where the signature takes one row alone.
    """

    bytes: int
    gzip_bytes: int
    load_ms: float
    memory_mb: float
    p50_ms_1: float
    p50_ms_32: float


def measure(
    paths: Sequence[Path], *, examples: Mapping[str, np.ndarray] | None = None, calls: int = 200
) -> list[Measured]:
    """Measures version directories of the same signature, in a process of their own; about 8 s and the calls.

    A directory holds what `zoo export` writes in any form, or `keras.Model.export`. Loads are each in a process that
    holds no other model. Calls take turns, so that a machine whose speed changes is fair to all.

    Args:
        paths: `<root>/<name>/<version>`, one or more.
        examples: one array for each input of the signature, rows first, repeated to 32 rows; by default made up, with
            100 entries where a length is free.
        calls: of each directory at each batch size.

    Raises:
        ExportError: a directory holds no model, does not load, does not take the examples, or ended the process; or
            the system is not Linux.
    """
    from zoo.exporting.measure_engines import engine_of

    paths = [Path(path).resolve() for path in paths]
    if not paths:
        raise InvalidValueError("paths", "one or more version directories", paths)
    if calls < 1:
        raise InvalidValueError("calls", "at least 1", calls)
    for path in paths:
        engine_of(path)
    if not sys.platform.startswith("linux"):
        raise ExportError(f"Memory is measured on Linux only, which tells it in /proc. Received: {sys.platform}.")
    results = _run({"paths": paths, "examples": examples, "calls": calls})
    return [
        Measured(bytes_of(path), gzip_bytes_of(path), **result) for path, result in zip(paths, results, strict=True)
    ]


def bytes_of(directory: Path) -> int:
    """Returns the bytes of all files in a directory and those below it."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def gzip_bytes_of(directory: Path) -> int:
    """Returns the bytes of all files in a directory and those below it, each gzipped at level 9."""
    return sum(_gzipped(path) for path in directory.rglob("*") if path.is_file())


def _gzipped(path: Path) -> int:
    compressor = zlib.compressobj(9, wbits=31)  # 31: with gzip's header and checksum
    size = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            size += len(compressor.compress(chunk))
    return size + len(compressor.flush())


def _run(job: Mapping[str, object]) -> list[dict[str, float]]:
    """Returns what the measuring process answers; its messages are told only where it fails."""
    command = [sys.executable, "-m", "zoo.exporting.measure_process"]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}  # a fork cannot use a device of its parent's
    done = subprocess.run(command, input=pickle.dumps(job), capture_output=True, env=environment, check=False)
    if done.returncode or not done.stdout:
        raise ExportError(f"The process that measures ended {_ending(done.returncode)}. {_last(done.stderr.decode())}")
    document = json.loads(done.stdout)
    if "error" in document:
        raise ExportError(document["error"])
    return document["results"]


def _ending(code: int) -> str:
    return f"by {signal.Signals(-code).name}" if code < 0 else f"with status {code}"


def _last(messages: str) -> str:
    lines = [line for line in messages.splitlines() if line.strip()][-_TOLD_LINES:]
    return "Its last messages:\n" + "\n".join(lines) if lines else "It said nothing."
