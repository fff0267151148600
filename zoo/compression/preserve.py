"""What a model brings along, zeros and shared values of an earlier compression, held while it is trained on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from zoo.compression.base import AbstractAttachment, is_clustered, named_weights, pruned_before

__all__ = ["Preserve"]


class Preserve(AbstractAttachment):
    """Holds the zeros of sparse weights, and in clustered ones the cluster of each weight; their values are trained.

    Args:
        weights: variables by path; those without such a structure are left out.
    """

    def __init__(self, weights: Mapping[str, keras.Variable]):
        found = {path: np.asarray(weight.numpy()) for path, weight in weights.items()}
        self._kept = {path: ~zeros for path, value in found.items() if (zeros := pruned_before(value)).any()}
        self._codes: dict[str, np.ndarray] = {}
        self._centroids: dict[str, keras.Variable] = {}
        for path, value in found.items():
            if is_clustered(value):
                book, codes = np.unique(value, return_inverse=True)
                self._codes[path] = codes.reshape(value.shape).astype("int32")
                self._centroids[path] = keras.Variable(book, name=f"{path.replace('/', '_')}_values")
        self.weights = {path: weight for path, weight in weights.items() if path in self._kept or path in self._codes}

    @classmethod
    def of(cls, model: keras.Model) -> Preserve | None:
        """Returns it for all weights of a model, or None where there is nothing to hold."""
        preserve = cls({path: weight for path, weight in named_weights(model).items() if len(weight.shape) >= 2})
        return preserve if preserve.weights else None

    def variables(self) -> list[keras.Variable]:
        return list(self._centroids.values())

    def advance(self, step: tf.Tensor) -> None:
        """Does nothing: what is held has no schedule."""

    def apply(self, path: str, value: tf.Tensor) -> tf.Tensor:
        if path in self._codes:
            value = _held(tf.gather(tf.convert_to_tensor(self._centroids[path].value), self._codes[path]), value)
        return tf.where(self._kept[path], value, 0.0) if path in self._kept else value

    def verify(self, path: str, value: np.ndarray) -> str | None:
        if path in self._kept and value[~self._kept[path]].any():
            return "weights that were zero before are no longer"
        if path in self._codes and len(np.unique(value)) > (most := self._centroids[path].shape[0]):
            return f"{len(np.unique(value))} distinct values, {most} before"
        return None


@tf.custom_gradient
def _held(shared: tf.Tensor, value: tf.Tensor) -> Any:
    """Returns `shared`; `value`, the weight behind it, gets a gradient of zeros, without which Keras warns."""
    return tf.identity(shared), lambda gradient: (gradient, tf.zeros_like(value))
