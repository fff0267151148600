"""The process in which version directories are measured; `zoo.exporting.measure` starts it.

TensorFlow is imported once. Each load is then measured in a fork of the process, which has seen no other model, and
latencies afterwards in the process itself, all models in turns.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from zoo.errors import ExportError
from zoo.exporting.measure_engines import AbstractEngine, engine_of

if TYPE_CHECKING:
    from zoo.exporting.signature import InputSpec

__all__ = ["FREE_SIZE", "main", "timed_in_turns"]

_LOADS = 3  # of each directory, in turns
_CALLS_A_TURN = 10
FREE_SIZE = 100  # entries of an axis of free length, as in `zoo bench serve`
_MB = 1e6


def timed_in_turns(sides: Sequence[Callable[[], object]], calls: int) -> list[list[float]]:
    """Returns the seconds of at least `calls` calls of each side, ten of each in turn.

    A machine's speed changes from one moment to the next. The first turn of each is not counted.
    """
    times: list[list[float]] = [[] for _ in sides]
    for turn in range(1 + -(-calls // _CALLS_A_TURN)):
        for side, seconds in zip(sides, times, strict=True):
            for _ in range(_CALLS_A_TURN):
                start = time.perf_counter()
                side()
                if turn:
                    seconds.append(time.perf_counter() - start)
    return times


def main() -> None:
    """Reads a pickled job from standard input; writes a JSON document of figures, or of an error, to its output."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever libraries print is no answer
    job = pickle.load(sys.stdin.buffer)
    try:
        document = {"results": _measured(**job)}
    except ExportError as error:
        document = {"error": str(error)}
    answers.write(json.dumps(document))
    answers.close()


def _measured(paths: Sequence[Path], examples: Mapping[str, np.ndarray] | None, calls: int) -> list[dict[str, float]]:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    loads: list[list[dict[str, float]]] = [[] for _ in paths]
    for _ in range(_LOADS):
        for path, measured in zip(paths, loads, strict=True):
            measured.append(_in_a_fork(path))
    # The least of each: what else the machine does can only add.
    figures = [{name: min(load[name] for load in measured) for name in measured[0]} for measured in loads]
    engines = [engine_of(path)(path) for path in paths]  # from here on nothing forks: the runtime has its threads
    for rows in (1, 32):
        sides = [_caller(engine, path, examples, rows) for engine, path in zip(engines, paths, strict=True)]
        for found, seconds in zip(figures, timed_in_turns(sides, calls), strict=True):
            found[f"p50_ms_{rows}"] = round(statistics.median(seconds) * 1e3, 4)
    return figures


def _in_a_fork(path: Path) -> dict[str, float]:
    """Returns time and memory of one load in a fork of this process.

    Raises:
        ExportError: the load failed, or ended the fork.
    """
    read, write = os.pipe()
    process = os.fork()
    if not process:
        os.close(read)
        _load(path, write)
    os.close(write)
    with os.fdopen(read) as answer:
        text = answer.read()
    _, status = os.waitpid(process, 0)
    if not text:
        code = os.waitstatus_to_exitcode(status)
        ended = f"by {signal.Signals(-code).name}" if code < 0 else f"with status {code}"
        raise ExportError(f"{path} cannot be measured: loading it ended the process {ended}.")
    document = json.loads(text)
    if "error" in document:
        raise ExportError(f"{path} cannot be loaded: {document['error']}")
    return document


def _load(path: Path, answer: int) -> NoReturn:
    """Loads a model and writes what it took to a file descriptor; then ends the process without any clean-up."""
    try:
        engine = engine_of(path)
        engine.start()
        before, start = _resident_bytes(path), time.perf_counter()
        kept = engine(path)
        load_ms = (time.perf_counter() - start) * 1e3
        memory_mb = (_resident_bytes(path) - before) / _MB
        del kept
        document: dict[str, Any] = {"load_ms": round(load_ms, 1), "memory_mb": round(memory_mb, 2)}
    except Exception as error:  # of any kind: TensorFlow raises many for a damaged file
        document = {"error": f"{type(error).__name__}: {error}"}
    os.write(answer, json.dumps(document).encode())
    os._exit(0)


def _resident_bytes(model: Path) -> int:
    """Returns the resident memory of this process: what it wrote, and the files of the model that it has mapped.

    Other files, such as the code of libraries, are not the model's, and the kernel may drop them meanwhile.
    """
    total, counted = 0, "Anonymous:"
    with Path("/proc/self/smaps").open() as file:  # line by line: a list of them all would count as memory later
        for line in file:
            word = line.split(maxsplit=1)[0]
            if not word.endswith(":"):  # "7f0c-7f0d r--p 00000000 08:01 1234 /usr/lib/libc.so.6"
                counted = "Rss:" if f"{model}/" in line else "Anonymous:"
            elif word == counted:
                total += int(line.split()[1]) * 1024
    return total


def _caller(
    engine: AbstractEngine, path: Path, examples: Mapping[str, np.ndarray] | None, rows: int
) -> Callable[[], object]:
    """Returns a call with `rows` rows; a signature that takes one row alone is called once for each."""
    from zoo.exporting.verify import random_examples

    specs = engine.specs()
    batch = {spec.shape[0] for spec in specs if spec.shape}
    if not batch <= {None, 1}:
        raise ExportError(f"{path} cannot be measured: it takes batches of {batch} rows, neither any number nor one.")
    if examples is None:
        inputs = random_examples(specs, rows, free_size=FREE_SIZE)
    else:
        inputs = _rows_of(examples, specs, path, rows)
    parts = [inputs] if batch == {None} else [{n: a[row : row + 1] for n, a in inputs.items()} for row in range(rows)]

    def call() -> None:
        for part in parts:
            engine.call(part)

    try:
        call()
    except Exception as error:  # TensorFlow's and LiteRT's are of many kinds
        raise ExportError(f"{path} does not answer {rows} rows: {type(error).__name__}: {error}") from error
    return call


def _rows_of(
    examples: Mapping[str, np.ndarray], specs: Sequence[InputSpec], path: Path, rows: int
) -> dict[str, np.ndarray]:
    names = sorted(spec.name for spec in specs)
    if names != sorted(examples):
        raise ExportError(f"{path} takes {', '.join(names)}. Received examples of: {', '.join(sorted(examples))}.")
    return {name: np.take(array, np.arange(rows) % len(array), axis=0) for name, array in examples.items()}


if __name__ == "__main__":
    main()
