"""What a model brings along, zeros and shared values of an earlier compression, held while it is trained on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from zoo.compression.base import AbstractAttachment, named_weights, pruned_before
from zoo.compression.sharing import Rows, distinct_nonzero, shared_rows

__all__ = ["Preserve"]


class Preserve(AbstractAttachment):
    """Holds the zeros of sparse weights, and in clustered ones the cluster of each weight; their values are trained.

    Values may be shared in the whole weight or in each channel; in a channel up to 32.

    Args:
        weights: variables by path; those without such a structure are left out.
    """

    def __init__(self, weights: Mapping[str, keras.Variable]):
        found = {path: np.asarray(weight.numpy()) for path, weight in weights.items()}
        self._kept = {path: ~zeros for path, value in found.items() if (zeros := pruned_before(value)).any()}
        self._codes: dict[str, np.ndarray] = {}
        self._centroids: dict[str, keras.Variable] = {}
        self._rows = {path: rows for path, value in found.items() if (rows := shared_rows(path, value))}
        self._distinct = {path: distinct_nonzero(rows.of(found[path])) for path, rows in self._rows.items()}
        for path, rows in self._rows.items():
            books, self._codes[path] = _books(rows, found[path])
            self._centroids[path] = keras.Variable(books, name=f"{path.replace('/', '_')}_values")
        self.weights = {path: weight for path, weight in weights.items() if path in self._kept or path in self._codes}

    @classmethod
    def of(cls, model: keras.Model) -> Preserve | None:
        """Returns it for all weights of a model, or None where there is nothing to hold."""
        weights = {path: weight for path, weight in named_weights(model).items() if len(weight.shape) >= 2}
        preserve = cls({path: weight for path, weight in weights.items() if 0 not in weight.shape})
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
        # Weights may have been pruned since: zero does not count.
        if path in self._rows and (distinct_nonzero(self._rows[path].of(value)) > self._distinct[path]).any():
            return f"has more distinct values than before, {self._distinct[path].max()} at most beside zero"
        return None


def _books(rows: Rows, value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the distinct values of all rows one after another, each as many as the most has, and where each is."""
    found = [np.unique(row, return_inverse=True) for row in rows.of(value)]
    most = max(len(book) for book, _ in found)
    books = np.concatenate([np.pad(book, (0, most - len(book)), mode="edge") for book, _ in found])
    codes = np.stack([codes.ravel() + number * most for number, (_, codes) in enumerate(found)])
    return books, rows.back(codes).astype("int32")


@tf.custom_gradient
def _held(shared: tf.Tensor, value: tf.Tensor) -> Any:
    """Returns `shared`; `value`, the weight behind it, gets a gradient of zeros, without which Keras warns."""
    return tf.identity(shared), lambda gradient: (gradient, tf.zeros_like(value))
