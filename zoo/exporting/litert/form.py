"""The form `litert`: `model.tflite`, where TensorFlow Serving's `--prefer_tflite_model` looks for it.

What that server does with it (`saved_model_bundle_factory.cc`, `tflite_session.cc`, of its main branch):
- `<version>/model.tflite` is taken in place of `saved_model.pb` where it exists; the flag is for all models alike.
- Only LiteRT's own operations are registered, nothing of TensorFlow's ("Flex").
- Signatures come from a metadata buffer, or else from the tensors' names: see `zoo.exporting.litert.flatbuffer`.
- Types: float32, int32, uint8, int64, string, bool, int16, complex64, int8.
- An input of another shape than before is resized, one input after the other, each time with a new allocation: see
  `zoo.exporting.litert.tracing`. A string input is resized to `[batch]`.
- Requests of several clients are merged into batches only with `--num_tflite_interpreters_per_pool` above 1.
- Warm-up requests are replayed, and one that fails keeps the version from being served.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from zoo.errors import ExportError
from zoo.exporting.litert.conversion import Order, convert
from zoo.exporting.litert.flatbuffer import read_graph
from zoo.exporting.litert.int8 import WEIGHTS_ONLY
from zoo.exporting.litert.interpreter import FILE, asker
from zoo.exporting.litert.options import LiteRT
from zoo.exporting.servable import Servable
from zoo.exporting.verify import largest_difference

__all__ = ["check_calibration", "write_litert"]


def check_calibration(options: LiteRT, calibration: Mapping[str, np.ndarray] | None) -> None:
    """Raises `ExportError` where int8 has no real examples to take its ranges from."""
    if options.precision == "int8" and calibration is None:
        raise ExportError(
            "LiteRT in int8 takes the ranges of activations from real examples, and made-up ones would give wrong "
            "ones. Give `calibration=` arrays by the names of the inputs, or export a run whose data is at hand "
            "(`zoo data fetch NAME`). Or choose the precision 'dynamic', which needs none."
        )


def write_litert(
    servable: Servable,
    path: Path,
    options: LiteRT,
    examples: Mapping[str, np.ndarray],
    calibration: Mapping[str, np.ndarray] | None,
) -> dict[str, Any]:
    """Writes `<path>/model.tflite`.

    Returns:
        What the manifest says of it: precision, the only number of rows or None, and in int8 which activations have
        8 bits: all that can, or those alone that meet weights.

    Raises:
        ExportError: LiteRT lacks an operation, or the process that converts ends abruptly.
    """
    if calibration is not None:
        calibration = {name: array[: options.calibration_rows] for name, array in calibration.items()}
    (converted,) = convert([Order(servable, [options.precision], examples, calibration)])
    models = converted[options.precision].chosen()
    chosen, content = next(iter(models.items()))
    if len(models) > 1 and largest_difference(servable, asker(content), examples) > options.allowed:
        chosen, content = list(models.items())[-1]
    (path / FILE).write_bytes(content)
    facts: dict[str, Any] = {"precision": options.precision, "batch": read_graph(content).batch}
    if options.precision == "int8":
        facts["activations"] = "int8 where they meet weights" if chosen == WEIGHTS_ONLY else "int8"
    return facts
