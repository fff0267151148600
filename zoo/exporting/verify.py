"""A written SavedModel, loaded again: does it answer as the model in this process does, and how fast?"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from zoo.errors import ExportError
from zoo.exporting.servable import SIGNATURE, Servable
from zoo.exporting.signature import InputSpec

__all__ = ["random_examples", "verify"]

_TOLERANCE = 1e-4
_FREE_SIZE = 8


def verify(servable: Servable, path: Path, examples: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Compares the SavedModel with the model itself, and times it.

    Args:
        servable: what was exported.
        path: the SavedModel.
        examples: one array per input, rows first.

    Returns:
        `max_difference` between floating answers, and `p50_ms` of a call with one row, in this process.

    Raises:
        ExportError: an answer differs by more than 1e-4, or in an integer or a string, or there is none.
    """
    loaded = tf.saved_model.load(str(path))
    signature = loaded.signatures[SIGNATURE]
    tensors = {name: tf.constant(array) for name, array in examples.items()}
    try:
        served = {name: value.numpy() for name, value in signature(**tensors).items()}
    except tf.errors.OpError as error:
        raise ExportError(
            f"Refused to publish: the SavedModel cannot answer its own examples. Has each layer its vocabulary, and "
            f"are the examples such as the model takes? TensorFlow says: {error.message}"
        ) from error
    expected = {name: np.asarray(value) for name, value in servable.answers(tensors).items()}
    largest = 0.0
    for name, value in expected.items():
        if not np.issubdtype(value.dtype, np.floating):
            continue
        difference = float(np.abs(served[name].astype("float64") - value).max())
        if not difference <= _TOLERANCE:
            raise ExportError(
                f"Refused to publish: the SavedModel's `{name}` differs by {difference:.2g} from the model's own, "
                f"{_TOLERANCE} is allowed. Does the model hold a NaN, or behave by chance in inference?"
            )
        largest = max(largest, difference)
    differing = _differing(servable, served, expected)
    if differing is not None:
        raise ExportError(f"Refused to publish: the SavedModel's `{differing}` differs from the model's own.")
    row = {name: value[:1] for name, value in tensors.items()}
    return {"max_difference": largest, "p50_ms": _p50_ms(signature, row)}


def _p50_ms(signature, row: Mapping[str, tf.Tensor], calls: int = 40) -> float:
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        signature(**row)
        times.append(time.perf_counter() - start)
    return round(float(np.median(times[calls // 4 :])) * 1e3, 4)


def _differing(servable: Servable, served: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> str | None:
    """Returns the name of an answer that is no number and differs; what is a tie the task decides."""
    discrete = [name for name, value in expected.items() if not np.issubdtype(value.dtype, np.floating)]
    differing = [name for name in discrete if not np.array_equal(served[name], expected[name])]
    if differing and servable.task is not None:
        return servable.task.difference(served, expected, _TOLERANCE)
    return next(iter(differing), None)


def random_examples(specs: Sequence[InputSpec], rows: int = 4, *, free_size: int = _FREE_SIZE) -> dict[str, np.ndarray]:
    """Returns made-up inputs for each spec: for when no real example is at hand. Masks are all true.

    Axes that are free have `free_size` entries.
    """
    generator = np.random.default_rng(0)
    examples = {}
    for spec in specs:
        shape = [rows, *(size or free_size for size in spec.shape[1:])]
        dtype = np.dtype(tf.as_dtype(spec.dtype).as_numpy_dtype)
        if dtype == np.bool_:
            examples[spec.name] = np.ones(shape, dtype)
        elif np.issubdtype(dtype, np.integer):
            examples[spec.name] = generator.integers(0, 2, shape).astype(dtype)
        elif np.issubdtype(dtype, np.floating):
            examples[spec.name] = generator.uniform(size=shape).astype(dtype)
        else:
            examples[spec.name] = np.full(shape, b"example", dtype=object)
    return examples
