"""Weight clustering: every weight of a tensor or of a channel is one of k shared values, and the values are trained.

Paper: arXiv 1510.00149, section 3. Initial centroids are TFMOT's. We differ from it in that weights may change their
cluster while training goes on, and that k-means iterations follow the initialiser.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from zoo.compression import _tfmot
from zoo.compression.base import AbstractAttachment, AbstractTransform, check_float32
from zoo.errors import InvalidValueError

if TYPE_CHECKING:
    import keras
    import numpy as np

__all__ = ["Cluster", "initial_centroids"]

_INITIALIZERS = ("linear", "kmeans++", "density", "random")
_LLOYD_STEPS = 20  # centroids of 10^5 weights and 16 clusters settle within about 15
_MOST = 256  # the form `packed` has a byte for each weight


@dataclasses.dataclass(frozen=True)
class Cluster(AbstractTransform):
    """Gives each weight tensor, or each channel of it, at most `num_clusters` values; what was pruned stays zero.

    A tensor counts as pruned where at least a tenth of it is zero. A training step of LeNet-300-100, which is little
    else than reading weights, takes 2.2 times the processor's time with 16 values where 90% are zero, and 3.4 times
    where none is; per channel 3.2 and 4.6 times. Convolutions hide most of it.

    Args:
        num_clusters: values per tensor or channel, zero included; 2 to 256. What has fewer weights keeps all of them.
        initializer: TFMOT's linear, kmeans++, density-based or random centroids.
        per: `tensor`, or `channel`: an output of the layer, as in `QuantizeAware`. Where channels differ in scale, 8
            values for each of 300 lose less than 16 for all (3.5% and 4.1% of the squares of 784 x 300 weights); but
            packed they take more, 97 and 77 KB. Where they are alike, `tensor` is better.

    Raises:
        InvalidValueError: a value out of range.
    """

    ORDER: ClassVar = 3

    num_clusters: int
    _: dataclasses.KW_ONLY
    initializer: Literal["linear", "kmeans++", "density", "random"] = "linear"
    per: Literal["tensor", "channel"] = "tensor"

    def __post_init__(self) -> None:
        if not 2 <= self.num_clusters <= _MOST:
            raise InvalidValueError("num_clusters", f"at least 2 and at most {_MOST}", self.num_clusters)
        if self.initializer not in _INITIALIZERS:
            raise InvalidValueError("initializer", f"one of {', '.join(_INITIALIZERS)}", self.initializer)
        if self.per not in ("tensor", "channel"):
            raise InvalidValueError("per", "tensor or channel", self.per)

    def check(self, weights: Mapping[str, keras.Variable]) -> None:
        """Raises `CompressionError` for weights not of float32."""
        check_float32(self, weights)

    def attach(
        self,
        weights: Mapping[str, keras.Variable],
        values: Mapping[str, np.ndarray],
        num_steps: int,
        *,
        model: keras.Model,
    ) -> AbstractAttachment:
        """Returns the centroids at work, placed on `values`."""
        from zoo.compression.centroids import Centroids

        return Centroids(self, weights, values)


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
    if budget == 1:
        return np.mean(flat[flat != 0] if keep_zero else flat, keepdims=True)
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
