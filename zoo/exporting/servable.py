"""A model, its features and its task as one signature with checked inputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from zoo.errors import ExportError
from zoo.exporting.signature import InputSpec, checked_together
from zoo.features.base import AbstractFeature, compose
from zoo.tasks.base import AbstractTask

if TYPE_CHECKING:
    import keras

__all__ = ["SIGNATURE", "Servable", "traced", "with_weights"]

SIGNATURE = "serving_default"


@dataclasses.dataclass(frozen=True)
class Servable:
    """What is to be served: raw inputs through features and model to the task's answers.

    Attributes:
        model: built and functional.
        inputs: what a caller sends.
        features: applied to the inputs, in order.
        task: makes answers of the outputs; without one the outputs are the answers.
        label_names: the name of each class.
        signatures: the names of those to be written beside `serving_default`; see `zoo.exporting.example_signature`.
    """

    model: keras.Model
    inputs: Sequence[InputSpec]
    features: Sequence[AbstractFeature] = ()
    task: AbstractTask | None = None
    label_names: Sequence[str] = ()
    signatures: Sequence[str] = ()

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


def with_weights(model: keras.Model, read: Callable[[], Sequence[tf.Tensor]]) -> Callable[[Any], Any]:
    """Returns a call of the model in inference, its weights what `read` has in the graph of the call."""
    import keras

    weights = list(model.weights)

    def call(inputs: Any) -> Any:
        with keras.StatelessScope(state_mapping=list(zip(weights, read(), strict=True))):
            return model(inputs, training=False)

    return call


def traced(servable: Servable, read: Callable[[], Sequence[tf.Tensor]]) -> Any:
    """Returns the signature as a concrete function: inputs checked, weights where `read` has them in the graph."""
    from zoo.layers.quick import quick_kernels

    call = with_weights(servable.model, read)

    def serve(**tensors):
        return servable.answers(checked_together(servable.inputs, tensors), call)

    with quick_kernels(servable.model, training=False):
        arguments = {spec.name: spec.tensor_spec() for spec in servable.inputs}
        return tf.function(serve, autograph=False).get_concrete_function(**arguments)
