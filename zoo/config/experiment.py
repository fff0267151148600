"""An experiment: data, features, model, task and training, as typed values."""

from __future__ import annotations

import dataclasses
from typing import Literal

from zoo.compression.base import AbstractTransform
from zoo.compression.distill import Distill
from zoo.data.base import AbstractSource
from zoo.errors import InvalidValueError
from zoo.features.base import AbstractFeature
from zoo.models.base import AbstractModel
from zoo.tasks.base import AbstractTask

__all__ = ["Experiment", "Splits", "Training"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Splits:
    """Which examples serve what, in tfds's notation (`train[:55000]`).

    The weights of the last epoch are kept, or with early stopping, which needs a `validation` split, of the best one.
    """

    train: str = "train"
    validation: str | None = None
    test: str = "test"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Training:
    """How a model is trained.

    Args:
        batch_size: examples a step, over all replicas together; more replicas do not change it.
        learning_rate: at its peak; per step, for the whole batch.
        schedule: constant, or a half cosine down to zero over the run.
        warmup_epochs: epochs over which the rate rises from zero.
        weight_decay: decoupled from the gradient, times the rate, of every weight but biases and scales of
            normalisations; for adamw and sgd. Through sgd's momentum of 0.9 a paper's L2 penalty of 5e-4 is 5e-3 here.
        clip_norm: the most that the gradient of all weights together may measure; 0 for no limit. Of several replicas
            each is held to its part.
        ema_momentum: keep a running mean of the weights, with this share of the old mean in each step, and give it to
            the model when training ends (arXiv 1803.05407's idea with decay); 0 for none. Figures during training are
            those of the weights themselves.
        early_stopping: epochs without a better validation metric after which training ends; 0 for never.
        length_window: batches whose examples are sorted by length together, so that a batch holds little padding; the
            batches are shuffled again. 0 leaves the lengths to chance.
        steps_per_execution: steps between two returns to Python.
        jit_compile: compile the step with XLA.
        strategy: one replica on each visible device, or no distribution.
        logical_cpus: cut the CPU into so many devices first, to try several replicas on one machine.
        seed: of weights, shuffling and dropout.
    """

    epochs: int
    batch_size: int = 128
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: float = 1e-3
    schedule: Literal["constant", "cosine"] = "constant"
    warmup_epochs: float = 0.0
    weight_decay: float = 0.0
    clip_norm: float = 0.0
    ema_momentum: float = 0.0
    early_stopping: int = 0
    length_window: int = 0
    steps_per_execution: int = 16
    jit_compile: bool = False
    strategy: Literal["mirrored", "none"] = "mirrored"
    logical_cpus: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        for field in ("epochs", "batch_size", "steps_per_execution", "logical_cpus"):
            if getattr(self, field) < 1:
                raise InvalidValueError(field, "at least 1", getattr(self, field))
        for field in ("warmup_epochs", "weight_decay", "clip_norm", "length_window", "early_stopping", "seed"):
            if getattr(self, field) < 0:
                raise InvalidValueError(field, "at least 0", getattr(self, field))
        if not self.learning_rate > 0:
            raise InvalidValueError("learning_rate", "above 0", self.learning_rate)
        if self.weight_decay and self.optimizer == "adam":
            raise InvalidValueError("weight_decay", "0 unless optimizer is 'adamw' or 'sgd'", self.weight_decay)
        if not 0 <= self.ema_momentum < 1:
            raise InvalidValueError("ema_momentum", "at least 0 and below 1", self.ema_momentum)
        if self.ema_momentum and self.early_stopping:
            raise InvalidValueError("ema_momentum", "0 with early stopping, which keeps one epoch", self.ema_momentum)
        if self.logical_cpus > 1 and self.strategy == "none":
            raise InvalidValueError("logical_cpus", "1 where strategy is 'none'", self.logical_cpus)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Experiment:
    """Everything a run is made of.

    Args:
        transforms: what compression did to the model, in order.
        distill: train with a teacher, a run whose model stands for one of more weights.
    """

    name: str
    data: AbstractSource
    splits: Splits
    features: tuple[AbstractFeature, ...]
    model: AbstractModel
    task: AbstractTask
    training: Training
    transforms: tuple[AbstractTransform, ...] = ()
    distill: Distill | None = None

    def __post_init__(self) -> None:
        if self.training.early_stopping and not self.splits.validation:
            raise InvalidValueError(
                "training.early_stopping", "0 unless splits.validation is set", self.training.early_stopping
            )
