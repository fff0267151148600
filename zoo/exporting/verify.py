"""What was written, loaded again: does it answer as the model in this process does, and how fast?"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from zoo.errors import ExportError
from zoo.exporting.example_signature import CLASSIFY, INPUTS, classified, to_examples
from zoo.exporting.servable import SIGNATURE, Servable
from zoo.exporting.signature import InputSpec

__all__ = ["TOLERANCE", "Ask", "largest_difference", "load_saved_model", "random_examples", "verify", "verify_examples"]

Ask = Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]

TOLERANCE = 1e-4
"""Of a SavedModel: it computes what the model computes, in another order at most."""

_FREE_SIZE = 8


def load_saved_model(path: Path, key: str = SIGNATURE) -> Ask:
    """Returns a signature of a SavedModel as a function from arrays to arrays, rows first, by name."""
    signature = tf.saved_model.load(str(path)).signatures[key]

    def ask(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        answers = signature(**{name: tf.constant(array) for name, array in arrays.items()})
        return {name: value.numpy() for name, value in answers.items()}

    return ask


def verify(
    servable: Servable,
    path: Path,
    examples: Mapping[str, np.ndarray],
    load: Callable[[Path], Ask] = load_saved_model,
    tolerance: float = TOLERANCE,
    hint: str = "Does the model hold a NaN, or behave by chance in inference?",
) -> dict[str, float]:
    """Compares what was written with the model itself, and times it.

    Args:
        servable: what was exported.
        path: the version directory.
        examples: one array per input, rows first.
        load: makes what stands there answer.
        tolerance: what a floating answer may differ by, in shares of it where it is above 1.
        hint: how to mend a larger difference.

    Returns:
        `max_difference` between floating answers, `tolerance`, and `p50_ms` of a call with one row, in this process.

    Raises:
        ExportError: an answer differs by more than the tolerance, or in an integer or a string, or there is none.
    """
    try:
        ask = load(path)
        served = ask(examples)
    except (tf.errors.OpError, RuntimeError, ValueError) as error:
        raise ExportError(
            "Refused to publish: what was written cannot answer its own examples. Has each layer its vocabulary, and "
            f"are the examples such as the model takes? TensorFlow says: {getattr(error, 'message', error)}"
        ) from error
    expected = _expected(servable, examples)
    differences = _differences(served, expected)
    for name, difference in differences.items():
        if not difference <= tolerance:
            raise ExportError(
                f"Refused to publish: the exported `{name}` differs by {difference:.2g} from the model's own, "
                f"{tolerance} is allowed. {hint}"
            )
    differing = _differing(servable, served, expected, tolerance)
    if differing is not None:
        raise ExportError(f"Refused to publish: the exported `{differing}` differs from the model's own. {hint}")
    row = {name: value[:1] for name, value in examples.items()}
    largest = max(differences.values(), default=0.0)
    return {"max_difference": largest, "tolerance": tolerance, "p50_ms": _p50_ms(ask, row)}


def verify_examples(servable: Servable, path: Path, examples: Mapping[str, np.ndarray]) -> None:
    """Compares the signature `classify`, where it was asked for, with the model itself, on the same examples.

    Raises:
        ExportError: a score differs by more than `TOLERANCE`, or a class goes by another name.
    """
    if CLASSIFY not in servable.signatures:
        return
    serialized = np.array(to_examples(servable.inputs, examples), object)
    served = load_saved_model(path, CLASSIFY)({INPUTS: serialized})
    answers = classified(servable, _expected(servable, examples), tf.constant(serialized))
    expected = {name: np.asarray(value) for name, value in answers.items()}
    apart = _differences(served, expected)["scores"]
    if not apart <= TOLERANCE or not np.array_equal(served["classes"], expected["classes"]):
        raise ExportError(
            f"Refused to publish: the signature {CLASSIFY!r} answers otherwise than the model; its scores differ by "
            f"{apart:.2g}, {TOLERANCE} is allowed. Export without this signature."
        )


def largest_difference(servable: Servable, ask: Ask, examples: Mapping[str, np.ndarray]) -> float:
    """Returns the largest difference of a floating answer from the model's own; infinity where one is no number."""
    differences = _differences(ask(examples), _expected(servable, examples))
    return max((value if value == value else float("inf") for value in differences.values()), default=0.0)


def _expected(servable: Servable, examples: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    tensors = {name: tf.constant(array) for name, array in examples.items()}
    return {name: np.asarray(value) for name, value in servable.answers(tensors).items()}


def _differences(served: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Returns the largest difference of each floating answer, in shares of the answer where that is above 1."""
    differences = {}
    for name, value in expected.items():
        if np.issubdtype(value.dtype, np.floating):
            ours, theirs = served[name].astype("float64"), value.astype("float64")
            with np.errstate(invalid="ignore"):  # infinity less infinity, where both answer it
                apart = np.abs(ours - theirs) / np.maximum(1.0, np.abs(theirs))
            differences[name] = float(np.where(ours == theirs, 0.0, apart).max())
    return differences


def _p50_ms(ask: Ask, row: Mapping[str, np.ndarray], calls: int = 40) -> float:
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        ask(row)
        times.append(time.perf_counter() - start)
    return round(float(np.median(times[calls // 4 :])) * 1e3, 4)


def _differing(
    servable: Servable, served: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray], tolerance: float
) -> str | None:
    """Returns the name of an answer that is no number and differs; what is a tie the task decides."""
    discrete = [name for name, value in expected.items() if not np.issubdtype(value.dtype, np.floating)]
    differing = [name for name in discrete if not np.array_equal(served[name], expected[name])]
    if differing and servable.task is not None:
        # Of two answers, one may have risen and the other fallen by the tolerance.
        return servable.task.difference(served, expected, 2 * tolerance)
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
