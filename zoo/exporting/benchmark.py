"""Latency of an exported signature beside that of `keras.Model.export`, both called in this process, in turns."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.errors import InvalidValueError

if TYPE_CHECKING:
    import keras

__all__ = ["Latency", "measure_signatures"]

_SEQUENCE_LENGTH = 100
_CALLS_A_TURN = 10


@dataclasses.dataclass(frozen=True)
class Latency:
    """Milliseconds of a call with `batch` rows: half of the calls, and 99 of 100, took no longer.

    `ratio` is ours by Keras's p50: below 1, ours is faster.
    """

    batch: int
    zoo_p50_ms: float
    zoo_p99_ms: float
    keras_p50_ms: float
    keras_p99_ms: float
    ratio: float


def measure_signatures(model: keras.Model, *, calls: int = 200) -> list[Latency]:
    """Exports a model both ways into a temporary directory and times both signatures at batch 1 and 32.

    Both take the model's inputs and answer its outputs, without features and task, so that they compute the same;
    ours checks its inputs' shapes as well. A sequence of free length has 100 frames. Calls take turns, ten of each
    side, since a machine's speed changes from one moment to the next.

    Args:
        calls: of each side at each batch size; at least 100.
    """
    import tensorflow as tf

    from zoo.exporting.plain import write_plain
    from zoo.exporting.servable import Servable
    from zoo.exporting.signature import specs_of_model
    from zoo.exporting.verify import random_examples

    if calls < 100:
        raise InvalidValueError("calls", "at least 100, for a p99", calls)
    with tempfile.TemporaryDirectory() as folder:
        servable = Servable(model, specs_of_model(model), (), None, ())  # without a task: outputs as they are
        write_plain(servable, Path(folder, "zoo"))
        ours = tf.saved_model.load(f"{folder}/zoo")
        model.export(f"{folder}/keras", verbose=False)
        theirs = tf.saved_model.load(f"{folder}/keras")
    sides = [_caller(loaded.signatures["serving_default"]) for loaded in (ours, theirs)]
    results = []
    for batch in (1, 32):
        examples = random_examples(specs_of_model(model), batch, free_size=_SEQUENCE_LENGTH)
        times = _timed(sides, examples, calls)
        results.append(_latency(batch, *times))
    return results


def _caller(signature: Any) -> Callable[[Mapping[str, np.ndarray]], None]:
    import tensorflow as tf

    def call(examples: Mapping[str, np.ndarray]) -> None:
        outputs = signature(**{name: tf.constant(array) for name, array in examples.items()})
        for value in outputs.values():
            value.numpy()

    return call


def _timed(
    sides: list[Callable[[Mapping[str, np.ndarray]], None]], examples: Mapping[str, np.ndarray], calls: int
) -> list[list[float]]:
    """Returns the seconds of each call of each side; the first turn of each is not counted."""
    times: list[list[float]] = [[] for _ in sides]
    for turn in range(1 + -(-calls // _CALLS_A_TURN)):
        for side, seconds in zip(sides, times, strict=True):
            for _ in range(_CALLS_A_TURN):
                start = time.perf_counter()
                side(examples)
                if turn:
                    seconds.append(time.perf_counter() - start)
    return times


def _latency(batch: int, ours: list[float], theirs: list[float]) -> Latency:
    def ms(side: list[float], percent: int) -> float:
        return round(float(np.percentile(side, percent)) * 1e3, 3)

    return Latency(
        batch=batch,
        zoo_p50_ms=ms(ours, 50),
        zoo_p99_ms=ms(ours, 99),
        keras_p50_ms=ms(theirs, 50),
        keras_p99_ms=ms(theirs, 99),
        ratio=round(ms(ours, 50) / ms(theirs, 50), 3),
    )
