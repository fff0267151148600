"""Training throughput beside the plainest Keras script of the same model, in turns."""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import statistics
import time
from collections.abc import Iterable, Mapping
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, Literal

from zoo.config import Experiment, from_json, to_json
from zoo.errors import InvalidValueError, TrainingError, ZooError
from zoo.training import inputs
from zoo.training.featured import Featured
from zoo.training.loop import compiled, fit
from zoo.training.strategy import open_strategy

if TYPE_CHECKING:
    import keras
    import numpy as np

__all__ = ["Throughput", "measure_training"]

Side = Literal["zoo", "keras"]
_ENDLESS = 10**9  # epochs: a side trains until nobody asks for the next


@dataclasses.dataclass(frozen=True)
class Throughput:
    """Examples a second of the zoo's loop and of the plain script, and their ratio round by round.

    The first epoch of each side, in which graphs are traced and compiled, stands for itself. `zoo_padding` and
    `keras_padding` are the shares of the positions of sequences that hold no data, which cost as much as those that do.
    """

    config: str
    batch_size: int
    examples: int
    rounds: int
    zoo_examples_per_s: float
    keras_examples_per_s: float
    ratio: float
    ratio_min: float
    ratio_max: float
    zoo_first_epoch_s: float
    keras_first_epoch_s: float
    epochs_a_round: int
    zoo_padding: float
    keras_padding: float


def measure_training(experiment: Experiment, *, examples: int, rounds: int, seconds: float = 3.0) -> Throughput:
    """Times epochs over `examples` examples, in turns: first the one side's, then the other's, `rounds` times.

    A turn is one epoch, or as many as take about `seconds`.

    The plain script is `model.fit(x, y, batch_size=...)` on arrays in memory, features already applied and padded to
    the longest, with the optimiser of the same name at a constant rate, without a strategy. Each side is one call of
    `fit` in a process of its own, since a process's memory and threads are set for all in it; it waits for its turn,
    and its first epoch, in which graphs are traced and compiled, is not counted. The ratio is the median over rounds,
    since a machine's speed changes from one to the next.

    Args:
        experiment: gives data, features, model, task and training.
        examples: of the training split, all where it holds fewer; rounded down to whole batches.
        rounds: at least 1.

    Raises:
        TrainingError: a process failed; the message is its own.
    """
    if rounds < 1:
        raise InvalidValueError("rounds", "at least 1", rounds)
    document = to_json(experiment)
    with _Worker(document, "zoo", examples) as ours, _Worker(document, "keras", examples) as theirs:
        (examples, zoo_padding), (_, keras_padding) = ours.receive(), theirs.receive()
        first = ours.epochs(1), theirs.epochs(1)
        epochs = max(1, round(seconds / max(ours.epochs(1), theirs.epochs(1))))
        pairs = [(ours.epochs(epochs), theirs.epochs(epochs)) for _ in range(rounds)]
    ratios = [keras_s / zoo_s for zoo_s, keras_s in pairs]
    return Throughput(
        config=experiment.name,
        batch_size=experiment.training.batch_size,
        examples=examples,
        rounds=rounds,
        zoo_examples_per_s=round(examples * epochs / statistics.median(zoo_s for zoo_s, _ in pairs), 1),
        keras_examples_per_s=round(examples * epochs / statistics.median(keras_s for _, keras_s in pairs), 1),
        ratio=round(statistics.median(ratios), 3),
        ratio_min=round(min(ratios), 3),
        ratio_max=round(max(ratios), 3),
        zoo_first_epoch_s=round(first[0], 1),
        keras_first_epoch_s=round(first[1], 1),
        epochs_a_round=epochs,
        zoo_padding=round(zoo_padding, 3),
        keras_padding=round(keras_padding, 3),
    )


class _Worker:
    """A process in one call of `fit`, which trains the next epoch each time it is asked."""

    def __init__(self, document: Mapping[str, Any], side: Side, examples: int):
        context = multiprocessing.get_context("spawn")
        self._side = side
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, document, side, examples), daemon=True)
        self._process.start()
        theirs.close()

    def __enter__(self) -> _Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()  # which ends its wait
        self._process.join(10)
        self._process.kill()
        self._process.join()

    def epochs(self, number: int) -> float:
        """Returns the seconds that `number` epochs took together."""
        with contextlib.suppress(BrokenPipeError):
            self._connection.send(number)
        return self.receive()

    def receive(self) -> Any:
        """Returns what the process says next."""
        try:
            said = self._connection.recv()
        except EOFError:
            raise TrainingError(
                f"The process that trains the {self._side} side ended; its messages stand above."
            ) from None
        if isinstance(said, str):
            raise TrainingError(said)
        return said


def _work(connection: Connection, document: Mapping[str, Any], side: Side, examples: int) -> None:
    try:
        experiment = from_json(document)
        experiment = dataclasses.replace(experiment, features=inputs.fit_features(experiment))
        {"zoo": _fit_zoo, "keras": _fit_keras}[side](experiment, examples, connection)
    except EOFError:  # the bench was ended
        return
    except ZooError as error:
        connection.send(str(error))


def _turns(connection: Connection) -> keras.callbacks.Callback:
    """Returns what makes each epoch wait to be asked for, and answers with its seconds."""
    import keras

    class Turns(keras.callbacks.Callback):
        left = 0

        def on_epoch_begin(self, epoch, logs=None):
            if not self.left:
                self.left = connection.recv()
                self.start = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            self.left -= 1
            if not self.left:
                connection.send(time.perf_counter() - self.start)

    return Turns()


def _fit_zoo(experiment: Experiment, examples: int, connection: Connection) -> None:
    """Trains as `zoo train` does."""
    strategy = open_strategy(experiment.training)
    with strategy.scope():
        model = experiment.model.build()
    batches = inputs.model_batches(experiment, experiment.splits.train, list(model.input), training=True)
    batches = batches.take(max(1, examples // experiment.training.batch_size))
    steps = int(batches.cardinality())
    trained = compiled(model, experiment, steps, strategy)
    connection.send((steps * experiment.training.batch_size, _padding(batches.as_numpy_iterator(), experiment)))
    fit(trained, batches, None, epochs=_ENDLESS, title="zoo", callbacks=[_turns(connection)], is_shown=False)


def _fit_keras(experiment: Experiment, examples: int, connection: Connection) -> None:
    """Trains by `model.fit(x, y, batch_size=...)`."""
    import keras

    model = experiment.model.build()
    x, y = _arrays(experiment, model, max(examples, experiment.training.batch_size))
    optimizer: Any = keras.optimizers.get(experiment.training.optimizer)
    optimizer.learning_rate = experiment.training.learning_rate
    model.compile(optimizer=optimizer, loss=experiment.task.losses(), metrics=experiment.task.metrics())
    connection.send((len(next(iter(y.values()))), _padding([(x, y)], experiment)))
    model.fit(
        x,
        y,  # type: ignore[arg-type]
        batch_size=experiment.training.batch_size,
        epochs=_ENDLESS,
        verbose=0,  # type: ignore[arg-type]
        callbacks=[_turns(connection)],
    )


def _arrays(
    experiment: Experiment, model: keras.Model, examples: int
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Returns inputs and targets of the first examples, in whole batches.

    Features are computed a few examples at a time: all waveforms at once, padded, would not fit into memory.
    """
    import numpy as np

    from zoo.data.pipeline import take_arrays

    taken = take_arrays(_featured(experiment), experiment.splits.train, examples)
    held = len(next(iter(taken.values())))
    whole = held - held % experiment.training.batch_size
    x, y = experiment.task.split({name: value[:whole] for name, value in taken.items()})
    return {name: x[name] for name in model.input}, {name: np.asarray(tensor) for name, tensor in y.items()}


def _padding(batches: Iterable[Any], experiment: Experiment) -> float:
    """Returns the share of the positions of batches `(x, y)` that hold no data, 0 where examples are of one length."""
    mask = next(iter(_featured(experiment).info().mask_names().values()), None)
    if mask is None:
        return 0.0
    masks = [x[mask] for x, _ in batches if mask in x]
    return 1 - sum(int(mask.sum()) for mask in masks) / max(1, sum(mask.size for mask in masks))


def _featured(experiment: Experiment) -> Featured:
    return Featured(source=experiment.data, features=experiment.features)
