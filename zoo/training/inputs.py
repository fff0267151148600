"""From a source to what `fit` takes: batches, features, and the split into inputs and targets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from zoo.config import Experiment
from zoo.data import pipeline
from zoo.data.base import DataInfo
from zoo.errors import DataError
from zoo.features.base import AbstractFeature, compose

if TYPE_CHECKING:
    import keras
    import numpy as np
    import tensorflow as tf

__all__ = ["check_inputs", "fit_features", "model_batches", "raw_batches"]


def raw_batches(experiment: Experiment, split: str) -> Iterator[Mapping[str, np.ndarray]]:
    """Yields the raw batches of a split as numpy arrays, in fixed order."""
    batches = pipeline.batches(experiment.data, split, batch_size=experiment.training.batch_size, shuffle=False, seed=0)
    iterator: Any = batches.as_numpy_iterator()
    yield from iterator


def fit_features(experiment: Experiment) -> tuple[AbstractFeature, ...]:
    """Returns the features with all they need from the training split filled in.

    Each feature is fitted on what the features before it make of the data.
    """
    fitted: list[AbstractFeature] = []
    for feature in experiment.features:
        fitted.append(feature.fit(_featured(experiment, fitted)))
    return tuple(fitted)


def _featured(experiment: Experiment, features: Sequence[AbstractFeature]) -> Iterator[Mapping[str, Any]]:
    import numpy as np

    apply = compose(features)
    for batch in raw_batches(experiment, experiment.splits.train):
        yield {name: np.asarray(tensor) for name, tensor in apply(dict(batch)).items()} if features else batch


def model_batches(
    experiment: Experiment, split: str, model_inputs: Sequence[str], *, training: bool
) -> tf.data.Dataset:
    """Returns batches of `(inputs, targets)`, both by name.

    Args:
        experiment: its features must be fitted.
        split: in tfds's notation.
        model_inputs: names of the model's inputs; other tensors are left out.
        training: shuffled, augmented and without a short last batch; otherwise every example once, in order.
    """
    import tensorflow as tf

    apply, task = compose(experiment.features), experiment.task
    batches = pipeline.batches(
        experiment.data,
        split,
        batch_size=experiment.training.batch_size,
        shuffle=training,
        seed=experiment.training.seed,
        drop_remainder=training,
    )

    def prepare(batch):
        inputs, targets = task.split(apply(batch, training=training))
        missing = [name for name in model_inputs if name not in inputs]
        if missing:
            raise DataError(
                f"The model takes {', '.join(f'`{name}`' for name in missing)}; the data with its features gives "
                f"{', '.join(f'`{name}`' for name in inputs)}. Choose another model, or a feature that makes them."
            )
        return {name: inputs[name] for name in model_inputs}, targets

    return batches.map(prepare, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def check_inputs(model: keras.Model, batches: tf.data.Dataset, info: DataInfo) -> None:
    """Raises `DataError` where the shape of a batch does not fit an input of the model."""
    spec: Any = batches.element_spec
    inputs: dict[str, Any] = spec[0]
    named: Any = model.input
    for name, tensor in inputs.items():
        expected = named[name].shape
        shape = tuple(tensor.shape)
        fits = len(shape) == len(expected) and all(
            given == wanted or wanted is None for given, wanted in zip(shape[1:], expected[1:], strict=True)
        )
        if not fits:
            raise DataError(
                f"`{name}` of `{info.name}` has the shape {list(shape[1:])} and the model takes "
                f"{list(expected[1:])} (None: any size). Set the model's own fields to the data's."
            )
