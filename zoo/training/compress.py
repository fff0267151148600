"""Training through weight transforms: a dense model in, a compressed one out."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.compression.base import AbstractAttachment, AbstractTransform, named_weights, select
from zoo.compression.recipe import Recipe
from zoo.config import Training
from zoo.errors import CompressionError, InvalidValueError
from zoo.models.functional import functional
from zoo.training import inputs
from zoo.training.evaluation import evaluate
from zoo.training.graph_errors import told_as_data_errors
from zoo.training.loop import fit
from zoo.training.run_directory import RunDirectory
from zoo.training.strategy import open_strategy, steps_per_execution, strategy_of

if TYPE_CHECKING:
    import keras
    import numpy as np
    import tensorflow as tf

    TrainData = tf.data.Dataset | tuple[Any, Any] | tuple[Any, Any, Any]

__all__ = ["compress", "compress_run"]


def compress(
    model: keras.Model,
    train_data: TrainData,
    transforms: Sequence[AbstractTransform],
    *,
    loss: Any,
    epochs: int = 3,
    learning_rate: float = 5e-4,
    metrics: Any = None,
    batch_size: int = 128,
) -> keras.Model:
    """Returns a copy of a functional model, trained through `transforms` and proved to be as they promise.

    Each transform is trained in turn for `epochs`, those before it held, with Adam and a half cosine down to zero.
    `model` itself stays as it is. Under a distribution strategy, the copy is made in the scope of the model's own.

    Args:
        model: built, functional; any layers, nested or shared, any number of inputs and outputs.
        train_data: a `tf.data.Dataset` of batches `(x, y)`, finite, or a pair of arrays `(x, y)`, in the form that
            `model.fit` takes.
        transforms: in order, as in `[Prune(0.9), Cluster(16)]`.
        loss: as `model.compile` takes it.
        epochs: passes over the data for each transform.
        learning_rate: at the beginning of each transform.
        metrics: as `model.compile` takes it.
        batch_size: for a pair of arrays.

    Raises:
        CompressionError: no functional model, nothing to compress, data without a length, or the proof failed.
        UnknownNameError: a transform names a layer that does not exist.
        TrainingError: the loss became NaN.
    """
    if not transforms:
        raise InvalidValueError("transforms", "one or more transforms, as in [Prune(0.9)]", transforms)
    if epochs < 1:
        raise InvalidValueError("epochs", "at least 1", epochs)
    functional(model, "Compression", CompressionError)
    _check_transforms(model, transforms)
    batches = _counted(_batches(train_data, batch_size))
    strategy = strategy_of(model)
    with strategy.scope():
        copy = _clone(model)
    settings = _Settings(batches, epochs, learning_rate, loss, metrics)
    attachments: list[AbstractAttachment] = []
    for transform in transforms:
        attachments.append(_train_through(copy, transform, attachments, settings))
    with strategy.scope():
        _write_back(attachments)
    return copy


def compress_run(
    source: Path | str, recipe: Recipe, run_dir: Path | str, *, recipe_name: str = "custom"
) -> RunDirectory:
    """Compresses the model of a run on its own data, and leaves a new run directory.

    Raises:
        RunDirectoryError: `source` is no finished run, or `run_dir` is in use.
    """
    import keras

    dense = RunDirectory.open(source)
    dense_experiment = dense.experiment()
    RunDirectory.free(run_dir)
    training = Training(  # as `compress` trains
        epochs=recipe.epochs,
        batch_size=dense_experiment.training.batch_size,
        learning_rate=recipe.learning_rate,
        schedule="cosine",
        strategy=dense_experiment.training.strategy,
        logical_cpus=dense_experiment.training.logical_cpus,
        seed=dense_experiment.training.seed,
    )
    transforms = (*dense_experiment.transforms, *recipe.transforms)
    experiment = dataclasses.replace(dense_experiment, transforms=transforms, training=training)
    keras.utils.set_random_seed(training.seed)
    with open_strategy(training).scope():
        model = dense.load_model()
    _check_transforms(model, recipe.transforms)
    with told_as_data_errors(experiment.name):
        batches = inputs.model_batches(experiment, experiment.splits.train, list(model.input), training=True)
    small = compress(
        model,
        batches,
        recipe.transforms,
        loss=experiment.task.losses(),
        metrics=experiment.task.metrics(),
        epochs=recipe.epochs,
        learning_rate=recipe.learning_rate,
    )
    run = RunDirectory.create(run_dir, experiment)  # not before: a compression that was cut off leaves nothing
    run.write_info(dense.info())
    run.save_model(small)
    run.update_metrics({"compression": {"recipe": recipe_name, "from": str(dense.path), "weights": _summary(small)}})
    if experiment.splits.validation:
        evaluate(run, "validation")
    return run


@dataclasses.dataclass(frozen=True)
class _Settings:
    """How each transform is trained."""

    batches: tf.data.Dataset
    epochs: int
    learning_rate: float
    loss: Any
    metrics: Any

    def num_steps(self) -> int:
        return int(self.batches.cardinality()) * self.epochs


def _train_through(
    model: keras.Model, transform: AbstractTransform, before: Sequence[AbstractAttachment], settings: _Settings
) -> AbstractAttachment:
    """Trains one more transform, those `before` it held, and returns it at work."""
    import keras

    from zoo.compression.reparametrized import Reparametrized, transformed

    weights, steps, strategy = select(model, transform), settings.num_steps(), strategy_of(model)
    with strategy.scope():
        current = transformed(before)
        values = {path: current.get(path, _numpy(weight)) for path, weight in weights.items()}
        attachment = transform.attach(weights, values, steps)
        rate: Any = keras.optimizers.schedules.CosineDecay(settings.learning_rate, steps)
        trained = Reparametrized(model, [*before, attachment], moving=[attachment])
        trained.compile(
            optimizer=keras.optimizers.Adam(rate),
            loss=settings.loss,
            metrics=settings.metrics,
            steps_per_execution=steps_per_execution(16, steps // settings.epochs, strategy),
            jit_compile=False,  # pyright: ignore[reportArgumentType]
        )
        trained.optimizer.build(trained.trainable_variables)  # or the step is traced a second time for its slots
    fit(trained, settings.batches, None, epochs=settings.epochs, title=type(transform).__name__.lower())
    return attachment


def _write_back(attachments: Sequence[AbstractAttachment]) -> None:
    from zoo.compression.reparametrized import write_back

    write_back(attachments)


def _check_transforms(model: keras.Model, transforms: Sequence[AbstractTransform]) -> None:
    """Raises what can be known to be wrong before any work is done."""
    orders = [transform.ORDER for transform in transforms]
    if orders != sorted(orders):
        ordered = sorted(transforms, key=lambda transform: transform.ORDER)
        expected = "in this order, in which each keeps what came before: " + _names(ordered)
        raise InvalidValueError("transforms", expected, _names(transforms))
    for transform in transforms:
        select(model, transform)


def _names(transforms: Sequence[AbstractTransform]) -> str:
    return ", ".join(type(transform).__name__ for transform in transforms)


def _clone(model: keras.Model) -> keras.Model:
    import keras

    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return copy


def _batches(data: TrainData, batch_size: int) -> tf.data.Dataset:
    import tensorflow as tf

    if isinstance(data, tf.data.Dataset):
        return data
    if not isinstance(data, tuple) or len(data) not in (2, 3):
        raise CompressionError(
            "`train_data` must be a tf.data.Dataset of batches (x, y), a pair (x, y), or (x, y, sample_weight). "
            f"Received: {type(data).__name__}."
        )
    # A list means several inputs, as in `model.fit`; tf.data would stack it.
    parts = tuple(tuple(part) if isinstance(part, list) else part for part in data)
    examples = tf.data.Dataset.from_tensor_slices(parts)
    return (
        examples.shuffle(len(examples), seed=0).batch(min(batch_size, len(examples)), drop_remainder=True).prefetch(2)
    )


def _counted(batches: tf.data.Dataset) -> tf.data.Dataset:
    """Returns the dataset with its number of batches known, as a schedule needs an end."""
    import tensorflow as tf

    length = int(batches.cardinality())
    if length == tf.data.UNKNOWN_CARDINALITY:
        length = int(batches.reduce(0, lambda count, _: count + 1))
        batches = batches.apply(tf.data.experimental.assert_cardinality(length))
    if length < 1:
        received = "endless" if length == tf.data.INFINITE_CARDINALITY else f"{length} batches"
        raise CompressionError(f"`train_data` must hold at least one batch, and end. Received: {received}.")
    return batches


def _summary(model: keras.Model) -> dict[str, dict[str, Any]]:
    """Returns shape, zeros and distinct values of each weight tensor."""
    import numpy as np

    summary = {}
    for path, variable in named_weights(model).items():
        value = _numpy(variable)
        summary[path] = {
            "shape": list(value.shape),
            "sparsity": round(float((value == 0).mean()), 4),
            "distinct_values": len(np.unique(value)),
        }
    return summary


def _numpy(variable: keras.Variable) -> np.ndarray:
    import numpy as np

    return np.asarray(variable.numpy())
