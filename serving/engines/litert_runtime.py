"""Which LiteRT runs: the package `ai-edge-litert` where it is installed, else the one inside TensorFlow.

Both answer alike, at the same speed; one process may hold both. The package is imported in 0.01 s and 10 MB, TensorFlow
in 3 s and 640 MB. And TensorFlow's (2.21) ends the process where a convolution meets fewer frames than its window has,
which the package's (2.3) refuses. Importing this imports neither.
"""

from __future__ import annotations

import importlib
import importlib.util
import warnings
from typing import Any

__all__ = ["has_package", "new_interpreter", "schema"]

PACKAGE = "ai_edge_litert"
# TensorFlow warns at every interpreter that the package will take its place.
_MOVED = r"\s*Warning: tf.lite.Interpreter is deprecated"


def has_package() -> bool:
    """Whether `ai-edge-litert` is installed, and is what runs."""
    return importlib.util.find_spec(PACKAGE) is not None


def new_interpreter(content: bytes) -> Any:
    """An interpreter of one thread for a file's bytes, which it shares with every other one made of them.

    Raises:
        ValueError: the bytes are no sound flatbuffer of LiteRT's schema; it is verified before it is used.
        RuntimeError: an operation is unknown to this LiteRT.
    """
    if has_package():
        return importlib.import_module(f"{PACKAGE}.interpreter").Interpreter(model_content=content, num_threads=1)
    # Not `catch_warnings`, which puts back the filters of a moment ago, whatever another thread did to them since.
    warnings.filterwarnings("ignore", message=_MOVED)
    module = importlib.import_module("tensorflow.lite.python.interpreter")
    return module.Interpreter(model_content=content, num_threads=1)


def schema() -> Any:
    """The generated readers of a `model.tflite`: `schema().Model.GetRootAs(content)`."""
    package = PACKAGE if has_package() else "tensorflow.lite.python"
    return importlib.import_module(f"{package}.schema_py_generated")
