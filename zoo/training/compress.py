"""Training through weight transforms: a dense model in, a compressed one out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from zoo.compression.base import AbstractAttachment, AbstractTransform, select
from zoo.compression.cloning import copied
from zoo.compression.distill import Distill
from zoo.compression.dropout import dropout_scaled
from zoo.errors import CompressionError, InvalidValueError
from zoo.models.functional import functional
from zoo.training.compress_data import batched, counted
from zoo.training.loop import fit
from zoo.training.strategy import steps_per_execution, strategy_of

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from zoo.training.compress_data import TrainData

    EpochLog = Callable[[str, Mapping[str, float]], None]

__all__ = ["check_transforms", "compress", "per_transform"]


def compress(  # noqa: PLR0913  (what one training needs to be told; all by name)
    model: keras.Model,
    train_data: TrainData,
    transforms: Sequence[AbstractTransform],
    *,
    loss: Any,
    epochs: int | Sequence[int] = 3,
    learning_rate: float | Sequence[float] = 5e-4,
    metrics: Any = None,
    batch_size: int = 128,
    distill: Distill | None = None,
    teacher: keras.Model | None = None,
    dropout: float = 1.0,
    log: EpochLog | None = None,
) -> keras.Model:
    """Returns a copy of a functional model, trained through `transforms` and proved to be as they promise.

    Each transform is trained in turn for `epochs`, those before it held, with Adam and a half cosine down to zero.
    Zeros and shared values that `model` brings along are kept. `model` itself stays as it is. Under a distribution
    strategy, the copy is made in the scope of the model's own.

    Args:
        model: built, functional; any layers, nested or shared, any number of inputs and outputs.
        train_data: a `tf.data.Dataset` of batches `(x, y)`, finite, or a pair of arrays `(x, y)`, in the form that
            `model.fit` takes. A dataset that does not know its length, or was told it, is read once beforehand.
        transforms: in order, as in `[Prune(0.9), Cluster(16)]`.
        loss: as `model.compile` takes it.
        epochs: passes over the data for each transform: one number, or one for each.
        learning_rate: at the beginning of each transform: one number, or one for each.
        metrics: as `model.compile` takes it.
        batch_size: for a pair of arrays.
        distill: learn from a teacher as well.
        teacher: the teacher, in place of the run that `distill` names; by default `model` itself.
        dropout: share of its rate that each dropout has while training; afterwards rates are as before.
        log: is called with the name of the transform and the figures of each of its epochs.

    Raises:
        CompressionError: no functional model, nothing to compress, data that has no end or less than it says, a teacher
            with other inputs or outputs, or the proof failed.
        UnknownNameError: a transform names a layer that does not exist.
        TrainingError: the loss became NaN.
    """
    from zoo.compression.distill import Teaching

    if not transforms:
        raise InvalidValueError("transforms", "one or more transforms, as in [Prune(0.9)]", transforms)
    passes = per_transform("epochs", epochs, transforms)
    rates = per_transform("learning_rate", learning_rate, transforms)
    if min(passes, default=1) < 1:
        raise InvalidValueError("epochs", "at least 1", epochs)
    if not 0 <= dropout <= 1:
        raise InvalidValueError("dropout", "from 0 to 1", dropout)
    functional(model, "Compression", CompressionError)
    check_transforms(model, transforms)
    batches = counted(batched(train_data, batch_size))
    strategy = strategy_of(model)
    with strategy.scope():
        copy = copied(model)
        taught = None if distill is None else _Teacher(distill, model if teacher is None else teacher)
        if taught is not None:
            Teaching(taught.distill, taught.model, copy)  # refuses one that does not fit
    stages = _Stages(copy, _Settings(batches, loss, metrics, taught, dropout, log))
    settings = iter(zip(passes, rates, strict=True))
    for transform in transforms:
        stages.prepare(transform)
        if transform.TRAINS:
            stages.train(transform, *next(settings))
    return stages.finished()


def per_transform(name: str, value: Any, transforms: Sequence[AbstractTransform]) -> list[Any]:
    """Returns a value for each transform that trains, where one was given for all or one for each.

    Raises:
        InvalidValueError: neither.
    """
    count = sum(transform.TRAINS for transform in transforms)
    if not isinstance(value, list | tuple):
        return [value] * count
    if len(value) != count:
        raise InvalidValueError(name, f"one number, or {count} as there are transforms to train", value)
    return list(value)


@dataclasses.dataclass(frozen=True)
class _Teacher:
    distill: Distill
    model: keras.Model


@dataclasses.dataclass(frozen=True)
class _Settings:
    """What is the same for each transform."""

    batches: tf.data.Dataset
    loss: Any
    metrics: Any
    teacher: _Teacher | None
    dropout: float
    log: EpochLog | None


class _Stages:
    """A model on its way through transforms, one stage of training for each.

    Args:
        model: is changed.
        settings: of every stage.
    """

    def __init__(self, model: keras.Model, settings: _Settings):
        self._settings = settings
        self._strategy = strategy_of(model)
        self._take(model)

    def _take(self, model: keras.Model) -> None:
        """Goes on with a model, and with what it brings along."""
        from zoo.compression.preserve import Preserve

        self._model = model
        with self._strategy.scope():
            preserve = Preserve.of(model)
        self._preserved: list[AbstractAttachment] = [preserve] if preserve else []
        self._held: list[AbstractAttachment] = []

    def prepare(self, transform: AbstractTransform) -> None:
        """Changes the model as a transform needs it."""
        if type(transform).prepare is AbstractTransform.prepare:
            return
        with self._strategy.scope():
            self._write_back()
            prepared = transform.prepare(self._model)
            if prepared is not self._model:
                self._take(prepared)

    def train(self, transform: AbstractTransform, epochs: int, learning_rate: float) -> None:
        """Trains one more transform, those before it held."""
        steps = int(self._settings.batches.cardinality())
        with self._strategy.scope():
            attachment = self._attached(transform, steps * epochs)
            trained = self._compiled(attachment, steps, epochs, learning_rate)
        name = type(transform).__name__.lower()
        with dropout_scaled(self._model, self._settings.dropout):
            history = fit(trained, self._settings.batches, None, epochs=epochs, title=name)
        for row in history if self._settings.log else ():
            self._settings.log(name, row)  # pyright: ignore[reportOptionalCall]
        self._held.append(attachment)
        with self._strategy.scope():
            if type(transform).finish is not AbstractTransform.finish:
                self._write_back()
                self._take(transform.finish(self._model, attachment))

    def _attached(self, transform: AbstractTransform, num_steps: int) -> AbstractAttachment:
        import numpy as np

        from zoo.compression.reparametrized import transformed

        weights = select(self._model, transform)
        current = transformed([*self._preserved, *self._held])
        values = {path: current.get(path, np.asarray(weight.numpy())) for path, weight in weights.items()}
        return transform.attach(weights, values, num_steps, model=self._model)

    def _compiled(
        self, attachment: AbstractAttachment, steps_per_epoch: int, epochs: int, learning_rate: float
    ) -> keras.Model:
        import keras

        from zoo.compression.distill import Teaching
        from zoo.compression.reparametrized import Reparametrized

        settings = self._settings
        teaching = settings.teacher and Teaching(settings.teacher.distill, settings.teacher.model, self._model)
        rate: Any = keras.optimizers.schedules.CosineDecay(learning_rate, steps_per_epoch * epochs)
        attachments = [*self._preserved, *self._held, attachment]
        trained = Reparametrized(self._model, attachments, [*self._preserved, attachment], teaching)
        trained.compile(
            optimizer=keras.optimizers.Adam(rate),
            loss=settings.loss,
            metrics=settings.metrics,
            steps_per_execution=steps_per_execution(16, steps_per_epoch, self._strategy),
            jit_compile=False,  # pyright: ignore[reportArgumentType]
        )
        trained.optimizer.build(trained.trainable_variables)  # or the step is traced a second time for its slots
        return trained

    def _write_back(self) -> None:
        from zoo.compression.reparametrized import write_back

        write_back([*self._preserved, *self._held])

    def finished(self) -> keras.Model:
        """Returns the model with its final values written back and proved."""
        with self._strategy.scope():
            self._write_back()
        return self._model


def check_transforms(model: keras.Model, transforms: Sequence[AbstractTransform]) -> None:
    """Raises what can be known to be wrong before any work is done."""
    orders = [transform.ORDER for transform in transforms]
    if orders != sorted(orders):
        ordered = sorted(transforms, key=lambda transform: transform.ORDER)
        expected = "in this order, in which each keeps what came before: " + _names(ordered)
        raise InvalidValueError("transforms", expected, _names(transforms))
    for transform in transforms:
        if transform.CHOOSES:
            transform.check(select(model, transform))


def _names(transforms: Sequence[AbstractTransform]) -> str:
    return ", ".join(type(transform).__name__ for transform in transforms)
