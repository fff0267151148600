"""The process in which a `model.tflite` is tried: `python -m serving.engines.litert_trial VERSION_DIRECTORY`.

What counts is that it ends by itself; an error that Python can raise is for the process that asked.
"""

from __future__ import annotations

import contextlib
import pathlib
import sys

import numpy as np

from serving.engines.litert import LiteRTPredictor
from serving.errors import ServingError
from serving.protocol.signature import Signature

__all__ = ["main"]

OPEN_SIZES = (1, 12)  # of every open dimension; a resize comes in between


def main(path: pathlib.Path) -> None:
    """Load the file and run each of its signatures on zeros."""
    predictor = LiteRTPredictor(path, verified=True, num_interpreters=1)
    for key, signature in predictor.signatures.items():
        for size in OPEN_SIZES:
            with contextlib.suppress(ServingError):
                predictor.run(key, _zeros(signature, size))


def _zeros(signature: Signature, size: int) -> list[np.ndarray]:
    arrays = []
    for spec in signature.inputs.values():
        shape = [size if fixed is None else fixed for fixed in spec.shape or ()]
        arrays.append(np.full(shape, b"", object) if spec.dtype.is_string else np.zeros(shape, spec.dtype.numpy))
    return arrays


if __name__ == "__main__":
    with contextlib.suppress(ServingError):
        main(pathlib.Path(sys.argv[1]))
