"""The plain form: a SavedModel as TensorFlow writes it, each weight once in its checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from zoo.errors import ExportError
from zoo.exporting.example_signature import CLASSIFY, INPUTS, classified, parsed
from zoo.exporting.servable import SIGNATURE, Servable, traced

if TYPE_CHECKING:
    import keras

__all__ = ["write_plain"]


def write_plain(servable: Servable, path: Path) -> None:
    """Writes the SavedModel to `path`; `keras.Model.export` writes each weight twice.

    Raises:
        ExportError: a layer holds a resource that TensorFlow cannot save, or the disk is full.
    """
    variables = [tf.Variable(tf.constant(weight.numpy()), trainable=False) for weight in servable.model.weights]
    module: Any = tf.Module()
    module.weights = variables
    module.tables = _tables(servable.model)
    module.serve = traced(servable, lambda: [tf.convert_to_tensor(variable) for variable in variables])
    signatures = {SIGNATURE: module.serve}
    if CLASSIFY in servable.signatures:
        signatures[CLASSIFY] = module.classify = _classifying(servable, module.serve)
    try:
        tf.saved_model.save(module, str(path), signatures=signatures)
    except AssertionError as error:  # "Tried to export a function which references an 'untracked' resource"
        raise ExportError(
            f"A layer of {servable.model.name!r} holds a table or another resource of TensorFlow that cannot be "
            f"exported. It must be an attribute of a layer. TensorFlow says: {error}"
        ) from error
    except tf.errors.OpError as error:  # a full disk comes as one of several
        raise ExportError(
            f"TensorFlow could not write to {path.parent}: {error.message}. Nothing was published. "
            "Make room or choose another directory."
        ) from error


def _classifying(servable: Servable, serve: Any) -> Any:
    """Returns the signature `classify` as a concrete function around the one that serves."""

    def classify(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        return classified(servable, serve(**parsed(servable.inputs, inputs)), inputs)

    return tf.function(classify, autograph=False).get_concrete_function(tf.TensorSpec([None], tf.string, name=INPUTS))


def _tables(model: keras.Model) -> list[Any]:
    """Returns what layers such as `StringLookup` hold outside their weights, for TensorFlow to save."""
    layers: list[Any] = model._flatten_layers()
    kind = tf.saved_model.experimental.TrackableResource
    return [value for layer in layers for value in vars(layer).values() if isinstance(value, kind)]
