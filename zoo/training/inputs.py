"""From a source to what `fit` takes: batches, features, and the split into inputs and targets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from zoo.config import Experiment
from zoo.data import pipeline
from zoo.data.base import DataInfo
from zoo.errors import DataError
from zoo.features.base import AbstractFeature, AbstractSoundFeature, compose
from zoo.training.featured import Featured

if TYPE_CHECKING:
    import keras
    import numpy as np
    import tensorflow as tf

__all__ = ["check_inputs", "check_sample_rates", "fit_features", "model_batches"]


def fit_features(experiment: Experiment) -> tuple[AbstractFeature, ...]:
    """Returns the features with all they need from the training split filled in.

    Each feature is fitted on what the features before it make of the data.
    """
    fitted: list[AbstractFeature] = []
    for feature in experiment.features:
        fitted.append(feature.fit(_featured_batches(experiment, tuple(fitted))))
    return tuple(fitted)


def _featured_batches(
    experiment: Experiment, features: tuple[AbstractFeature, ...]
) -> Iterator[Mapping[str, np.ndarray]]:
    """Yields batches of the training split in fixed order, as the features leave them; reads nothing before asked."""
    source = Featured(source=experiment.data, features=features) if features else experiment.data
    batch_size, split = experiment.training.batch_size, experiment.splits.train
    batches: Any = pipeline.batches(source, split, batch_size=batch_size, shuffle=False, seed=0, cache_bytes=0)
    yield from batches.as_numpy_iterator()


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

    kept, computed = _kept_and_computed(experiment.features)
    apply, task = compose(computed), experiment.task
    batches = pipeline.batches(
        Featured(source=experiment.data, features=kept) if kept else experiment.data,
        split,
        batch_size=experiment.training.batch_size,
        shuffle=training,
        seed=experiment.training.seed,
        drop_remainder=training,
        length_window=experiment.training.length_window,
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

    return batches.map(prepare, num_parallel_calls=pipeline.PARALLEL_CALLS).prefetch(2)


def _kept_and_computed(
    features: Sequence[AbstractFeature],
) -> tuple[tuple[AbstractFeature, ...], tuple[AbstractFeature, ...]]:
    """Returns the features whose results are kept in memory, and those computed anew for each batch.

    Kept is what stands before the first random one, up to the last costly one.
    """
    steady = next((index for index, feature in enumerate(features) if feature.RANDOM), len(features))
    costly = [index + 1 for index, feature in enumerate(features[:steady]) if feature.COSTLY]
    border = max(costly, default=0)
    return tuple(features[:border]), tuple(features[border:])


def check_sample_rates(features: Sequence[AbstractFeature], info: DataInfo) -> None:
    """Raises `DataError` where a feature of sound is set to another sample rate than the data has."""
    for feature in features:
        if not isinstance(feature, AbstractSoundFeature) or feature.tensor not in info.tensors:
            continue
        rate = info.tensors[feature.tensor].sample_rate_hz
        if rate is not None and rate != feature.sample_rate_hz:
            raise DataError(
                f"`{feature.tensor}` of `{info.name}` has {rate} samples a second, and {type(feature).__name__} is set "
                f"to {feature.sample_rate_hz}. Set its `sample_rate_hz` to {rate}, or resample the data."
            )


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
