"""A `model.tflite` asked in this process, in the order of calls in which TensorFlow Serving asks it.

`tflite_session.cc` takes the inputs in the order of their tensors. One whose shape is another than before is resized,
and all tensors are allocated anew, before it looks at the next input. A model of several inputs meets shapes in between
that belong to no request: see `zoo.exporting.litert.tracing`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["FILE", "asker", "load_litert"]

FILE = "model.tflite"


def load_litert(directory: Path) -> Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]:
    """Returns a function from inputs by name, rows first, to answers by name."""
    return asker((directory / FILE).read_bytes())


def asker(content: bytes) -> Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]:
    """Returns a function from inputs by name to answers by name; rows go one by one where the model takes no others.

    It raises `ValueError` or `RuntimeError` where the model cannot answer.
    """
    interpreter = _interpreter(content)
    interpreter.allocate_tensors()
    details = sorted(interpreter.get_input_details(), key=lambda detail: detail["index"])
    fixed = all(detail["shape_signature"][0] == 1 for detail in details if len(detail["shape_signature"]))

    def ask(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        for detail in details:
            array = np.asarray(arrays[detail["name"]])
            if list(interpreter.get_tensor(detail["index"]).shape) != list(array.shape):
                interpreter.resize_tensor_input(detail["index"], array.shape)
                interpreter.allocate_tensors()
            interpreter.set_tensor(detail["index"], array)
        interpreter.invoke()
        return {detail["name"]: interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()}

    def ask_by_row(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        rows = len(next(iter(arrays.values())))
        answers = [ask({name: array[row : row + 1] for name, array in arrays.items()}) for row in range(rows)]
        return {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]}

    return ask_by_row if fixed else ask


def _interpreter(content: bytes) -> Any:
    import tensorflow as tf

    with warnings.catch_warnings():
        # TensorFlow asks for a package of its own; this one is what stands in TensorFlow's.
        warnings.filterwarnings("ignore", message=r"\s*Warning: tf.lite.Interpreter is deprecated")
        return tf.lite.Interpreter(model_content=content, num_threads=1)
