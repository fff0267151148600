"""Structured pruning: channels and attention heads are found in a model's graph, judged, and physically removed.

Papers: arXiv 1608.08710 (whole filters by their norm, with what reads them), 1611.06440 (scores that layers share).
Shape glossary: `n` channels of a group, `m` positions that one channel has on an axis.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from zoo.compression.base import named_weights
from zoo.compression.channel_table import resized_config
from zoo.compression.channel_trace import FROZEN, Side, Trace, WeightAxis
from zoo.compression.cloning import clone_graph, clone_layer
from zoo.errors import CompressionError, InvalidValueError, UnknownNameError

if TYPE_CHECKING:
    import keras

__all__ = ["ChannelGroup", "ChannelSlice", "channel_groups", "remove_channels", "saliency", "scores"]


@dataclasses.dataclass(frozen=True, eq=False)
class ChannelSlice:
    """Where the channels of a group lie on one axis of a weight.

    Args:
        path: name of the weight, as `named_weights` has it.
        axis: its axis, from 0.
        indices: int64 [n, m], the positions of each channel: several behind a `Flatten`, or for the gates of an LSTM.
        side: "produces" where the weight makes or carries the channels, "consumes" where it reads them.
    """

    path: str
    axis: int
    indices: np.ndarray
    side: Side


@dataclasses.dataclass(frozen=True, eq=False)
class ChannelGroup:
    """Channels that lie on the same axes of the same weights; each may go alone, from all of these at once.

    Args:
        name: path of the first layer that makes them; with `/heads` for the heads of an attention.
        size: `n`.
        slices: where they lie, in the order of the graph.
        kind: channels, or heads.
    """

    name: str
    size: int
    slices: tuple[ChannelSlice, ...]
    kind: Literal["channels", "heads"] = "channels"


def channel_groups(model: keras.Model) -> list[ChannelGroup]:
    """Returns the channels and heads that can be removed, grouped, in the order of the graph.

    Channels that are not in any group have to stay: those of the model's inputs and outputs, and those that meet a
    layer without a rule in `zoo.compression.channel_table` (normalisation over the width, a user's own layers).

    Raises:
        CompressionError: the model is neither functional nor sequential, or not built.

    Example:
        >>> import keras
        >>> x = keras.Input((6,))
        >>> y = keras.layers.Dense(2, name="second")(keras.layers.Dense(8, name="first")(x))
        >>> [(group.name, group.size) for group in channel_groups(keras.Model(x, y))]
        [('first', 8)]
    """
    return [group for group, _ in _grouped(model, _trace(model))]


def saliency(group: ChannelGroup, values: Mapping[str, np.ndarray]) -> np.ndarray:
    """Returns how much each channel matters, float32 [n], comparable between groups.

    The L2 norm of all weights that make or read a channel, divided by the root mean square of these norms in the group.
    arXiv 1608.08710 takes the L1 norm of a filter; 1611.06440, section 2.2, divides by the root of the sum of squares,
    which would put most channels of a wide layer below those of a narrow one.

    Args:
        group: one of `channel_groups`.
        values: weights by name; those that are missing do not count.
    """
    return np.asarray(scores(group, values), "float32")


def scores(group: ChannelGroup, values: Mapping[str, Any]) -> Any:
    """Returns `saliency` as a tensor; `values` may be tensors of a graph."""
    from keras import ops

    total: Any = ops.zeros(group.size)
    for part in group.slices:
        if part.path in values:
            squares: Any = ops.square(ops.cast(values[part.path], "float32"))
            others = [axis for axis in range(len(squares.shape)) if axis != part.axis]
            squares = ops.take(ops.sum(squares, axis=others), part.indices.ravel())
            total = total + ops.sum(ops.reshape(squares, part.indices.shape), axis=1)
    mean: Any = ops.mean(total)  # of squares: the norms are their roots
    return ops.sqrt(total / ops.maximum(mean, 1e-30))


def remove_channels(model: keras.Model, keep: Mapping[str, np.ndarray]) -> keras.Model:
    """Returns a smaller copy of a model without some of its channels; names, inputs and outputs are the same.

    Answers are those of `model` where the weights that read the channels removed are zero. `model` stays as it is.

    Args:
        model: functional or sequential, built; any nesting and sharing of layers.
        keep: by name of a group, bool [n], False for each channel to remove; groups that are missing stay whole.

    Raises:
        CompressionError: no functional model, or a group would lose all its channels.
        InvalidValueError: a mask of another shape or type.
        UnknownNameError: no group has this name.
    """
    trace = _trace(model)
    removed = _removed(_grouped(model, trace), keep)
    axes: dict[int, list[WeightAxis]] = {}
    for axis in trace.axes():
        if np.isin(axis.labels, removed).any():
            axes.setdefault(id(axis.variable), []).append(axis)
    pairs: list[tuple[Any, Any]] = []

    def count(labels: np.ndarray) -> int:
        return int((~np.isin(labels, removed)).sum())

    def clone(layer: Any) -> Any:
        config = resized_config(layer, trace, count)
        if any(id(variable) in axes for variable in getattr(layer, "variables", ())):
            config = _without_tables(config)
        pairs.append((layer, clone_layer(layer, config)))
        return pairs[-1][1]

    small = clone_graph(model, clone, lambda one: [count(labels) or None for labels in trace.inputs(one)])
    for old, new in pairs:
        for source, target in zip(getattr(old, "variables", ()), getattr(new, "variables", ()), strict=True):
            target.assign(_kept(np.asarray(source), axes.get(id(source), []), removed))
        if hasattr(new, "finalize_state"):
            new.finalize_state()
    return small


def _trace(model: keras.Model) -> Trace:
    import keras

    if not isinstance(model, keras.Model) or not getattr(model, "inputs", None):
        raise CompressionError(
            "Channels are found in the graph of a built functional or sequential `keras.Model`. "
            f"Received: {type(model).__name__}. "
            "Give a subclassed model a functional shell: `keras.Model(inputs, model(inputs))`."
        )
    return Trace(model)


def _grouped(model: keras.Model, trace: Trace) -> list[tuple[ChannelGroup, np.ndarray]]:
    """Returns the groups, and the label of each of their channels."""
    paths, axes = _paths(model), list(trace.axes())
    places: dict[int, list[tuple[int, int]]] = {}  # label: [(axis, positions on it)]
    for number, axis in enumerate(axes):
        for label, count in zip(*np.unique(axis.labels, return_counts=True), strict=True):
            if label != FROZEN:
                places.setdefault(int(label), []).append((number, int(count)))
    alike: dict[tuple[tuple[int, int], ...], list[int]] = {}
    for label in sorted(places):
        alike.setdefault(tuple(places[label]), []).append(label)
    groups, names = [], {}
    for place, members in alike.items():
        labels, found = np.array(members), [axes[number] for number, _ in place]
        first = next((axis for axis in found if axis.side == "produces"), found[0])
        name = first.owner + ("/heads" if first.kind == "heads" else "")
        names[name] = count = names.get(name, 0) + 1
        slices = [ChannelSlice(paths[id(one.variable)], one.axis, _indices(one, labels), one.side) for one in found]
        full = name if count == 1 else f"{name}.{count}"
        groups.append((ChannelGroup(full, len(labels), tuple(slices), first.kind), labels))
    return groups


def _indices(axis: WeightAxis, labels: np.ndarray) -> np.ndarray:
    """Returns where each label lies on an axis, int64 [n, m]."""
    order = np.argsort(axis.labels, kind="stable")
    ranked = axis.labels[order]
    first, behind = np.searchsorted(ranked, labels), np.searchsorted(ranked, labels, side="right")
    return order[first[:, None] + np.arange(behind[0] - first[0])]


def _paths(model: keras.Model) -> dict[int, str]:
    """Returns the name of each variable by its id; those that are trained have that of `named_weights`."""
    paths = {id(variable): path for path, variable in named_weights(model).items()}
    used = set(paths.values())
    for variable in model.variables:
        if id(variable) not in paths:
            path, count = variable.path, 1
            while path in used:
                count += 1
                path = f"{variable.path}.{count}"
            used.add(path)
            paths[id(variable)] = path
    return paths


def _removed(groups: list[tuple[ChannelGroup, np.ndarray]], keep: Mapping[str, np.ndarray]) -> np.ndarray:
    """Returns the labels of the channels to remove."""
    known = {group.name: (group, labels) for group, labels in groups}
    removed = [np.zeros(0, "int64")]
    for name, mask in keep.items():
        if name not in known:
            raise UnknownNameError("group of channels", name, known)
        group, labels = known[name]
        mask = np.asarray(mask)
        if mask.shape != (group.size,) or mask.dtype != bool:
            expected = f"bool [{group.size}] for the group {name!r}"
            raise InvalidValueError("keep", expected, f"{mask.dtype} {list(mask.shape)}")
        if not mask.any():
            raise CompressionError(
                f"All {group.size} {group.kind} of {name!r} were to be removed; at least one must stay, or the layers "
                "behind would have no input. Keep the one of the highest `saliency`."
            )
        removed.append(labels[~mask])
    return np.concatenate(removed)


def _kept(value: np.ndarray, axes: list[WeightAxis], removed: np.ndarray) -> np.ndarray:
    """Returns what is left of a weight."""
    for axis in axes:
        keep = ~np.isin(axis.labels, removed)
        value = np.compress(keep, value, axis=axis.axis) * np.asarray(keep.mean() ** axis.power, value.dtype)
    return value


def _without_tables(config: dict[str, Any]) -> dict[str, Any]:
    """Replaces initial values given as a table: they have the size before."""
    tables = [
        field
        for field, value in config.items()
        if field.endswith("_initializer")
        and isinstance(value, dict)
        and value.get("class_name") == "Constant"
        and not isinstance(value["config"]["value"], int | float)
    ]
    return {**config, **dict.fromkeys(tables, "zeros")}
