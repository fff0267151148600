"""A servable as a graph that LiteRT takes: weights constant, shapes settled before inputs meet, none checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from zoo.exporting.litert.kernels import lite_kernels
from zoo.exporting.servable import Servable, with_weights
from zoo.exporting.signature import InputSpec

__all__ = ["LiteFunction", "traced_for_litert"]


@dataclasses.dataclass(frozen=True)
class LiteFunction:
    """A concrete function without variables, and the operations in it that are not the model's own.

    `around` are the names of those of features and task: 8 bits are for the model.
    """

    function: Any
    around: Sequence[str]


def traced_for_litert(servable: Servable, *, batch: int | None, fake_quantized: bool) -> LiteFunction:
    """Returns the signature of a servable for LiteRT's converter.

    No shape is checked in it: LiteRT has no operation for that, and its kernels answer an error to shapes that do not
    fit them, where TensorFlow's would end the process.

    Args:
        servable: what is to be served.
        batch: the only number of rows, or None for any.
        fake_quantized: mark the ranges of quantised activations for the converter.
    """
    weights = [np.asarray(weight.numpy()) for weight in servable.model.weights]
    span: list[int] = []

    def serve(**tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        graph = tf.compat.v1.get_default_graph()
        call = with_weights(servable.model, lambda: [tf.constant(weight) for weight in weights])

        def watched(inputs: Any) -> Any:
            span.append(len(graph.get_operations()))
            outputs = call(inputs)
            span.append(len(graph.get_operations()))
            return outputs

        answers = servable.answers(_settled(servable.inputs, tensors), watched)
        return {name: tf.identity(answer) for name, answer in answers.items()}

    arguments = {
        spec.name: tf.TensorSpec((batch, *spec.shape[1:]), tf.as_dtype(spec.dtype), name=spec.name)
        for spec in servable.inputs
    }
    with lite_kernels(servable.model, fake_quantized=fake_quantized):
        function = tf.function(serve, autograph=False).get_concrete_function(**arguments)
    names = [operation.name for operation in function.graph.get_operations()]
    return LiteFunction(function, [*names[: span[0]], *names[span[1] :]])


def _settled(specs: Sequence[InputSpec], tensors: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Returns the inputs so that those of two requests never meet.

    TensorFlow Serving resizes one input and allocates before it resizes the next. A mask of the request before would
    meet frames of this one, allocation would fail, and go on failing for every request after it. A shape that hangs on
    a value, though the value changes nothing, is known only when the model runs, and allocation goes no further.
    """
    named = dict(tensors)
    if len(specs) > 1:
        first = named[specs[0].name]
        is_blank = tf.equal(first, tf.zeros([], first.dtype) if first.dtype != tf.string else "")
        nothing = tf.minimum(tf.cast(tf.reduce_any(is_blank), tf.int32), 0)
        for spec in specs[1:]:
            tensor = named[spec.name]
            named[spec.name] = tf.ensure_shape(tf.reshape(tensor, tf.shape(tensor) + nothing), tensor.shape)
    return named
