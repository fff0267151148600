"""Latency of an exported signature beside that of `keras.Model.export`, both called in this process, in turns."""

from __future__ import annotations

import dataclasses
import functools
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from zoo.errors import InvalidValueError

if TYPE_CHECKING:
    import keras

__all__ = ["Latency", "measure_signatures"]


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
    from zoo.exporting.measure_engines import SavedModel
    from zoo.exporting.measure_process import FREE_SIZE, timed_in_turns
    from zoo.exporting.plain import write_plain
    from zoo.exporting.servable import Servable
    from zoo.exporting.signature import specs_of_model
    from zoo.exporting.verify import random_examples

    if calls < 100:
        raise InvalidValueError("calls", "at least 100, for a p99", calls)
    with tempfile.TemporaryDirectory() as folder:
        servable = Servable(model, specs_of_model(model), (), None, ())  # without a task: outputs as they are
        write_plain(servable, Path(folder, "zoo"))
        model.export(f"{folder}/keras", verbose=False)
        ours, theirs = SavedModel(Path(folder, "zoo")), SavedModel(Path(folder, "keras"))
    results = []
    for batch in (1, 32):
        examples = random_examples(specs_of_model(model), batch, free_size=FREE_SIZE)
        sides = [functools.partial(side.call, examples) for side in (ours, theirs)]
        results.append(_latency(batch, *timed_in_turns(sides, calls)))
    return results


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
