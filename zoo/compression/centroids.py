"""Centroids at work: each weight is looked up as the nearest of them, and both learn.

Shape glossary: `C` channels, or one for the whole tensor; `M` weights of a channel; `k` centroids.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from zoo.compression.base import AbstractAttachment, pruned_before
from zoo.compression.cluster import initial_centroids
from zoo.compression.sharing import Rows, channel_axes, distinct_per_row

if TYPE_CHECKING:
    from zoo.compression.cluster import Cluster

__all__ = ["Centroids"]


class Centroids(AbstractAttachment):
    """The centroids of each weight, [C, k].

    Args:
        transform: says how many, of what, and where they begin.
        weights: the variables.
        values: their values now.
    """

    def __init__(self, transform: Cluster, weights: Mapping[str, keras.Variable], values: Mapping[str, np.ndarray]):
        self.weights = weights
        self._num_clusters = transform.num_clusters
        per_channel = transform.per == "channel"
        self._rows = {
            path: Rows(tuple(weight.shape), channel_axes(path, tuple(weight.shape)) if per_channel else ())
            for path, weight in weights.items()
        }
        self._centroids = {
            path: keras.Variable(_starting(transform, rows.of(values[path])), name=f"{_flat(path)}_centroids")
            for path, rows in self._rows.items()
        }
        self._keep_zero = {path: bool((values[path] == 0).any()) for path in weights}
        # Of a pruned weight, the places of what is left: neither the others' values nor what is behind them may move.
        self._left = {
            path: keras.Variable(
                np.flatnonzero(~zeros).astype("int32"), dtype="int32", trainable=False, name=f"{_flat(path)}_left"
            )
            for path in weights
            if (zeros := pruned_before(values[path])).any()
        }

    def variables(self) -> list[keras.Variable]:
        return list(self._centroids.values())

    def advance(self, step: tf.Tensor) -> None:
        """Does nothing: centroids have no schedule."""

    def apply(self, path: str, value: tf.Tensor) -> tf.Tensor:
        centroids: Any = tf.sort(tf.convert_to_tensor(self._centroids[path].value))
        rows, left = self._rows[path], self._left.get(path)
        if left is None:
            if rows.axes:
                return _back(rows, _nearest(centroids, _moved(rows, value), self._keep_zero[path]))
            flat = _nearest(centroids, tf.reshape(value, [1, -1]), self._keep_zero[path])
            return tf.reshape(flat, value.shape)
        if not rows.axes:
            return _nearest_of_left(centroids, value, tf.convert_to_tensor(left.value))
        kept = tf.scatter_nd(left.value[:, None], tf.ones_like(left.value), [int(np.prod(rows.shape))])
        value = tf.where(tf.reshape(kept > 0, rows.shape), value, 0.0)
        return _back(rows, _nearest(centroids, _moved(rows, value), True))

    def verify(self, path: str, value: np.ndarray) -> str | None:
        distinct, left = int(distinct_per_row(self._rows[path].of(value)).max()), self._left.get(path)
        if distinct > self._num_clusters:
            return f"{distinct} distinct values, {self._num_clusters} promised"
        if left is not None and (moved := np.count_nonzero(np.delete(value.ravel(), np.asarray(left)))):
            return f"{moved} weights that were pruned before are no longer zero"
        return None


def _flat(path: str) -> str:
    return path.replace("/", "_")


def _starting(transform: Cluster, rows: np.ndarray) -> np.ndarray:
    """Returns the first centroids, float32 [C, k]; a row that has fewer has its last one again."""
    most, has_zero = transform.num_clusters, bool((rows == 0).any())  # zero is a value of every row then
    found = [initial_centroids(row, most - (has_zero and row.all()), transform.initializer) for row in rows]
    size = max(len(one) for one in found)
    return np.stack([np.pad(one, (0, size - len(one)), mode="edge") for one in found])


def _moved(rows: Rows, value: tf.Tensor) -> tf.Tensor:
    return tf.reshape(tf.transpose(value, rows.order), [rows.count, -1])


def _back(rows: Rows, moved: tf.Tensor) -> tf.Tensor:
    sizes = [rows.shape[axis] for axis in rows.order]
    return tf.transpose(tf.reshape(moved, sizes), np.argsort(rows.order))


def _places(centroids: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """Returns where among all centroids, [C * k], the nearest of each value's row is; int32 [C, M]."""
    nearest = tf.searchsorted((centroids[:, 1:] + centroids[:, :-1]) / 2, values)
    count, size = centroids.shape
    return nearest if count == 1 else nearest + size * tf.range(count)[:, None]


def _sums(centroids: tf.Tensor, places: tf.Tensor, gradient: tf.Tensor) -> tf.Tensor:
    """Returns the gradient of the centroids, [C, k]. Four times as quick as what TensorFlow derives for a look-up."""
    sums = tf.raw_ops.DenseBincount(
        input=tf.reshape(places, [-1]),
        size=centroids.shape.num_elements(),
        weights=tf.reshape(gradient, [-1]),
        binary_output=False,
    )
    return tf.reshape(sums, centroids.shape)


def _nearest(centroids: tf.Tensor, values: tf.Tensor, keep_zero: bool) -> Any:
    """Returns the nearest centroid of each value, [C, M]; with `keep_zero`, zeros stay.

    Straight through: the weight behind the cluster learns too, and may move to another cluster.
    """

    @tf.custom_gradient
    def forward(centroids: tf.Tensor, values: tf.Tensor):
        places = _places(centroids, values)
        shared = tf.gather(tf.reshape(centroids, [-1]), places)
        zero = tf.equal(values, 0) if keep_zero else None

        def backward(gradient: tf.Tensor):
            moving = gradient if zero is None else tf.where(zero, 0.0, gradient)
            return _sums(centroids, places, moving), gradient

        return (shared if zero is None else tf.where(zero, 0.0, shared)), backward

    return forward(centroids, values)


def _nearest_of_left(centroids: tf.Tensor, value: tf.Tensor, left: tf.Tensor) -> Any:
    """Returns the same for the places `left` of one row of any shape, and zeros elsewhere."""
    size = value.shape.num_elements()

    def spread(values: tf.Tensor) -> tf.Tensor:
        return tf.reshape(tf.scatter_nd(left[:, None], values, [size]), value.shape)

    @tf.custom_gradient
    def forward(centroids: tf.Tensor, value: tf.Tensor):
        values = tf.gather(tf.reshape(value, [-1]), left)
        places = tf.reshape(_places(centroids, values[None]), [-1])
        shared = tf.gather(tf.reshape(centroids, [-1]), places)

        def backward(gradient: tf.Tensor):
            moving = tf.gather(tf.reshape(gradient, [-1]), left)
            return _sums(centroids, places, moving), spread(moving)

        return spread(shared), backward

    return forward(centroids, value)
