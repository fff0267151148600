"""A run with its data at hand, for many compressions of its model."""

from __future__ import annotations

import dataclasses
import functools
import gc
import sys
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.compression.base import AbstractTransform
from zoo.compression.distill import Distill
from zoo.compression.recipe_summary import weights_summary
from zoo.config import Experiment, Training
from zoo.errors import RunDirectoryError, UsageError
from zoo.features.base import AbstractFeature
from zoo.recipes.recipe import Recipe, label
from zoo.training import inputs
from zoo.training.compress import check_transforms, compress, per_transform
from zoo.training.evaluation import scored
from zoo.training.graph_errors import told_as_data_errors
from zoo.training.held_out import held_out
from zoo.training.origin import origin
from zoo.training.run_directory import RunDirectory
from zoo.training.strategy import open_strategy
from zoo.training.teacher import teacher_of

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

__all__ = ["Candidate", "Workshop"]


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Candidate:
    """A model on its way, and what it went through since the dense run.

    Attributes:
        model: functional.
        transforms: in order.
        history: figures of each epoch.
        learning_rate: the highest.
    """

    model: keras.Model
    transforms: tuple[AbstractTransform, ...] = ()
    history: tuple[Mapping[str, Any], ...] = ()
    learning_rate: float = 0.0

    def is_like(self, other: Candidate) -> bool:
        """Tells whether both models have the same weights."""
        import numpy as np

        mine, others = self.model.get_weights(), other.model.get_weights()
        return len(mine) == len(others) and all(map(np.array_equal, mine, others))


class Workshop:
    """Loads a run, and reads its data once, when it is first needed.

    Args:
        source: the run.
        seed: of the order of examples; by default that of the run.
        validation: in place of the experiment's own validation split; training then leaves these examples out.

    Attributes:
        run: the run, dense or compressed before.
        experiment: its experiment, with `validation` in it.
        original: the run before any compression; `run` itself where that is gone.
        no_original: why it is gone, else None.

    Raises:
        RunDirectoryError: `source` is no finished run.
        UsageError: `validation` cannot be read or is no part to hold out.
    """

    def __init__(self, source: Path | str, *, seed: int | None = None, validation: str | None = None):
        import keras

        self.run = RunDirectory.open(source)
        self.experiment = self.run.experiment()
        self.original, self.no_original = self.run, None
        try:
            self.original = origin(self.run)
        except RunDirectoryError as error:
            self.no_original = str(error)
        if validation is not None:
            self.experiment = held_out(self.experiment, validation, self.run.info().num_examples)
        self.seed = self.experiment.training.seed if seed is None else seed
        keras.utils.set_random_seed(self.seed)
        self._strategy = open_strategy(self.experiment.training)
        self.start = Candidate(model=self.load_model(self.run))
        self._teachers: dict[str, Any] = {}
        self._training_data: dict[tuple[AbstractFeature, ...], tf.data.Dataset] = {}
        self._scores: Any = weakref.WeakKeyDictionary()

    def load_model(self, run: RunDirectory) -> keras.Model:
        """Returns the model of any run, in the strategy's scope."""
        with self._strategy.scope():
            return run.load_model()

    @functools.cached_property
    def dense(self) -> Candidate:
        """The model of `original`: what is judged against, and what teaches where no other is named."""
        return self.start if self.original is self.run else Candidate(model=self.load_model(self.original))

    def check(self, recipe: Recipe) -> None:
        """Raises what can be known to be wrong with a recipe for the dense model before any work is done.

        Raises:
            CompressionError: nothing to compress, or a teacher with other data, inputs or outputs.
            UsageError: transforms in a wrong order, layers or a teacher that do not exist.
        """
        from zoo.compression.distill import Teaching

        self._check_order(recipe)
        check_transforms(self.start.model, (*self.experiment.transforms, *recipe.transforms))
        if recipe.distill is not None:
            Teaching(recipe.distill, self._teacher(recipe.distill), self.start.model)

    def _check_order(self, recipe: Recipe) -> None:
        """Raises where a recipe, itself in order, would undo what the run went through before."""
        before = self.experiment.transforms
        last = max((transform.ORDER for transform in before), default=0)
        if last > recipe.transforms[0].ORDER:
            came = self.run.metrics().get("compression", {}).get("from")
            raise UsageError(
                f"{self.run.path} already went through {label(before)}. {label(recipe.transforms)} would undo that, "
                f"and cannot follow. Compress the run that it was made of: {came or 'one that was not compressed'}."
            )

    def compressed(self, start: Candidate, recipe: Recipe) -> Candidate:
        """Returns what a recipe makes of a candidate, which stays as it is. Without another, the dense model teaches.

        Raises:
            CompressionError, TrainingError, UsageError: as `zoo.training.compress.compress` does.
        """
        transforms = (*start.transforms, *recipe.transforms)
        check_transforms(start.model, (*self.experiment.transforms, *transforms))
        task, history = self.experiment.task, list(start.history)
        small = compress(
            start.model,
            self._training_batches(recipe.augment),
            recipe.transforms,
            loss=task.losses(),
            metrics=task.metrics(),
            epochs=recipe.passes(self.steps_per_epoch),
            learning_rate=recipe.learning_rate,
            distill=recipe.distill,
            teacher=recipe.distill and self._teacher(recipe.distill),
            dropout=recipe.dropout,
            log=lambda transform, row: history.append({"epoch": len(history), "transform": transform, **row}),
        )
        gc.collect()  # what Keras traced for the training refers to itself
        rates = per_transform("learning_rate", recipe.learning_rate, recipe.transforms)
        return Candidate(
            model=small,
            transforms=transforms,
            history=tuple(history),
            learning_rate=max([start.learning_rate, *rates]),
        )

    @property
    def steps_per_epoch(self) -> int:
        """The batches of the training split; as many as can be where a source does not know its size."""
        count = int(self._training_batches(()).cardinality())
        return count if count > 0 else sys.maxsize

    def scores(self, candidate: Candidate) -> Mapping[str, float]:
        """Returns the figures of a candidate on the validation split, computed once."""
        if candidate not in self._scores:
            task, batches = self.experiment.task, self._validation_batches
            with told_as_data_errors(f"the split {self.experiment.splits.validation!r}"):
                found = scored(task, candidate.model, batches, self.run.info().names_of(task.labelled()))
            self._scores[candidate] = found.scores
        return self._scores[candidate]

    def write(self, candidate: Candidate, run_dir: Path | str, about: Mapping[str, Any]) -> RunDirectory:
        """Leaves a candidate as a run; figures of its validation split are in the metrics where there is one.

        Args:
            candidate: what to write.
            run_dir: new or empty.
            about: stands under `compression` in its metrics, with the transforms and each weight's summary.
        """
        from zoo.training.history import write_history

        scores = self.scores(candidate) if self.experiment.splits.validation else None
        run = RunDirectory.create(run_dir, self._experiment_of(candidate))
        run.write_info(self.run.info())
        run.save_model(candidate.model)
        write_history(run.history_path, candidate.history)
        transforms = (*self.experiment.transforms, *candidate.transforms)
        weights = weights_summary(candidate.model, transforms)
        came = str(self.run.path.resolve())
        described = {"from": came, "transforms": label(candidate.transforms), "weights": weights}
        run.update_metrics({"compression": {**about, **described}})
        if scores is not None:
            run.update_metrics({"validation": scores})
        return run

    def _experiment_of(self, candidate: Candidate) -> Experiment:
        before = self.experiment.training
        training = Training(  # as `compress` trains
            epochs=max(1, len(candidate.history)),
            batch_size=before.batch_size,
            learning_rate=candidate.learning_rate or before.learning_rate,
            schedule="cosine",
            length_window=before.length_window,
            strategy=before.strategy,
            logical_cpus=before.logical_cpus,
            seed=self.seed,
        )
        transforms = (*self.experiment.transforms, *candidate.transforms)
        return dataclasses.replace(self.experiment, transforms=transforms, training=training)

    def _training_batches(self, augment: tuple[AbstractFeature, ...]) -> tf.data.Dataset:
        if augment not in self._training_data:
            self._training_data[augment] = self._batches(self.experiment.splits.train, augment, training=True)
        return self._training_data[augment]

    @functools.cached_property
    def _validation_batches(self) -> tf.data.Dataset:
        return self._batches(self.experiment.splits.validation or "", (), training=False)

    def _batches(self, split: str, augment: tuple[AbstractFeature, ...], *, training: bool) -> tf.data.Dataset:
        seeded = dataclasses.replace(self.experiment.training, seed=self.seed)
        features = (*self.experiment.features, *augment)
        experiment = dataclasses.replace(self.experiment, training=seeded, features=features)
        with told_as_data_errors(experiment.name):
            return inputs.model_batches(experiment, split, list(self.start.model.input), training=training)

    def _teacher(self, distill: Distill) -> keras.Model:
        """Returns the model of the run that is to teach, by default that before any compression."""
        if distill.teacher is None:
            return self.dense.model
        if distill.teacher not in self._teachers:
            with self._strategy.scope():
                self._teachers[distill.teacher] = teacher_of(distill, self.experiment)
        return self._teachers[distill.teacher]
