"""A model whose layers with kernels read activations of 8 bits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from zoo.compression.cloning import clone_graph, clone_layer, take_variables

if TYPE_CHECKING:
    import keras

__all__ = ["quantize_activations"]


def quantize_activations(model: keras.Model) -> keras.Model:
    """Returns a copy with an `ActivationQuantizer` on each floating tensor that a layer with a kernel reads.

    A tensor that several layers read has one quantiser. Names, inputs and outputs stay. `model` stays as it is; where
    it has such quantisers already, it is what is returned.
    """
    import keras

    from zoo.layers.quantization import ActivationQuantizer

    if any(isinstance(layer, ActivationQuantizer) for layer in _layers(model)):
        return model
    copies: list[tuple[Any, Any]] = []
    quantised: dict[int, Any] = {}
    names: dict[str, int] = {}

    def clone(layer: Any) -> Any:
        copies.append((layer, clone_layer(layer)))
        return copies[-1][1]

    def rounded(tensor: Any) -> Any:
        if not isinstance(tensor, keras.KerasTensor) or not keras.backend.is_float_dtype(tensor.dtype):
            return tensor
        if id(tensor) not in quantised:
            made: Any = tensor
            base = f"{made._keras_history.operation.name}_quantizer"
            names[base] = number = names.get(base, 0) + 1
            layer = ActivationQuantizer(name=base if number == 1 else f"{base}{number}")
            quantised[id(tensor)] = (layer(tensor), tensor)  # the tensor is kept, or its id is given away again
        return quantised[id(tensor)][0]

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        if _has_kernel(layer):
            args, kwargs = cast(Any, keras.tree.map_structure(rounded, (args, kwargs)))
        return layer(*args, **kwargs)

    copy = clone_graph(model, clone, call=call)
    take_variables(copies)
    return copy


def _layers(model: Any) -> list[Any]:
    return list(model._flatten_layers())


def _has_kernel(layer: Any) -> bool:
    """Tells whether a layer that was just cloned is of a kind that multiplies by a kernel; it may not be built."""
    import keras

    kinds = (
        keras.layers.Dense,
        keras.layers.EinsumDense,
        keras.layers.RNN,
        keras.layers.Bidirectional,
        keras.layers.TimeDistributed,
        keras.layers.MultiHeadAttention,
        keras.layers.GroupQueryAttention,
        keras.layers.DepthwiseConv1D,
        keras.layers.DepthwiseConv2D,
        keras.layers.SeparableConv1D,
        keras.layers.SeparableConv2D,
        keras.layers.Conv1D,
        keras.layers.Conv2D,
        keras.layers.Conv3D,
        keras.layers.Conv1DTranspose,
        keras.layers.Conv2DTranspose,
        keras.layers.Conv3DTranspose,
    )
    return isinstance(layer, kinds)
