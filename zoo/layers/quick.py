"""Keras's own layers, computed in a quicker way on a processor for as long as a model is traced.

The layers, their weights and what a `.keras` file says of them stay Keras's. A new way is a function that takes a layer
and returns its `Kernel` or None, and a line of `_KERNELS`.
"""

from __future__ import annotations

import contextlib
import types
from collections.abc import Iterator

import keras

from zoo.layers.pooling import max_pooling_kernel
from zoo.layers.recurrent import lstm_kernel

__all__ = ["quick_kernels"]

_KERNELS = (lstm_kernel, max_pooling_kernel)


@contextlib.contextmanager
def quick_kernels(model: keras.Model, *, training: bool) -> Iterator[None]:
    """Within, layers of `model` that we know a quicker way for go it: LSTM, and max-pooling's gradient in training.

    Nested models and wrapped layers are reached; classes derived from Keras's are left alone, and so is every layer on
    a machine with an accelerator, which has kernels of its own. Nothing of it can be compiled by XLA.

    Args:
        model: built; as it was when the context ends.
        training: also put in what only a gradient gains from.
    """
    import tensorflow as tf

    changed = []
    if not tf.config.list_logical_devices("GPU"):
        for layer in model._flatten_layers():
            kernel = next(filter(None, (find(layer) for find in _KERNELS)), None)
            if kernel and (training or not kernel.training_only) and kernel.method not in vars(layer):
                # Past Keras's own bookkeeping of attributes: this is none.
                vars(layer)[kernel.method] = types.MethodType(kernel.function, layer)
                changed.append((layer, kernel.method))
    try:
        yield
    finally:
        for layer, method in changed:
            del vars(layer)[method]
