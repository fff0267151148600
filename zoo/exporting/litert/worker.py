"""The process in which models are converted and tried: `python -m zoo.exporting.litert.worker DIRECTORY...`.

LiteRT's converter and its kernels are native code that may end the process. Each model is converted, named and asked
for real examples in a fork of this process, and what became of it is written down in its directory:

    job.json          {"precisions": [...], "around": [...]}
    saved_model/      the function to convert, its weights constants
    examples.npz      inputs by name, rows first
    calibration.npz   the same, for int8
    NAME.tflite       made here, or NAME.error: why not
    done.json         {"NAME": "made" | "refused" | "crashed"}
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from zoo.exporting.litert.flatbuffer import named_for_serving
from zoo.exporting.litert.int8 import int8_models
from zoo.exporting.litert.interpreter import asker

__all__ = ["main"]

_STATES = {0: "made", 3: "refused"}


def main(directories: Sequence[Path]) -> None:
    """Does the jobs that stand in `directories`."""
    import tensorflow as tf  # noqa: F401  (once for all forks)

    for directory in directories:
        done = {}
        for precision in json.loads((directory / "job.json").read_text())["precisions"]:
            status = _in_fork(partial(_make, directory, precision))
            done[precision] = _STATES.get(status, "crashed")
        (directory / "done.json").write_text(json.dumps(done))


def _in_fork(work: Callable[[], None]) -> int:
    """Returns the exit status of `work`, negative for a signal."""
    process = os.fork()
    if not process:
        status = 1
        try:
            work()
            status = 0
        except _Refused:
            status = 3
        finally:
            sys.stderr.flush()
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


class _Refused(Exception):  # noqa: N818  (never leaves this module)
    """The reason stands in a file."""


def _make(directory: Path, precision: str) -> None:
    examples = _arrays(directory / "examples.npz")
    errors = []
    try:
        made = _converted(directory, precision)
    except Exception as error:  # the converter's are of many kinds, and so are the interpreter's
        made, errors = {}, [error]
    for suffix, content in made.items():
        try:
            named = named_for_serving(content)
            _tried(named, examples)
        except Exception as error:
            errors.append(error)
        else:
            (directory / f"{precision}{suffix}.tflite").write_bytes(named)
    if len(errors) >= max(1, len(made)):  # of two, one will do
        (directory / f"{precision}.error").write_text(f"{type(errors[0]).__name__}: {errors[0]}")
        raise _Refused from errors[0]


def _converted(directory: Path, precision: str) -> dict[str, bytes]:
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(
        str(directory / "saved_model"), signature_keys=["serving_default"]
    )
    if precision == "int8":
        job = json.loads((directory / "job.json").read_text())
        return int8_models(converter, _arrays(directory / "calibration.npz"), job["around"])
    if precision != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    return {"": converter.convert()}


def _tried(content: bytes, examples: Mapping[str, np.ndarray]) -> None:
    """Asks for one row, for all, and for one again, as requests of several sizes come to a server."""
    ask = asker(content)
    row = {name: array[:1] for name, array in examples.items()}
    for arrays in (row, examples, row):
        ask(arrays)


def _arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as stored:
        arrays = dict(stored)
    return {name: array.astype(object) if array.dtype.kind == "S" else array for name, array in arrays.items()}


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
