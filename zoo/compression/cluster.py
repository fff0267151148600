"""Weight clustering: every weight of a tensor is one of k shared values, and the values are trained.

Paper: arXiv 1510.00149, section 3. Initial centroids are TFMOT's. We differ from it in that weights may change their
cluster while training goes on, and that k-means iterations follow the initialiser.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from zoo.compression import _tfmot
from zoo.compression.base import AbstractAttachment, AbstractTransform, pruned_before
from zoo.errors import InvalidValueError

if TYPE_CHECKING:
    import keras
    import numpy as np
    import tensorflow as tf

__all__ = ["Cluster"]

_INITIALIZERS = ("linear", "kmeans++", "density", "random")
_LLOYD_STEPS = 20  # centroids of 10^5 weights and 16 clusters settle within about 15


@dataclasses.dataclass(frozen=True)
class Cluster(AbstractTransform):
    """Gives each weight tensor at most `num_clusters` values; what was pruned before stays zero.

    A tensor counts as pruned where at least a tenth of it is zero.

    Args:
        num_clusters: values per tensor, zero included; at least 2. A smaller tensor keeps all its values.
        initializer: TFMOT's linear, kmeans++, density-based or random centroids.

    Raises:
        InvalidValueError: a value out of range.
    """

    ORDER: ClassVar = 3

    num_clusters: int
    _: dataclasses.KW_ONLY
    initializer: Literal["linear", "kmeans++", "density", "random"] = "linear"

    def __post_init__(self) -> None:
        if self.num_clusters < 2:
            raise InvalidValueError("num_clusters", "at least 2", self.num_clusters)
        if self.initializer not in _INITIALIZERS:
            raise InvalidValueError("initializer", f"one of {', '.join(_INITIALIZERS)}", self.initializer)

    def attach(
        self,
        weights: Mapping[str, keras.Variable],
        values: Mapping[str, np.ndarray],
        num_steps: int,
        *,
        model: keras.Model,
    ) -> AbstractAttachment:
        """Returns the centroids at work, placed on `values`."""
        return _Centroids(self, weights, values)


class _Centroids(AbstractAttachment):
    def __init__(self, transform: Cluster, weights: Mapping[str, keras.Variable], values: Mapping[str, np.ndarray]):
        import keras

        self.weights = weights
        self._num_clusters = transform.num_clusters
        self._centroids = {
            path: keras.Variable(
                initial_centroids(values[path], transform.num_clusters, transform.initializer),
                name=f"{path.replace('/', '_')}_centroids",
            )
            for path in weights
        }
        self._keep_zero = {path: bool((values[path] == 0).any()) for path in weights}
        self._pruned = {
            path: keras.Variable(zeros, dtype="bool", trainable=False, name=f"{path.replace('/', '_')}_pruned")
            for path in weights
            if (zeros := pruned_before(values[path])).any()
        }

    def variables(self) -> list[keras.Variable]:
        return list(self._centroids.values())

    def advance(self, step: tf.Tensor) -> None:
        """Does nothing: centroids have no schedule."""

    def apply(self, path: str, value: tf.Tensor) -> tf.Tensor:
        import tensorflow as tf

        pruned = self._pruned.get(path)
        if pruned is not None:  # neither the value nor the gradient behind it may move
            value = tf.where(pruned.value, 0.0, value)
        centroids = tf.sort(tf.convert_to_tensor(self._centroids[path].value))
        borders = tf.stop_gradient((centroids[1:] + centroids[:-1]) / 2)
        nearest = tf.searchsorted(borders, tf.reshape(tf.stop_gradient(value), [-1]))
        shared = tf.reshape(tf.gather(centroids, nearest), tf.shape(value))
        if self._keep_zero[path]:
            shared = tf.where(tf.equal(value, 0), 0.0, shared)
        # Straight through: the weight behind the cluster learns too, and may move to another cluster.
        return _straight_through(shared, value)

    def verify(self, path: str, value: np.ndarray) -> str | None:
        import numpy as np

        distinct, pruned = len(np.unique(value)), self._pruned.get(path)
        if distinct > self._num_clusters:
            return f"{distinct} distinct values, {self._num_clusters} promised"
        if pruned is not None and (moved := int((value[np.asarray(pruned)] != 0).sum())):
            return f"{moved} weights that were pruned before are no longer zero"
        return None


def _straight_through(shared: tf.Tensor, value: tf.Tensor) -> Any:
    """Returns `shared` bit for bit, with the gradient of `shared + value`."""
    import tensorflow as tf

    @tf.custom_gradient
    def forward(shared: tf.Tensor, value: tf.Tensor):
        return tf.identity(shared), lambda gradient: (gradient, gradient)

    return forward(shared, value)


def initial_centroids(values: np.ndarray, num_clusters: int, method: str) -> np.ndarray:
    """Returns the trained centroids' first values, float32 [at most num_clusters], rising.

    Where `values` hold zeros, zero is the value of its own cluster and not among those returned.
    """
    import numpy as np

    flat = np.asarray(values, "float32").ravel()
    keep_zero = bool((flat == 0).any())
    distinct = np.unique(flat[flat != 0] if keep_zero else flat)
    budget = num_clusters - keep_zero
    if len(distinct) <= budget:
        return distinct if len(distinct) else np.zeros(1, "float32")
    centroids = _tfmot.initial_centroids(flat, num_clusters, method, keep_zero)  # type: ignore[arg-type]
    centroids = centroids[np.isfinite(centroids)]
    centroids = centroids[centroids != 0] if keep_zero else centroids
    return _lloyd(np.sort(flat[flat != 0] if keep_zero else flat), centroids[:budget])


def _lloyd(ordered: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """Moves each centroid to the mean of the weights nearest to it, up to `_LLOYD_STEPS` times."""
    import numpy as np

    sums = np.concatenate([[0.0], np.cumsum(ordered, dtype="float64")])
    for _ in range(_LLOYD_STEPS):
        cuts = np.searchsorted(ordered, (centroids[1:] + centroids[:-1]) / 2)
        edges = np.concatenate([[0], cuts, [len(ordered)]])
        counts = np.diff(edges)
        means = np.diff(sums[edges]) / np.maximum(counts, 1)
        moved = np.where(counts > 0, means, centroids).astype("float32")
        if np.array_equal(moved, centroids):
            break
        centroids = np.sort(moved)
    return centroids
