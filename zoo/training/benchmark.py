"""Training throughput beside the plainest Keras script of the same model, both in one process and in turns."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from zoo.config import Experiment
from zoo.errors import InvalidValueError
from zoo.features.base import compose
from zoo.training import inputs
from zoo.training.loop import compiled, fit
from zoo.training.strategy import open_strategy

if TYPE_CHECKING:
    import keras
    import numpy as np

__all__ = ["Throughput", "measure_training"]


@dataclasses.dataclass(frozen=True)
class Throughput:
    """Examples a second of the zoo's loop and of the plain script, and their ratio round by round."""

    config: str
    batch_size: int
    examples: int
    rounds: int
    zoo_examples_per_s: float
    keras_examples_per_s: float
    ratio: float
    ratio_min: float
    ratio_max: float


def measure_training(experiment: Experiment, *, examples: int, rounds: int) -> Throughput:
    """Times one epoch over `examples` examples, in turns: first the one, then the other, `rounds` times.

    The plain script is `model.fit(x, y, batch_size=...)` on arrays in memory, features already applied, compiled with
    Keras's defaults, without a strategy. Each side trains one epoch before the clock starts. The ratio is the median
    over rounds, since a machine's speed changes from one to the next.

    Args:
        experiment: gives data, features, model, task and training.
        examples: of the training split; rounded down to whole batches.
        rounds: at least 1.
    """
    if rounds < 1:
        raise InvalidValueError("rounds", "at least 1", rounds)
    batch_size = experiment.training.batch_size
    examples = max(1, examples // batch_size) * batch_size
    splits = dataclasses.replace(experiment.splits, train=f"train[:{examples}]", validation=None)
    experiment = dataclasses.replace(experiment, splits=splits)
    experiment = dataclasses.replace(experiment, features=inputs.fit_features(experiment))
    ours, theirs = _zoo_epoch(experiment), _keras_epoch(experiment)
    ours()
    theirs()
    pairs = [(_seconds(ours), _seconds(theirs)) for _ in range(rounds)]
    ratios = [keras_s / zoo_s for zoo_s, keras_s in pairs]
    return Throughput(
        config=experiment.name,
        batch_size=batch_size,
        examples=examples,
        rounds=rounds,
        zoo_examples_per_s=round(examples / statistics.median(zoo_s for zoo_s, _ in pairs), 1),
        keras_examples_per_s=round(examples / statistics.median(keras_s for _, keras_s in pairs), 1),
        ratio=round(statistics.median(ratios), 3),
        ratio_min=round(min(ratios), 3),
        ratio_max=round(max(ratios), 3),
    )


def _zoo_epoch(experiment: Experiment) -> Callable[[], Any]:
    """Returns one epoch as `zoo train` runs it."""
    strategy = open_strategy(experiment.training)
    with strategy.scope():
        model = experiment.model.build()
    batches = inputs.model_batches(experiment, experiment.splits.train, list(model.input), training=True)
    trained = compiled(model, experiment, int(batches.cardinality()), strategy)
    return lambda: fit(trained, batches, None, epochs=1, title="zoo")


def _keras_epoch(experiment: Experiment) -> Callable[[], Any]:
    """Returns one epoch of `model.fit(x, y, batch_size=...)`."""
    model = experiment.model.build()
    x, y = _arrays(experiment, model)
    model.compile(optimizer="adam", loss=experiment.task.losses(), metrics=experiment.task.metrics())
    return lambda: model.fit(x, y, batch_size=experiment.training.batch_size, verbose=0)  # type: ignore[arg-type]


def _arrays(experiment: Experiment, model: keras.Model) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    import numpy as np

    from zoo.data.pipeline import take_arrays

    raw = take_arrays(experiment.data, experiment.splits.train, 10**9)
    targets = {name: raw.pop(name) for name in experiment.task.targets()}
    featured = compose(experiment.features)(dict(raw))
    tensors = {**{name: np.asarray(tensor) for name, tensor in featured.items()}, **targets}
    x, y = experiment.task.split(tensors)
    return {name: x[name] for name in model.input}, y


def _seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
