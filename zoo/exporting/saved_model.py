"""A model, its features and its task as one SavedModel with a checked signature."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import tensorflow as tf

from zoo.errors import ExportError
from zoo.exporting.signature import InputSpec, checked_together
from zoo.exporting.weights import PackedWeights, PlainWeights
from zoo.features.base import AbstractFeature, compose
from zoo.tasks.base import AbstractTask

if TYPE_CHECKING:
    import keras

__all__ = ["SIGNATURE", "Form", "Servable", "write_saved_model"]

SIGNATURE = "serving_default"
Form = Literal["plain", "packed"]
FORMS = {"plain": PlainWeights, "packed": PackedWeights}


@dataclasses.dataclass(frozen=True)
class Servable:
    """What is to be served: raw inputs through features and model to the task's answers.

    Attributes:
        model: built and functional.
        inputs: what a caller sends.
        features: applied to the inputs, in order.
        task: makes answers of the outputs; without one the outputs are the answers.
        label_names: the name of each class.
    """

    model: keras.Model
    inputs: Sequence[InputSpec]
    features: Sequence[AbstractFeature] = ()
    task: AbstractTask | None = None
    label_names: Sequence[str] = ()

    def answers(self, tensors: Mapping[str, Any], call: Callable[[Any], Any] | None = None) -> dict[str, Any]:
        """Returns the answers to raw inputs; `call` stands in for calling the model itself."""
        featured = compose(self.features)(dict(tensors)) if self.features else dict(tensors)
        outputs = (call or self._call)(self._model_inputs(featured))
        named = self._named(outputs)
        return self.task.answers(named, self.label_names) if self.task else named

    def _call(self, inputs: Any) -> Any:
        return self.model(inputs, training=False)

    def _model_inputs(self, tensors: Mapping[str, Any]) -> Any:
        """Returns the tensors in the structure that the model was built with."""
        if isinstance(self.model.input, dict):
            missing = [name for name in self.model.input if name not in tensors]
            if missing:
                raise ExportError(
                    f"The model takes {', '.join(missing)}; its inputs and features give {', '.join(tensors)}."
                )
            return {name: tensors[name] for name in self.model.input}
        ordered = [tensors[tensor.name] for tensor in self.model.inputs]
        return ordered if isinstance(self.model.input, list | tuple) else ordered[0]

    def _named(self, outputs: Any) -> dict[str, Any]:
        if isinstance(outputs, dict):
            return outputs
        listed = outputs if isinstance(outputs, list | tuple) else [outputs]
        return dict(zip(self.model.output_names, listed, strict=True))


def write_saved_model(servable: Servable, path: Path, form: Form) -> None:
    """Writes the SavedModel to `path`, each weight once.

    Raises:
        ExportError: the model has a weight or an operation that cannot be exported.
    """
    import keras

    from zoo.layers.quick import quick_kernels

    weights = list(servable.model.weights)
    store = FORMS[form]([np.asarray(weight.numpy()) for weight in weights])

    def serve(**tensors):
        def call(inputs):
            with keras.StatelessScope(state_mapping=list(zip(weights, store.read(), strict=True))):
                return servable.model(inputs, training=False)

        return servable.answers(checked_together(servable.inputs, tensors), call)

    module: Any = tf.Module()
    module.weights = store
    module.tables = _tables(servable.model, with_checkpoint=form == "plain")
    module.serve = tf.function(serve, autograph=False)
    with quick_kernels(servable.model, training=False):
        signature = module.serve.get_concrete_function(**{spec.name: spec.tensor_spec() for spec in servable.inputs})
    # Packed weights need no checkpoint; one would hold them again, unpacked.
    options = tf.saved_model.SaveOptions(experimental_skip_saver=form == "packed")
    try:
        tf.saved_model.save(module, str(path), signatures={SIGNATURE: signature}, options=options)
    except AssertionError as error:  # "Tried to export a function which references an 'untracked' resource"
        raise ExportError(
            f"A layer of {servable.model.name!r} holds a table or another resource of TensorFlow that cannot be "
            f"exported as {form!r}. A table must be an attribute of a layer, and for 'packed' one that no "
            f"longer changes, as `tf.lookup.StaticHashTable`. TensorFlow says: {error}"
        ) from error
    except tf.errors.OpError as error:  # a full disk comes as one of several
        raise ExportError(
            f"TensorFlow could not write to {path.parent}: {error.message}. Nothing was published. "
            "Make room or choose another directory."
        ) from error


def _tables(model: keras.Model, *, with_checkpoint: bool) -> list[Any]:
    """Returns the vocabularies that layers such as `StringLookup` hold outside their weights, for TensorFlow to save.

    What can still change has its content in the checkpoint; without one it would come back empty, and is left out.
    """
    layers: list[Any] = model._flatten_layers()
    kind = tf.saved_model.experimental.TrackableResource if with_checkpoint else tf.lookup.StaticHashTable
    return [value for layer in layers for value in vars(layer).values() if isinstance(value, kind)]
