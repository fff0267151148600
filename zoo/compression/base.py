"""What a weight transform is: hyperparameters that attach to weights, and the state that trains with them.

A transform never changes a layer. During training each layer reads `apply(weight)` in place of `weight` (see
`zoo.compression.reparametrized`), so any layer kind works, transforms compose, and gradients reach the original
variable. After training the transformed values are written into the variables and proved.
"""

from __future__ import annotations

import abc
import dataclasses
import fnmatch
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from zoo.errors import CompressionError, InvalidValueError, UnknownNameError

if TYPE_CHECKING:
    import keras
    import numpy as np
    import tensorflow as tf

__all__ = [
    "AbstractAttachment",
    "AbstractTransform",
    "AbstractUntrainedTransform",
    "AbstractWholeTransform",
    "check_float32",
    "named_weights",
    "pruned_before",
    "select",
]

_PRUNED_SHARE = 0.1


class AbstractAttachment(abc.ABC):
    """A transform at work on the weights of one model.

    Attributes:
        weights: the variables it works on, by their name of `named_weights`.
    """

    weights: Mapping[str, keras.Variable]

    @abc.abstractmethod
    def variables(self) -> list[keras.Variable]:
        """Returns what it trains besides the model's own weights."""

    @abc.abstractmethod
    def advance(self, step: tf.Tensor) -> None:
        """Moves its schedule to `step` int64 []; runs in the graph, in each replica, before each training step."""

    @abc.abstractmethod
    def apply(self, path: str, value: tf.Tensor) -> tf.Tensor:
        """Returns the transformed weight, of the same shape; `value` is what the transforms before it made."""

    def penalty(self, values: Mapping[str, tf.Tensor]) -> tf.Tensor | None:
        """Returns what is added to the loss, float32 [], for the transformed weights by path; None for nothing."""
        return None

    @abc.abstractmethod
    def verify(self, path: str, value: np.ndarray) -> str | None:
        """Returns what is wrong with the final `value` of a weight, or None where it is as promised."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AbstractTransform(abc.ABC):
    """Hyperparameters of a weight transform.

    Args:
        only: work on these layers alone; names or patterns (`stage*`) of layers, of what wraps them or of models in the
            model.
        skip: leave these layers as they are.

    Attributes:
        ORDER: transforms of one call must rise in it: each keeps what those before it promised.
        TRAINS: whether it is trained; else it only changes the model, in `prepare`.
        CHOOSES: whether it works on weights that `select` finds; else on the model as a whole.
    """

    ORDER: ClassVar[int]
    TRAINS: ClassVar[bool] = True
    CHOOSES: ClassVar[bool] = True

    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()

    @abc.abstractmethod
    def attach(
        self,
        weights: Mapping[str, keras.Variable],
        values: Mapping[str, np.ndarray],
        num_steps: int,
        *,
        model: keras.Model,
    ) -> AbstractAttachment:
        """Returns the transform at work; called inside the strategy scope of the model.

        Args:
            weights: the variables selected, by path.
            values: their values as the transforms before this one leave them.
            num_steps: training steps this transform will see.
            model: whose weights these are.

        Raises:
            CompressionError: the model has nothing that this transform could work on.
        """

    def check(self, weights: Mapping[str, keras.Variable]) -> None:
        """Raises what can be known to be wrong from the weights selected, if it chooses any, before any work is done.

        Raises:
            CompressionError: a weight that this transform cannot work on.
        """
        del weights

    def prepare(self, model: keras.Model) -> keras.Model:
        """Returns the model to train: `model` itself, unless a transform needs another graph."""
        return model

    def finish(self, model: keras.Model, attachment: AbstractAttachment) -> keras.Model:
        """Returns the model that is left when the weights are written back: `model` itself, unless it gets smaller.

        Args:
            model: trained and written back; inside its strategy scope.
            attachment: what `attach` returned.
        """
        return model


@dataclasses.dataclass(frozen=True, kw_only=True)
class AbstractUntrainedTransform(AbstractTransform):
    """A transform that changes the model in `prepare` and trains nothing."""

    TRAINS: ClassVar[bool] = False

    @abc.abstractmethod
    def prepare(self, model: keras.Model) -> keras.Model:
        """Returns the changed model; `model` stays as it is."""

    def attach(
        self,
        weights: Mapping[str, keras.Variable],
        values: Mapping[str, np.ndarray],
        num_steps: int,
        *,
        model: keras.Model,
    ) -> AbstractAttachment:
        """Raises `CompressionError`: there is nothing to train."""
        raise CompressionError(f"{type(self).__name__} is not trained; it only changes the model, in `prepare`.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class AbstractWholeTransform(AbstractUntrainedTransform):
    """An untrained transform of the model as a whole, frozen layers too.

    Raises:
        InvalidValueError: `only` or `skip`, which choose among kernels, is given.
    """

    CHOOSES: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for field in ("only", "skip"):
            if value := getattr(self, field):
                raise InvalidValueError(field, f"left out: {type(self).__name__} works on the whole model", value)


def check_float32(transform: AbstractTransform, weights: Mapping[str, keras.Variable]) -> None:
    """Raises `CompressionError` for weights of another type, which `transform` cannot train."""
    others = [f"{path} ({weight.dtype})" for path, weight in weights.items() if weight.dtype != "float32"]
    if others:
        raise CompressionError(
            f"{type(transform).__name__} works on weights of float32. Received: {', '.join(others)}. Build their "
            "layers with `dtype='float32'`, or 'mixed_bfloat16', which computes with 16 bits on weights of float32; "
            "or leave them out by `skip`."
        )


def named_weights(model: keras.Model) -> dict[str, keras.Variable]:
    """Returns the trainable variables by path, each once; paths that several have get a number: `hidden/kernel.2`.

    Functional models in a model keep the names of their layers, so two towers may have the same ones.
    """
    named: dict[str, keras.Variable] = {}
    counts: dict[str, int] = {}
    for variable in model.trainable_variables:
        counts[variable.path] = count = counts.get(variable.path, 0) + 1
        named[variable.path if count == 1 else f"{variable.path}.{count}"] = variable
    return named


def select(model: keras.Model, transform: AbstractTransform) -> dict[str, keras.Variable]:
    """Returns the weights that `transform` works on: trainable, two or more axes, not empty, no bias.

    Raises:
        UnknownNameError: a name in `only` or `skip` matches nothing.
        CompressionError: nothing is left to compress.
    """
    weights = {
        path: variable
        for path, variable in named_weights(model).items()
        if len(variable.shape) >= 2 and 0 not in variable.shape and variable.name != "bias"
    }
    if not weights:
        raise CompressionError(
            f"Model {model.name!r} has no weight to compress: none is trainable with two or more axes. "
            f"Received {len(model.variables)} variables. Is a layer frozen (`trainable=False`) that should not be?"
        )
    owners = _owners(model)
    names = {path: {*path.split("/"), *owners[id(weight)]} for path, weight in weights.items()}
    for pattern in (*transform.only, *transform.skip):
        if not any(_matches(names[path], pattern) for path in weights):
            known = {name for weight in weights.values() for name in owners[id(weight)]}
            raise UnknownNameError("layer with a compressible weight", pattern, known)
    chosen = {
        path: weight
        for path, weight in weights.items()
        if (not transform.only or any(_matches(names[path], pattern) for pattern in transform.only))
        and not any(_matches(names[path], pattern) for pattern in transform.skip)
    }
    if not chosen:
        raise CompressionError(f"`only` and `skip` leave no weight to compress. Received: {_received(transform)}.")
    return chosen


def pruned_before(values: np.ndarray) -> np.ndarray:
    """Returns which weights of a tensor count as pruned, bool of its shape.

    A few zeros are an accident and all zeros an initialiser; from a tenth on they are meant.
    """
    zeros = values == 0
    return zeros & (_PRUNED_SHARE <= zeros.mean() < 1)


def _matches(names: Iterable[str], pattern: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for name in names)


def _owners(model: Any) -> dict[int, list[str]]:
    """Returns by id of a variable the names of all layers and models that it is in.

    The path of a variable does not tell: that of a bidirectional layer is lost when Keras copies or loads a model.
    """
    owners: dict[int, list[str]] = {}
    for layer in model._flatten_layers(include_self=False):
        for variable in layer.trainable_variables:
            owners.setdefault(id(variable), []).append(layer.name)
    return owners


def _received(transform: AbstractTransform) -> dict[str, Any]:
    return {"only": transform.only, "skip": transform.skip}
