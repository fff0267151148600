"""Which layer does what with channels: a new layer is a line of `_KERAS` or `_ZOO`.

A layer without a line freezes the channels that touch it, as does a class derived from one of Keras's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from zoo.compression import channel_rules as rules
from zoo.compression.channel_trace import Call, Labels, Trace

__all__ = ["Count", "Rule", "resized_config", "rule_of"]

Count = Callable[[Labels], int]  # how many of these labels are kept


@dataclasses.dataclass(frozen=True)
class Rule:
    """How a layer treats labels, and how its configuration says what is left of them.

    Args:
        walk: puts labels on its weights and returns those of its outputs.
        size: the field of its configuration that counts the channels of its output, or what changes more than that.
    """

    walk: Callable[[Trace, Call], Labels | None]
    size: str | Callable[[dict[str, Any], Any, Trace, Count], None] | None = None


# === Configurations ===
def _resize_reshape(config: dict[str, Any], layer: Any, trace: Trace, count: Count) -> None:
    *shape, last = config["target_shape"]
    labels = trace.output(layer)
    if last != -1 and labels is not None:
        config["target_shape"] = (*shape, count(labels))


def _resize_einsum(config: dict[str, Any], layer: Any, trace: Trace, count: Count) -> None:
    shape = config["output_shape"]
    labels = trace.output(layer)
    if labels is not None:
        config["output_shape"] = count(labels) if isinstance(shape, int) else (*shape[:-1], count(labels))


def _resize_bidirectional(config: dict[str, Any], layer: Any, trace: Trace, count: Count) -> None:
    units = count(trace.labels(layer.forward_layer.cell.recurrent_kernel, 0))
    for part in ("layer", "backward_layer"):
        config[part]["config"]["units"] = units
        config[part].pop("build_config", None)  # or it is built for the input before


def _resize_attention(config: dict[str, Any], layer: Any, trace: Trace, count: Count) -> None:
    config["num_heads"] = count(trace.labels(layer.query_dense.kernel, 1))
    width = count(trace.labels(layer.output_dense.kernel, 2))
    if config["output_shape"] is not None or width != count(trace.labels(layer.query_dense.kernel, 0)):
        config["output_shape"] = (width,)


_CARRIERS = ("ReLU", "LeakyReLU", "ELU", "Identity", "ActivityRegularization", "RepeatVector")
_NOISE = ("Dropout", "AlphaDropout", "GaussianDropout", "GaussianNoise")
_SPATIAL = ("SpatialDropout", "UpSampling", "ZeroPadding", "Cropping")
_POOLING = ("Max", "Average", "GlobalMax", "GlobalAverage", "AdaptiveMax", "AdaptiveAverage")
_CARRY = Rule(rules.carry)
_ATTENTION = Rule(rules.attention, _resize_attention)
_KERAS: Mapping[str, Rule] = {
    "Dense": Rule(rules.dense, "units"),
    "EinsumDense": Rule(rules.einsum, _resize_einsum),
    **{f"Conv{n}D": Rule(rules.dense, "filters") for n in (1, 2, 3)},
    **{f"Conv{n}DTranspose": Rule(rules.transposed, "filters") for n in (1, 2, 3)},
    **{f"SeparableConv{n}D": Rule(rules.separable, "filters") for n in (1, 2)},
    **{f"DepthwiseConv{n}D": Rule(rules.depthwise) for n in (1, 2)},
    "Embedding": Rule(rules.embedding, "output_dim"),
    **{name: Rule(rules.recurrent, "units") for name in ("SimpleRNN", "LSTM", "GRU")},
    "Bidirectional": Rule(rules.bidirectional, _resize_bidirectional),
    "MultiHeadAttention": _ATTENTION,
    "Activation": Rule(rules.activation),
    "PReLU": Rule(rules.prelu),
    "BatchNormalization": Rule(rules.batch_norm),
    "Rescaling": Rule(rules.rescaling),
    **dict.fromkeys((*_CARRIERS, *_NOISE), _CARRY),
    **{f"{kind}{n}D": _CARRY for kind in _SPATIAL for n in (1, 2, 3)},
    **{f"{kind}Pooling{n}D": _CARRY for kind in _POOLING for n in (1, 2, 3)},
    "Permute": Rule(rules.permute),
    "Flatten": Rule(rules.reshape),
    "Reshape": Rule(rules.reshape, _resize_reshape),
    "Concatenate": Rule(rules.concatenate),
    **dict.fromkeys(("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"), Rule(rules.merge)),
}
_ZOO: Mapping[str, Rule] = {
    **dict.fromkeys(("MaskPadding", "MaskedAveragePooling", "MaskedMaxPooling"), _CARRY),
    **dict.fromkeys(("MatMulAttention", "RotaryAttention"), _ATTENTION),
    "MaskedAttentionPooling": Rule(rules.attention_pooling),
    "LearnedPositions": Rule(rules.positions),
    "ZeroShortcut": Rule(rules.zero_shortcut, "filters"),
}


def _find(layer: Any) -> Rule | None:
    if type(layer).__module__.startswith("zoo.layers."):
        return _ZOO.get(type(layer).__name__)
    return _KERAS.get(rules.genuine(layer) or "")


def rule_of(layer: Any) -> Rule | None:
    """Returns the rule of a layer, or None if there is none that fits."""
    rule = _find(layer)
    channels_last = getattr(layer, "data_format", None) in (None, "channels_last")
    plain = not getattr(layer, "lora_enabled", False) and not getattr(layer, "quantization_mode", None)
    return rule if rule is not None and channels_last and plain else None


def resized_config(layer: Any, trace: Trace, count: Count) -> dict[str, Any]:
    """Returns the configuration of a layer in which `count` tells how many of some labels are kept."""
    config, rule = layer.get_config(), _find(layer)
    labels = trace.output(layer)
    if rule is None or rule.size is None or labels is None:
        return config
    if isinstance(rule.size, str):
        config[rule.size] = count(labels)
    else:
        rule.size(config, layer, trace, count)
    return config
