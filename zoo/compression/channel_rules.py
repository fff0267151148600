"""What each kind of layer does with channels, one small function per kind.

A rule gets the labels of a layer's inputs, puts labels on the axes of its weights and returns those of its
outputs, the same for all of them, or None where it cannot tell. `zoo.compression.channel_table` says which layer has
which rule.
Shape glossary: `C` channels before, `D` channels behind, `U` units of a recurrent cell, `H` heads, `K` width of a head.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from zoo.compression.channel_trace import Call, Labels, Trace

__all__ = [
    "activation",
    "attention",
    "attention_pooling",
    "batch_norm",
    "bidirectional",
    "carry",
    "concatenate",
    "dense",
    "depthwise",
    "einsum",
    "embedding",
    "genuine",
    "merge",
    "permute",
    "positions",
    "prelu",
    "recurrent",
    "rescaling",
    "reshape",
    "separable",
    "transposed",
    "zero_shortcut",
]

# === Activations ===
# Not softmax, log_softmax, sparsemax, glu: they mix channels.
# fmt: off
_ELEMENTWISE = (
    "celu", "elu", "exponential", "gelu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_tanh", "leaky_relu",
    "linear", "log_sigmoid", "mish", "relu", "relu6", "selu", "sigmoid", "silu", "soft_shrink", "softplus", "softsign",
    "sparse_plus", "squareplus", "tanh", "tanh_shrink", "threshold",
)
# fmt: on


def _elementwise(*activations: Any) -> bool:
    import keras

    known = [getattr(keras.activations, name, None) for name in _ELEMENTWISE]
    return all(activation is None or any(activation is one for one in known) for activation in activations)


def _activated(trace: Trace, layer: Any, labels: Labels) -> Labels:
    """Keeps all channels behind an activation that mixes them."""
    if not _elementwise(getattr(layer, "activation", None)):
        trace.freeze(labels)
    return labels


# === Producers and consumers ===
def dense(trace: Trace, call: Call) -> Labels:
    """Kernel [..., C, D], bias [D]: Dense and convolutions."""
    layer = call.layer
    if getattr(layer, "groups", 1) != 1:
        trace.freeze(call.x[0])
        kept = trace.put(layer.kernel, -1)
        trace.freeze(kept)
        return kept
    trace.put(layer.kernel, -2, call.x[0], "consumes")
    made = trace.put(layer.kernel, -1)
    trace.put(layer.bias, 0, made)
    return _activated(trace, layer, made)


def transposed(trace: Trace, call: Call) -> Labels:
    """Kernel [..., D, C], bias [D]."""
    layer = call.layer
    trace.put(layer.kernel, -1, call.x[0], "consumes")
    made = trace.put(layer.kernel, -2)
    trace.put(layer.bias, 0, made)
    return _activated(trace, layer, made)


def einsum(trace: Trace, call: Call) -> Labels | None:
    """Kernel [C, D] over the last axis, bias [D]."""
    layer = call.layer
    inputs, kernel = layer.equation.replace(" ", "").split("->")[0].split(",")
    output = layer.equation.split("->")[1].strip()
    simple = len(kernel) == 2 and kernel[0] == inputs[-1] and kernel[1] == output[-1] and kernel[0] not in output
    if not simple or layer.bias_axes not in (None, kernel[1]):
        return None
    return dense(trace, call)


def depthwise(trace: Trace, call: Call) -> Labels:
    """Kernel [..., C, m], bias [C * m]: channel `c` makes the channels from `c * m` on."""
    layer = call.layer
    trace.put(layer.kernel, -2, call.x[0])
    carried = np.repeat(call.x[0], layer.depth_multiplier)
    trace.put(layer.bias, 0, carried)
    return _activated(trace, layer, carried)


def separable(trace: Trace, call: Call) -> Labels:
    """Depthwise kernel [..., C, m], pointwise kernel [..., C * m, D], bias [D]."""
    layer = call.layer
    trace.put(layer.depthwise_kernel, -2, call.x[0], "consumes")
    trace.put(layer.pointwise_kernel, -2, np.repeat(call.x[0], layer.depth_multiplier), "consumes")
    made = trace.put(layer.pointwise_kernel, -1)
    trace.put(layer.bias, 0, made)
    return _activated(trace, layer, made)


def embedding(trace: Trace, call: Call) -> Labels:
    """Table [V, D]."""
    for labels in call.x:
        trace.freeze(labels)
    return trace.put(call.layer.embeddings, 1)


def recurrent(trace: Trace, call: Call) -> Labels | None:
    """Kernel [C, g * U], recurrent kernel [U, g * U], bias [g * U] or [2, g * U] for `g` gates; states [U]."""
    layer = call.layer
    if layer.stateful:
        return None
    units = _cell(trace, layer.cell, call.x[0])
    return trace.tie(units, *call.x[1:])  # the first states, if any are given


def _cell(trace: Trace, cell: Any, x: Labels) -> Labels:
    units = trace.put(cell.recurrent_kernel, 0, side="consumes")
    gates = np.tile(units, int(cell.recurrent_kernel.shape[1]) // len(units))
    trace.put(cell.kernel, 0, x, "consumes")
    trace.put(cell.kernel, 1, gates)
    trace.put(cell.recurrent_kernel, 1, gates)
    trace.put(cell.bias, -1, gates)
    if not _elementwise(cell.activation, getattr(cell, "recurrent_activation", None)):
        trace.freeze(units)
    return units


def bidirectional(trace: Trace, call: Call) -> Labels | None:
    """Two recurrent layers that keep the same units: Keras takes both to be of one size."""
    layer = call.layer
    pair = layer.forward_layer, layer.backward_layer
    if not all(genuine(one) in ("SimpleRNN", "LSTM", "GRU") for one in pair):
        return None
    if layer.stateful or layer.return_state or layer.merge_mode is None or len(call.x) != 1:
        return None
    units = trace.tie(*(_cell(trace, one.cell, call.x[0]) for one in pair))
    return np.concatenate([units, units]) if layer.merge_mode == "concat" else units


def attention(trace: Trace, call: Call) -> Labels | None:
    """Query, key, value kernels [C, H, K], biases [H, K]; output kernel [H, K, D], bias [D]."""
    layer = call.layer
    if len(call.outputs) != 1 or len(layer.output_dense.kernel.shape) != 3:
        return None
    query, value, *rest = call.x
    heads = trace.put(layer.query_dense.kernel, 1, kind="heads")
    parts = [("query", query), ("key", rest[0] if rest else value), ("value", value), ("gate", query)]
    for part, x in parts:
        dense = getattr(layer, f"_{part}_dense", None)
        if dense is not None:
            trace.put(dense.kernel, 0, x, "consumes")
            trace.put(dense.kernel, 1, heads, kind="heads")
            trace.put(dense.bias, 0, heads, kind="heads")
    trace.put(layer.output_dense.kernel, 0, heads, "consumes", kind="heads")
    made = trace.put(layer.output_dense.kernel, 2)
    trace.put(layer.output_dense.bias, 0, made)
    return made


def attention_pooling(trace: Trace, call: Call) -> Labels:
    """Query [C], whose product with a frame is divided by the root of C."""
    trace.put(call.layer.query, 0, call.x[0], "consumes", power=0.5)
    return call.x[0]


# === Carriers ===
def carry(trace: Trace, call: Call) -> Labels | None:
    """Channels as they come: one input, each channel by itself."""
    return call.x[0] if len(call.x) == 1 else None


def activation(trace: Trace, call: Call) -> Labels | None:
    """An activation that does not mix channels."""
    return call.x[0] if _elementwise(call.layer.activation) else None


def rescaling(trace: Trace, call: Call) -> Labels | None:
    """One scale and one offset for all channels."""
    return call.x[0] if np.ndim(call.layer.scale) == np.ndim(call.layer.offset) == 0 else None


def prelu(trace: Trace, call: Call) -> Labels:
    """Slopes [..., C], or [..., 1] where channels share them."""
    if call.layer.alpha.shape[-1] == len(call.x[0]):
        trace.put(call.layer.alpha, -1, call.x[0])
    return call.x[0]


def batch_norm(trace: Trace, call: Call) -> Labels | None:
    """Four vectors [C]."""
    layer = call.layer
    if layer.axis not in (-1, len(call.shapes[0]) - 1):
        return None
    for name in ("gamma", "beta", "moving_mean", "moving_variance"):
        trace.put(getattr(layer, name, None), 0, call.x[0])
    return call.x[0]


def positions(trace: Trace, call: Call) -> Labels:
    """Table [T, C] that is added."""
    return trace.put(call.layer.embeddings, 1, call.x[0])


def permute(trace: Trace, call: Call) -> Labels | None:
    """Another order of the axes before the last."""
    return call.x[0] if call.layer.dims[-1] == len(call.layer.dims) else None


def reshape(trace: Trace, call: Call) -> Labels | None:
    """[..., C] -> [..., p * C], position `i` holding channel `i % C`: Flatten too."""
    size, channels = call.outputs[0][-1], len(call.x[0])
    if size is None or not channels or size % channels:
        return None
    return np.tile(call.x[0], size // channels)


def zero_shortcut(trace: Trace, call: Call) -> Labels:
    """[..., C] -> [..., D], the channels behind the first C zeros."""
    known = trace.output(call.layer)
    new = call.layer.filters - len(call.x[0])
    return np.concatenate([call.x[0], trace.fresh(new) if known is None else known[len(call.x[0]) :]])


# === Several inputs ===
def merge(trace: Trace, call: Call) -> Labels:
    """Ties its inputs; a single channel that is broadcast over others stays."""
    widest = max(len(labels) for labels in call.x)
    for labels in call.x:
        if len(labels) == 1 < widest:
            trace.freeze(labels)
    return trace.tie(*(labels for labels in call.x if not len(labels) == 1 < widest))


def concatenate(trace: Trace, call: Call) -> Labels:
    """Channels side by side; on another axis, its inputs are tied."""
    if call.layer.axis in (-1, len(call.shapes[0]) - 1):
        return np.concatenate(call.x)
    return trace.tie(*call.x)


# === Classes ===
def genuine(layer: Any) -> str | None:
    """Returns the class's name if it is Keras's own; a class derived from it may compute anything."""
    import keras

    name = type(layer).__name__
    return name if getattr(keras.layers, name, None) is type(layer) else None
