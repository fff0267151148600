"""The weights of a packed SavedModel as a server holds them once it is loaded: to prove that none has changed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from zoo.exporting.packing.store import Store

if TYPE_CHECKING:
    import keras

__all__ = ["loaded_weights"]


def loaded_weights(model: keras.Model, path: Path) -> list[np.ndarray]:
    """Returns what each of `model.weights` is in a packed SavedModel written from that model, after decoding."""
    store = Store([np.asarray(weight.numpy()) for weight in model.weights])
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.compat.v1.saved_model.load(session, ["serve"], str(path))
        return session.run(store.read())
