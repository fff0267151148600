"""Scales at work: fake quantisation with trained steps, and where the steps begin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from zoo.compression.base import AbstractAttachment, pruned_before
from zoo.compression.quantize_aware import BITS
from zoo.compression.sharing import channel_axes, distinct_per_row, shared_rows

__all__ = ["Scales", "grid_axes", "rounded", "starting_scale"]

_SHARES = np.linspace(0.3, 1.0, 29)  # of the largest magnitude, tried as the end of the grid
_LEAST = 1e-12


class Scales(AbstractAttachment):
    """One trained scale for each channel of each weight.

    Args:
        bits: a key of `BITS`.
        weights: the variables.
        values: their values now.
    """

    def __init__(self, bits: str, weights: Mapping[str, keras.Variable], values: Mapping[str, np.ndarray]):
        self.weights = weights
        self._low, self._high = BITS[bits]
        self._bits = bits
        self._shared = {path: rows for path in weights if (rows := shared_rows(path, values[path]))}
        self._distinct = {path: distinct_per_row(rows.of(values[path])) for path, rows in self._shared.items()}
        self._axes = {path: grid_axes(path, values[path]) for path in weights}
        self._start = {path: starting_scale(values[path], self._axes[path], self._low, self._high) for path in weights}
        # The logarithm of what the scale has grown by: a step of Adam moves large and small scales alike.
        self._growth = {
            path: keras.Variable(np.zeros_like(start), name=f"{path.replace('/', '_')}_scale_growth")
            for path, start in self._start.items()
        }
        self._pruned = {path: zeros for path in weights if (zeros := pruned_before(values[path])).any()}

    def variables(self) -> list[keras.Variable]:
        return list(self._growth.values())

    def advance(self, step: tf.Tensor) -> None:
        """Does nothing: scales have no schedule."""

    def _scale(self, path: str) -> tf.Tensor:
        return self._start[path] * tf.exp(tf.convert_to_tensor(self._growth[path].value))

    def apply(self, path: str, value: tf.Tensor) -> tf.Tensor:
        if path in self._pruned:  # neither the value nor the gradient behind it may move
            value = tf.where(self._pruned[path], 0.0, value)
        scale = self._scale(path)
        steps: Any = tf.clip_by_value(value / scale, float(self._low), float(self._high))
        return _round(steps) * scale

    def verify(self, path: str, value: np.ndarray) -> str | None:
        scale = np.asarray(self._scale(path))
        steps = np.rint(value / scale)
        if steps.min() < self._low or steps.max() > self._high or not np.array_equal(np.float32(steps) * scale, value):
            return f"is not {self._bits} times a scale per channel"
        if path in self._pruned and value[self._pruned[path]].any():
            return "weights that were pruned before are no longer zero"
        if path in self._shared:
            now, before = distinct_per_row(self._shared[path].of(value)), self._distinct[path]
            if (now > before).any():
                row = int(np.argmax(now - before))
                return f"{now[row]} distinct values, {before[row]} before"
        return None


def grid_axes(path: str, value: np.ndarray) -> tuple[int, ...]:
    """Returns the axes with a scale for each entry: those of channels, none for a tensor that was clustered as one."""
    rows = shared_rows(path, value)
    return rows.axes if rows else channel_axes(path, value.shape)


def starting_scale(values: np.ndarray, axes: tuple[int, ...], low: int, high: int) -> np.ndarray:
    """Returns the scale per channel, float32 with 1 for each axis that is no channel, of the least squared error."""
    others = tuple(axis for axis in range(values.ndim) if axis not in axes)
    largest = np.maximum(np.abs(values).max(axis=others, keepdims=True), _LEAST).astype("float32")
    best, least = largest / high, np.full(largest.shape, np.inf)
    for share in _SHARES if high < 127 else (1.0,):  # eight bits lose more by clipping than by rounding
        scale = (largest * np.float32(share) / np.float32(max(high, -low))).astype("float32")
        error = np.square(rounded(values, scale, low, high) - values).sum(axis=others, keepdims=True)
        best, least = np.where(error < least, scale, best), np.minimum(error, least)
    return best.astype("float32")


def rounded(values: np.ndarray, scale: np.ndarray, low: int, high: int) -> np.ndarray:
    """Returns the nearest points of the grid, float32; no zero has a sign."""
    return np.float32(np.clip(np.rint(values / scale), low, high) + 0.0) * scale


@tf.custom_gradient
def _round(value: tf.Tensor) -> Any:
    """Returns `round(value)` bit for bit, with the gradient of `value`."""
    return tf.round(value), lambda gradient: gradient
