"""Batch normalisation folded into the layer before it: the same answers with fewer operations and weights.

In inference a normalisation multiplies each channel by a number and adds another, which a layer without an activation
can do itself: arXiv 1712.05877, section 3.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.compression.cloning import clone_graph, clone_layer, graph, take_variables
from zoo.errors import CompressionError

if TYPE_CHECKING:
    import keras

__all__ = ["fold_batch_norm"]

# The weight that takes the factors, and the axes of it that hold the channels of the output.
_FOLDED: dict[str, tuple[str, tuple[int, ...]]] = {
    "Dense": ("kernel", (-1,)),
    **{f"Conv{n}D": ("kernel", (-1,)) for n in (1, 2, 3)},
    **{f"Conv{n}DTranspose": ("kernel", (-2,)) for n in (1, 2, 3)},
    **{f"DepthwiseConv{n}D": ("kernel", (-2, -1)) for n in (1, 2)},
    **{f"SeparableConv{n}D": ("pointwise_kernel", (-1,)) for n in (1, 2)},
}


def fold_batch_norm(model: keras.Model) -> keras.Model:
    """Returns a copy of a model whose batch normalisations are part of the layers before them, for inference.

    Folded is each that follows a convolution, a depthwise, separable or transposed one, or a dense layer, if that has
    no activation and feeds nothing else, and if both are called once. All other names, the inputs and the outputs stay.
    Where a normalisation was an output of the model, an `Identity` keeps its name. `model` stays as it is, and is what
    is returned where nothing folds.

    Raises:
        CompressionError: the model is neither functional nor sequential, or not built.
    """
    import keras

    if not isinstance(model, keras.Model) or graph(model) is None:
        raise CompressionError(
            "Batch normalisations are found in the graph of a built functional or sequential `keras.Model`. "
            f"Received: {type(model).__name__}. "
            "Give a subclassed model a functional shell: `keras.Model(inputs, model(inputs))`."
        )
    pairs = _pairs(model)
    if not pairs:
        return model
    folded = {id(layer): norm for layer, norm in pairs}
    gone = {id(norm): norm for _, norm in pairs}
    outputs = {id(tensor._keras_history.operation) for tensor in graph(model).outputs}
    copies: list[tuple[Any, Any]] = []

    def clone(layer: Any) -> Any:
        if id(layer) in gone:
            stays = id(layer) in outputs
            return keras.layers.Identity(name=layer.name, dtype=layer.dtype_policy.name) if stays else None
        config = layer.get_config()
        if id(layer) in folded:
            config["use_bias"] = True
        copies.append((layer, clone_layer(layer, config)))
        return copies[-1][1]

    small = clone_graph(model, clone)
    for old, new in copies:
        if id(old) in folded:
            _fold(old, folded[id(old)], new)
    take_variables((old, new) for old, new in copies if id(old) not in folded)
    return small


def _graphs(model: Any) -> Iterator[Any]:
    """Yields the graph of a model and those of the models in it, each once."""
    seen: set[int] = set()
    waiting = [model]
    while waiting:
        inner = graph(waiting.pop())
        if inner is not None and id(inner) not in seen:
            seen.add(id(inner))
            yield inner
            waiting += [layer for layer in inner.layers if hasattr(layer, "layers")]


def _pairs(model: Any) -> list[tuple[Any, Any]]:
    """Returns each layer that takes a normalisation in, with it."""
    calls: dict[int, int] = {}
    readers: dict[int, int] = {}
    pairs = []
    graphs = list(_graphs(model))
    for inner in graphs:
        for node in _nodes(inner):
            calls[id(node.operation)] = calls.get(id(node.operation), 0) + 1
            for tensor in node.input_tensors:
                readers[id(tensor)] = readers.get(id(tensor), 0) + 1
        for tensor in inner.outputs:
            readers[id(tensor)] = readers.get(id(tensor), 0) + 1
    for inner in graphs:
        made = {id(tensor): node for node in _nodes(inner) for tensor in node.outputs}
        for node in _nodes(inner):
            before = made.get(id(node.input_tensors[0]))
            if before is None or not _fits(before.operation, node):
                continue
            once = calls[id(node.operation)] == calls[id(before.operation)] == readers[id(node.input_tensors[0])] == 1
            if once:
                pairs.append((before.operation, node.operation))
    return pairs


def _nodes(inner: Any) -> list[Any]:
    return [node for nodes in inner._nodes_by_depth.values() for node in nodes if not node.is_input]


def _fits(layer: Any, node: Any) -> bool:
    """Tells whether `layer` could do what the normalisation called at `node` does to its output."""
    import keras

    norm, name = node.operation, type(layer).__name__
    return (
        type(norm) is keras.layers.BatchNormalization
        and name in _FOLDED
        and getattr(keras.layers, name) is type(layer)
        and layer.activation in (None, keras.activations.linear)
        and norm.axis in (-1, len(node.input_tensors[0].shape) - 1)
        and getattr(layer, "data_format", None) in (None, "channels_last")
        and not getattr(layer, "lora_enabled", False)
        and not getattr(layer, "quantization_mode", None)
    )


def _fold(old: Any, norm: Any, new: Any) -> None:
    """Writes the weights of `old` with those of `norm` taken in into `new`."""
    mean, variance = (np.asarray(one, "float64") for one in (norm.moving_mean, norm.moving_variance))
    factor = 1 / np.sqrt(variance + norm.epsilon)  # [C]
    if norm.scale:
        factor = factor * np.asarray(norm.gamma, "float64")
    shift = -mean if old.bias is None else np.asarray(old.bias, "float64") - mean
    bias = shift * factor + (np.asarray(norm.beta, "float64") if norm.center else 0)
    weight, axes = _FOLDED[type(old).__name__]
    value = np.asarray(getattr(old, weight), "float64")
    sizes = [value.shape[axis] if axis - value.ndim in axes else 1 for axis in range(value.ndim)]
    getattr(new, weight).assign(value * factor.reshape(sizes))
    new.bias.assign(bias)
    if weight != "kernel":
        new.depthwise_kernel.assign(old.depthwise_kernel)
