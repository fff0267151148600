"""The one door to tensorflow-model-optimization.

Importing that package sets `TF_USE_LEGACY_KERAS=1` in the process and imports tf_keras. Its wrappers refuse Keras 3
models; its core (masks, schedules, centroid initialisers) works on plain tf.Variables, and that is what we take. The
import stands inside functions, and the environment is put back after it.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np

__all__ = ["constant_sparsity", "initial_centroids", "mask_of", "polynomial_decay"]

_FLAG = "TF_USE_LEGACY_KERAS"


def _import() -> Any:
    before = os.environ.get(_FLAG)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import tensorflow_model_optimization
    finally:
        if before is None:
            os.environ.pop(_FLAG, None)
        else:
            os.environ[_FLAG] = before
    return tensorflow_model_optimization


def polynomial_decay(initial: float, final: float, begin: int, end: int, frequency: int) -> Any:
    """Returns TFMOT's cubic schedule of sparsity from `initial` at step `begin` to `final` at step `end`.

    Masks change every `frequency` steps; `end - begin` must be a multiple of it for `final` to be reached.
    """
    return _import().sparsity.keras.PolynomialDecay(initial, final, begin, end, power=3, frequency=frequency)


def constant_sparsity(sparsity: float, begin: int, end: int, frequency: int) -> Any:
    """Returns TFMOT's schedule that asks for `sparsity` from step `begin` on, with new masks up to step `end`."""
    return _import().sparsity.keras.ConstantSparsity(sparsity, begin, end, frequency)


def mask_of(sparsity: Any, block: tuple[int, int], m_by_n: tuple[int, int] | None) -> Callable[[Any], Any]:
    """Returns TFMOT's function from a weight tensor to its mask of ones and zeros, of the same shape and dtype.

    Args:
        sparsity: share of zeros, float [], a tensor or a number.
        block: rows and columns of a two-dimensional weight that become zero together, by their mean magnitude.
        m_by_n: m zeros in each n weights that one output reads in a row, whatever `sparsity` says; two or four axes.
    """
    _import()
    from tensorflow_model_optimization.python.core.sparsity.keras.pruning_impl import Pruning

    core = Pruning(lambda: 0, [], lambda step: (True, sparsity), block, "AVG", m_by_n)
    return lambda weight: core._maybe_update_block_mask(weight)[1]


def initial_centroids(
    weights: np.ndarray,
    num_clusters: int,
    method: Literal["linear", "kmeans++", "density", "random"],
    keep_zero: bool,
) -> np.ndarray:
    """Returns up to `num_clusters` centroids for `weights` by TFMOT's initialiser, float32, in rising order.

    Args:
        weights: float32, any shape.
        num_clusters: at least 2.
        method: TFMOT's LINEAR, KMEANS_PLUS_PLUS, DENSITY_BASED or RANDOM.
        keep_zero: one centroid is 0 and the others are shared out between the negative and the positive weights.
    """
    import numpy as np
    import tensorflow as tf

    _import()
    from tensorflow_model_optimization.python.core.clustering.keras import (
        cluster_config,
        clustering_centroids,
    )

    kinds = cluster_config.CentroidInitialization
    kind = {
        "linear": kinds.LINEAR,
        "kmeans++": kinds.KMEANS_PLUS_PLUS,
        "density": kinds.DENSITY_BASED,
        "random": kinds.RANDOM,
    }[method]
    initializer = clustering_centroids.CentroidsInitializerFactory.get_centroid_initializer(kind)
    flat = tf.constant(np.asarray(weights, "float32").ravel())
    centroids = initializer(flat, num_clusters, preserve_sparsity=keep_zero).get_cluster_centroids()
    return np.unique(np.asarray(centroids, "float32"))
