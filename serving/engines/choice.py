"""Which engine serves a version directory.

| `prefer` | SavedModel alone | `model.tflite` alone | both | TensorFlow Serving |
|---|---|---|---|---|
| `auto` | TensorFlow | LiteRT | TensorFlow | |
| `tensorflow` | TensorFlow | refused | TensorFlow | as it is |
| `litert` | TensorFlow | LiteRT | LiteRT | `--prefer_tflite_model` |
"""

from __future__ import annotations

import pathlib
from typing import Literal

import grpc

from serving.engines.abstract import AbstractPredictor
from serving.engines.litert import FILE as LITERT_FILE
from serving.engines.litert import LiteRTPredictor
from serving.errors import ModelLoadError

__all__ = ["LITERT_FILE", "SAVED_MODEL_FILES", "Prefer", "open_predictor"]

Prefer = Literal["auto", "tensorflow", "litert"]

SAVED_MODEL_FILES = ("saved_model.pb", "saved_model.pbtxt")


def open_predictor(path: pathlib.Path, *, prefer: Prefer = "auto", verified: bool = False) -> AbstractPredictor:
    """Load a version directory by the engine its files are for; TensorFlow is imported for a SavedModel only.

    Args:
        path: the version directory.
        prefer: which of two files is taken; see the module.
        verified: the directory has a manifest, and its files are as that says.

    Raises:
        ModelLoadError: neither file is there, or the one taken cannot be loaded.
    """
    has_saved_model = any((path / name).is_file() for name in SAVED_MODEL_FILES)
    has_litert = (path / LITERT_FILE).is_file()
    if not has_saved_model and not has_litert:
        raise ModelLoadError(f"{path.name}: no saved_model.pb or {LITERT_FILE} in {path}; is the copy complete?")
    if has_litert and prefer != "tensorflow" and (prefer == "litert" or not has_saved_model):
        return LiteRTPredictor(path, verified=verified)
    if not has_saved_model:
        raise ModelLoadError(
            f"{path.name}: it holds only a {LITERT_FILE}, and this server serves SavedModels only. Let it prefer "
            f"`auto` or `litert`.",
            grpc.StatusCode.FAILED_PRECONDITION,
        )
    from serving.engines.tensorflow import TensorFlowPredictor

    return TensorFlowPredictor(path)
