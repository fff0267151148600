"""Dropout turned down while a model is compressed: fewer weights have less to overfit with.

Paper: arXiv 1506.02626, section 3.2, which lowers it with the root of the share of weights that is left.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

__all__ = ["dropout_scaled"]


@contextlib.contextmanager
def dropout_scaled(model: keras.Model, share: float) -> Iterator[None]:
    """Makes every layer of a model that drops at random do so at that share of its rate, until the block ends.

    Dropout of all kinds, inside attention and recurrent cells as well. Other noise stays as it is.

    Args:
        model: functional; what is traced inside has the scaled rates.
        share: from 0 to 1.
    """
    before = [(owner, name, getattr(owner, name)) for owner, name in _rates(model)]
    for owner, name, rate in before:
        setattr(owner, name, rate * share)
    try:
        yield
    finally:
        for owner, name, rate in before:
            setattr(owner, name, rate)


def _rates(model: Any) -> Iterator[tuple[Any, str]]:
    from keras.layers import AlphaDropout, Dropout, GaussianDropout, GRUCell, LSTMCell, SimpleRNNCell

    for layer in model._flatten_layers():
        if isinstance(layer, Dropout | AlphaDropout | GaussianDropout):  # SpatialDropout is a Dropout
            yield layer, "rate"
        elif isinstance(layer, GRUCell | LSTMCell | SimpleRNNCell):
            yield from ((layer, name) for name in ("dropout", "recurrent_dropout"))
