"""From a servable to models of LiteRT, each made and tried in a process of its own."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from zoo.errors import ExportError
from zoo.exporting.litert.int8 import WEIGHTS_ONLY
from zoo.exporting.litert.options import Precision
from zoo.exporting.litert.tracing import traced_for_litert
from zoo.exporting.servable import SIGNATURE, Servable
from zoo.layers.quantization import ActivationQuantizer

__all__ = ["Converted", "Order", "convert"]

_STATIC_ONLY = "requires element_shape to be static"
_COMMAND = ("-m", "zoo.exporting.litert.worker")
_LAST_LINES = 3
_LONGEST = 800


@dataclasses.dataclass(frozen=True)
class Converted:
    """What became of one precision: models to choose from, the better one first, or why there are none.

    There is one, `""`, or in int8 up to two: `WEIGHTS_ONLY` has fewer activations of 8 bits.
    """

    models: Mapping[str, bytes] = dataclasses.field(default_factory=dict)
    error: str = ""

    def chosen(self) -> Mapping[str, bytes]:
        """Returns the models.

        Raises:
            ExportError: there are none.
        """
        if self.error:
            raise ExportError(self.error)
        return self.models


@dataclasses.dataclass(frozen=True)
class Order:
    """A servable and the precisions wanted of it.

    Attributes:
        servable: what is to be served.
        precisions: one or more.
        examples: inputs that each model is tried with, by name, rows first.
        calibration: real inputs that int8 takes its ranges from.
    """

    servable: Servable
    precisions: Sequence[Precision]
    examples: Mapping[str, np.ndarray]
    calibration: Mapping[str, np.ndarray] | None = None


def convert(orders: Sequence[Order]) -> list[dict[Precision, Converted]]:
    """Returns for each order what became of its precisions; all are made in one process, one after the other.

    A model that LiteRT takes with a fixed number of rows only is converted for one row.
    """
    results = _convert(orders, None)
    again = [
        dataclasses.replace(order, precisions=[one for one, made in result.items() if made.error == _STATIC_ONLY])
        for order, result in zip(orders, results, strict=True)
    ]
    if any(order.precisions for order in again):
        results = [first | second for first, second in zip(results, _convert(again, 1), strict=True)]
    return results


def _convert(orders: Sequence[Order], batch: int | None) -> list[dict[Precision, Converted]]:
    with tempfile.TemporaryDirectory() as folder:
        jobs = {
            Path(folder, f"{index}-{number}"): (index, precisions, fake_quantized)
            for index, order in enumerate(orders)
            for number, (precisions, fake_quantized) in enumerate(_traces(order))
        }
        for directory, (index, precisions, fake_quantized) in jobs.items():
            _prepare(directory, dataclasses.replace(orders[index], precisions=precisions), batch, fake_quantized)
        log = _run(list(jobs)) if jobs else ""
        results: list[dict[Precision, Converted]] = [{} for _ in orders]
        for directory, (index, precisions, _) in jobs.items():
            done = directory / "done.json"
            states = json.loads(done.read_text()) if done.exists() else {}
            results[index] |= {
                one: _result(directory, one, states.get(one, "crashed"), log, any_batch=batch is None)
                for one in precisions
            }
    return results


def _traces(order: Order) -> list[tuple[list[Precision], bool]]:
    """Returns the precisions that share a graph; int8 has one of its own where activations are quantised already."""
    layers: list[Any] = order.servable.model._flatten_layers()
    marked = any(isinstance(layer, ActivationQuantizer) for layer in layers)
    eight: list[Precision] = [one for one in order.precisions if marked and one == "int8"]
    others: list[Precision] = [one for one in order.precisions if one not in eight]
    return [(precisions, fake) for precisions, fake in ((others, False), (eight, True)) if precisions]


def _prepare(directory: Path, order: Order, batch: int | None, fake_quantized: bool) -> None:
    """Writes what the worker needs; see there."""
    directory.mkdir()
    lite = traced_for_litert(order.servable, batch=batch, fake_quantized=fake_quantized)
    if any(outside.dtype == tf.resource for outside in lite.function.captured_inputs):
        raise ExportError(
            f"A layer of {order.servable.model.name!r} holds a table or another resource of TensorFlow, which LiteRT "
            "does not take. Nothing was published. Export as 'plain' or 'packed'."
        )
    module: Any = tf.Module()
    tf.saved_model.save(module, str(directory / "saved_model"), signatures={SIGNATURE: lite.function})
    _write_arrays(directory / "examples.npz", order.examples)
    if order.calibration is not None:
        _write_arrays(directory / "calibration.npz", order.calibration)
    job = {"precisions": list(order.precisions), "around": list(lite.around)}
    (directory / "job.json").write_text(json.dumps(job))


def _run(directories: Sequence[Path]) -> str:
    """Runs the worker and returns what it wrote on its standard error."""
    environment = {"TF_CPP_MIN_LOG_LEVEL": "2", **os.environ}
    command = [sys.executable, *_COMMAND, *map(str, directories)]
    ended = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    return ended.stderr.decode(errors="replace")


def _result(directory: Path, precision: Precision, state: str, log: str, *, any_batch: bool) -> Converted:
    if state == "made":
        paths = {suffix: directory / f"{precision}{suffix}.tflite" for suffix in ("", WEIGHTS_ONLY)}
        return Converted({suffix: path.read_bytes() for suffix, path in paths.items() if path.exists()})
    if state == "refused":
        said = (directory / f"{precision}.error").read_text()
        return Converted(error=_STATIC_ONLY if any_batch and _STATIC_ONLY in said else _explained(said))
    last = " / ".join(log.strip().splitlines()[-_LAST_LINES:])
    return Converted(
        error=f"The process that converts to LiteRT in {precision} ended abruptly, as its native code does at models "
        f"it cannot take. Nothing was published. Try another precision. The end of what it wrote: {last or '(nothing)'}"
    )


def _explained(error: str) -> str:
    """Returns an error of the converter in words that say what to do."""
    missing = set(re.findall(r"'tf\.(\w+)' op is neither a custom op nor a flex op", error))
    for listed in re.findall(r"TF Select ops: ([\w, ]+)", error):
        missing.update(name.strip() for name in listed.split(",") if name.strip())
    if missing:
        return (
            f"LiteRT has no operation, of the type used, for {', '.join(sorted(missing))}. Nothing was published. "
            "Export as 'plain' or 'packed'; or leave out what needs it: without a task, a model exported from Python "
            "answers its outputs as they are."
        )
    return (
        "LiteRT cannot take this model. Nothing was published. Export as 'plain' or 'packed'. It says: "
        + error[:_LONGEST]
    )


def _write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    plain = {name: array.astype("S") if array.dtype == object else array for name, array in arrays.items()}
    np.savez(path, **plain)  # pyright: ignore[reportArgumentType]
