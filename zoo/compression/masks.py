"""Masks at work: computed on a schedule inside the training step, in step on all replicas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from zoo.compression import _tfmot
from zoo.compression.base import AbstractAttachment, pruned_before
from zoo.compression.sharing import shared_rows

if TYPE_CHECKING:
    from zoo.compression.prune import Prune

__all__ = ["Masks"]


class Masks(AbstractAttachment):
    """One mask of ones and zeros for each weight.

    Args:
        transform: says how much, when and in which pattern.
        weights: the variables.
        values: their values now; what is zero in a sparse one stays zero.
        num_steps: of the training.
    """

    def __init__(
        self,
        transform: Prune,
        weights: Mapping[str, keras.Variable],
        values: Mapping[str, np.ndarray],
        num_steps: int,
    ):
        self.weights = weights
        self._transform = transform
        zeros = {path: pruned_before(values.get(path, np.ones(weight.shape))) for path, weight in weights.items()}
        self._kept = {path: np.float32(1) - zero for path, zero in zeros.items()}
        self._masks = {path: _shared_variable(kept) for path, kept in self._kept.items()}
        # Where many weights are equal, no threshold leaves as many as asked for.
        self._tied = {path for path, value in values.items() if path in weights and shared_rows(path, value)}
        self._schedule = self._make_schedule(num_steps)

    def _make_schedule(self, num_steps: int) -> Any:
        transform = self._transform
        begin, end, frequency = transform.steps(num_steps)
        if transform.schedule == "constant" or transform.m_by_n:
            return _tfmot.constant_sparsity(transform.sparsity, begin, end, frequency)
        if begin == end:  # a single mask: the cubic's first value would be the initial sparsity
            return _tfmot.constant_sparsity(transform.sparsity, begin, end, 1)
        return _tfmot.polynomial_decay(transform.initial_sparsity, transform.sparsity, begin, end, frequency)

    def variables(self) -> list[keras.Variable]:
        return []

    def advance(self, step: tf.Tensor) -> None:
        due, sparsity = self._schedule(step)
        context: Any = tf.distribute.get_replica_context()
        context.merge_call(self._update, args=(due, sparsity))

    def _update(self, strategy: Any, due: Any, sparsity: Any) -> tf.Operation:
        due, sparsity = (strategy.experimental_local_results(value)[0] for value in (due, sparsity))

        def assign() -> tf.Operation:
            masks = self._computed(sparsity)
            return tf.group(
                *(
                    strategy.extended.update(self._masks[path], lambda mask, new: mask.assign(new), (masks[path],))
                    for path in self.weights
                )
            )

        return tf.cond(due, assign, tf.no_op)

    def _computed(self, sparsity: tf.Tensor) -> dict[str, tf.Tensor]:
        values = {path: tf.convert_to_tensor(weight.value) for path, weight in self.weights.items()}
        values = {path: value * self._kept[path] for path, value in values.items()}
        masks = (
            _global_masks(values, sparsity)
            if self._transform.scope == "global"
            else self._layer_masks(values, sparsity)
        )
        return {path: mask * self._kept[path] for path, mask in masks.items()}

    def _layer_masks(self, values: Mapping[str, tf.Tensor], sparsity: tf.Tensor) -> dict[str, tf.Tensor]:
        compute = _tfmot.mask_of(sparsity, self._transform.block, self._transform.m_by_n)
        if self._transform.m_by_n:
            return {path: compute(value) for path, value in values.items()}
        if self._transform.block == (1, 1):
            return {
                path: _largest(value, sparsity) if path in self._tied else compute(value)
                for path, value in values.items()
            }
        shapes = {path: value.shape for path, value in values.items()}
        matrices = {path: tf.reshape(value, _matrix(shapes[path])) for path, value in values.items()}
        return {path: tf.reshape(compute(matrix), shapes[path]) for path, matrix in matrices.items()}

    def apply(self, path: str, value: tf.Tensor) -> tf.Tensor:
        mask = tf.convert_to_tensor(self._masks[path])
        return _masked(value, mask) if self._transform.regrow else value * mask

    def penalty(self, values: Mapping[str, tf.Tensor]) -> tf.Tensor | None:
        if not self._transform.l2:
            return None
        return self._transform.l2 * tf.add_n([tf.reduce_sum(tf.square(values[path])) for path in self.weights])

    def verify(self, path: str, value: np.ndarray) -> str | None:
        transform = self._transform
        if value[self._mask(path) == 0].any():
            return "a weight behind its mask is not zero"
        if transform.m_by_n:
            mask = np.asarray(_tfmot.mask_of(0.0, (1, 1), transform.m_by_n)(tf.constant(value)))
            return None if not value[mask == 0].any() else f"is not {transform.m_by_n[0]}:{transform.m_by_n[1]} sparse"
        if transform.scope == "global":  # promised for all of them together
            masks = [self._mask(path) for path in self.weights]
            size, zeros, what = sum(mask.size for mask in masks), sum(int((mask == 0).sum()) for mask in masks), "zeros"
        else:
            blocks = _blocks(value, transform.block)
            size, zeros = len(blocks), int((blocks == 0).all(axis=1).sum())
            what = "zeros" if transform.block == (1, 1) else f"of its blocks of {transform.block} zero"
        if zeros >= size - max(1, round(size * (1 - transform.sparsity))):
            return None
        return f"{zeros / size:.4f} {what}, {transform.sparsity} promised"

    def _mask(self, path: str) -> np.ndarray:
        return np.asarray(tf.convert_to_tensor(self._masks[path]))


def _shared_variable(value: np.ndarray) -> tf.Variable:
    return tf.Variable(tf.constant(value), trainable=False, aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA)


def _matrix(shape: Any) -> list[int]:
    return [int(np.prod(shape[:-1])), int(shape[-1])]


def _blocks(value: np.ndarray, block: tuple[int, int]) -> np.ndarray:
    """Returns the blocks of a weight, one a row; those at its ends are filled up with zeros."""
    matrix = value.reshape(_matrix(value.shape))
    matrix = np.pad(matrix, [(0, -size % step) for size, step in zip(matrix.shape, block, strict=True)])
    rows, columns = (size // step for size, step in zip(matrix.shape, block, strict=True))
    return matrix.reshape(rows, block[0], columns, block[1]).swapaxes(1, 2).reshape(rows * columns, -1)


def _largest(value: tf.Tensor, sparsity: tf.Tensor) -> tf.Tensor:
    """Returns the mask that leaves the largest weights, of equal ones the first."""
    magnitudes = tf.reshape(tf.abs(value), [-1])
    size = tf.size(magnitudes)
    kept = tf.maximum(tf.round(tf.cast(size, tf.float32) * (1 - tf.cast(sparsity, tf.float32))), 1)
    chosen = tf.argsort(magnitudes, direction="DESCENDING", stable=True)[: tf.cast(kept, tf.int32)]
    mask = tf.scatter_nd(chosen[:, None], tf.ones_like(chosen, value.dtype), size[None])
    return tf.reshape(mask, value.shape)


def _global_masks(values: Mapping[str, tf.Tensor], sparsity: tf.Tensor) -> dict[str, tf.Tensor]:
    """Returns masks under one threshold for all weights: LAMP scores, arXiv 2010.07611, equation 3."""
    scores = {path: _lamp(tf.reshape(value, [-1])) for path, value in values.items()}
    everything = tf.concat(list(scores.values()), axis=0)
    size = tf.cast(tf.size(everything), tf.float32)
    kept = tf.cast(tf.maximum(tf.round(size * (1 - tf.cast(sparsity, tf.float32))), 1), tf.int32)
    threshold = tf.sort(everything, direction="DESCENDING")[kept - 1]
    chosen = {path: (score >= threshold) & (score > 0) for path, score in scores.items()}
    return {path: tf.cast(tf.reshape(chosen[path], value.shape), value.dtype) for path, value in values.items()}


def _lamp(flat: tf.Tensor) -> tf.Tensor:
    squares = tf.square(tf.cast(flat, tf.float64))  # float32 loses the small ones in the sum
    order = tf.argsort(squares)
    rising = tf.gather(squares, order)
    scores = rising / tf.maximum(tf.cumsum(rising, reverse=True), 1e-300)
    return tf.cast(tf.scatter_nd(order[:, None], scores, tf.shape(squares, out_type=order.dtype)), tf.float32)


@tf.custom_gradient
def _masked(value: tf.Tensor, mask: tf.Tensor) -> Any:
    """Returns `value * mask` with the gradient of `value`."""
    return value * mask, lambda gradient: (gradient, None)
