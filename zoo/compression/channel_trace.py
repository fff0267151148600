"""Which positions of which weights are the same channel: a walk over a functional model's graph.

Each position on the last axis of a tensor has a label. Layers that make channels make labels, layers that pass channels
on pass labels on, and layers that add tensors make the labels of one position equal. What is known of a layer is in
`zoo.compression.channel_table`; whatever is not known there freezes all labels that it meets.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from zoo.compression.cloning import graph

if TYPE_CHECKING:
    import keras

__all__ = ["FROZEN", "Call", "Labels", "Side", "Trace", "WeightAxis"]

Labels = np.ndarray  # int64 [channels of the last axis]; empty where the axis has no fixed size
Side = Literal["produces", "consumes"]
FROZEN = 0  # the label of whatever must stay


@dataclasses.dataclass(frozen=True)
class Call:
    """A layer that meets tensors once.

    Args:
        layer: the layer.
        x: labels of each tensor it is given, masks left out.
        shapes: shapes of these tensors.
        outputs: shapes of the tensors that it answers with.
    """

    layer: Any
    x: list[Labels]
    shapes: list[tuple[int | None, ...]]
    outputs: list[tuple[int | None, ...]]


@dataclasses.dataclass(frozen=True)
class WeightAxis:
    """The labels along one axis of a weight.

    Args:
        variable: the weight.
        axis: its axis.
        labels: one for each position on it.
        side: whether the weight makes (or carries) these channels or reads them.
        kind: channels, or heads of attention.
        owner: path of the layer.
        power: a removal multiplies the weight by (kept / before) to this power.
    """

    variable: keras.Variable
    axis: int
    labels: Labels
    side: Side
    kind: Literal["channels", "heads"]
    owner: str
    power: float


class Trace:
    """The labels of a whole model.

    Args:
        model: functional or sequential, built.
    """

    def __init__(self, model: keras.Model):
        self._parents = [FROZEN]
        self._axes: dict[tuple[int, int], WeightAxis] = {}
        self._outputs: dict[int, Labels] = {}
        self._inputs: dict[int, list[Labels]] = {}
        self._frozen_variables: set[int] = set()
        self._owner = ""
        inputs = [_unknown(tensor.shape) for tensor in graph(model).inputs]
        for labels in self._walk(model, inputs):
            self.freeze(labels)
        for axis in self._axes.values():
            if id(axis.variable) in self._frozen_variables:
                self.freeze(axis.labels)

    # === For rules ===
    def fresh(self, size: int) -> Labels:
        """Returns labels that nothing has yet."""
        first = len(self._parents)
        self._parents.extend(range(first, first + size))
        return np.arange(first, first + size)

    def tie(self, *several: Labels) -> Labels:
        """Makes labels equal position by position, and returns them; labels of unlike length are frozen."""
        first, *others = several
        for other in others:
            if len(first) != len(other):
                self.freeze(first)
                self.freeze(other)
            elif first is not other:
                for a, b in zip(first.tolist(), other.tolist(), strict=True):
                    self._union(a, b)
        return first

    def freeze(self, labels: Labels) -> None:
        """Keeps these channels."""
        for label in labels.tolist():
            self._union(label, FROZEN)

    def put(
        self,
        variable: Any,
        axis: int,
        labels: Labels | None = None,
        side: Side = "produces",
        kind: Literal["channels", "heads"] = "channels",
        power: float = 0.0,
    ) -> Labels:
        """Says that an axis of a weight has these labels, new ones by default, and returns them.

        A weight that is None (no bias) has none. A weight that another call of the layer has put ties both.
        """
        if variable is None:
            return _none() if labels is None else labels
        axis %= len(variable.shape)
        key, size = (id(variable), axis), int(variable.shape[axis])
        known = self._axes.get(key)
        if known is not None:
            return known.labels if labels is None else self.tie(known.labels, labels)
        if labels is None:
            labels = self.fresh(size)
        elif len(labels) != size:
            self.freeze(labels)
            labels = np.full(size, FROZEN)
        self._axes[key] = WeightAxis(variable, axis, labels, side, kind, self._owner, power)
        return labels

    # === For who reads the labels ===
    def axes(self) -> Iterator[WeightAxis]:
        """Yields each axis of a weight with its labels, equal where the channel is the same, in the graph's order."""
        for axis in self._axes.values():
            yield dataclasses.replace(axis, labels=self.roots(axis.labels))

    def labels(self, variable: Any, axis: int) -> Labels:
        """Returns the labels of an axis of a weight that a rule has put."""
        return self.roots(self._axes[id(variable), axis % len(variable.shape)].labels)

    def output(self, layer: Any) -> Labels | None:
        """Returns the labels of a layer's first output, or None for a layer that no rule knows."""
        labels = self._outputs.get(id(layer))
        return None if labels is None else self.roots(labels)

    def inputs(self, model: Any) -> list[Labels]:
        """Returns the labels of the inputs of the model, or of one in it."""
        return [self.roots(labels) for labels in self._inputs[id(model)]]

    def roots(self, labels: Labels) -> Labels:
        """Returns the same label for each label of one channel."""
        return np.array([self._find(label) for label in labels.tolist()], "int64")

    # === The walk ===
    def _walk(self, model: Any, inputs: Sequence[Labels]) -> list[Labels]:
        """Returns the labels of the model's outputs."""
        inner = graph(model)
        for before, labels in zip(self._inputs.setdefault(id(model), list(inputs)), inputs, strict=True):
            self.tie(before, labels)
        known = {id(tensor): labels for tensor, labels in zip(inner.inputs, inputs, strict=True)}
        for depth in sorted(inner._nodes_by_depth, reverse=True):
            for node in inner._nodes_by_depth[depth]:
                if node.is_input or any(id(tensor) not in known for tensor in node.input_tensors):
                    continue
                for tensor, labels in zip(node.outputs, self._visit(node, known), strict=True):
                    known[id(tensor)] = labels
        return [known[id(tensor)] for tensor in inner.outputs]

    def _visit(self, node: Any, known: dict[int, Labels]) -> list[Labels]:
        """Returns the labels of what a layer answers with in one call."""
        import keras

        from zoo.compression.channel_table import rule_of

        layer = node.operation
        outputs = [tuple(tensor.shape) for tensor in node.outputs]
        tensors = _bound(node)
        rule, answer = rule_of(layer), None
        if isinstance(layer, keras.Model):
            given = None if tensors is None else _nested_inputs(node, layer)
            if given is not None:
                return self._walk(layer, [known[id(tensor)] for tensor in given])
        elif tensors and rule is not None:
            for tensor in node.input_tensors:
                if not any(tensor is one for one in tensors):
                    self.freeze(known[id(tensor)])  # a mask
            self._owner = layer.path or layer.name
            x = [known[id(tensor)] for tensor in tensors]
            answer = rule.walk(self, Call(layer, x, [tuple(tensor.shape) for tensor in tensors], outputs))
        if rule is None or answer is None:
            return self._unknown_layer(node, known, outputs)
        before = self._outputs.setdefault(id(layer), answer)
        if rule.size is not None and len(before) == len(answer):
            self.tie(before, answer)  # the size in a configuration is one for all calls of the layer
        return [answer] * len(outputs)

    def _unknown_layer(self, node: Any, known: dict[int, Labels], outputs: list[Any]) -> list[Labels]:
        for tensor in node.input_tensors:
            self.freeze(known[id(tensor)])
        self._frozen_variables |= {id(variable) for variable in getattr(node.operation, "variables", ())}
        return [_unknown(shape) for shape in outputs]

    # === Equal labels: a forest in which the smallest label is the root ===
    def _find(self, label: int) -> int:
        parents = self._parents
        while parents[label] != label:
            parents[label] = label = parents[parents[label]]
        return label

    def _union(self, a: int, b: int) -> None:
        a, b = self._find(a), self._find(b)
        self._parents[max(a, b)] = min(a, b)


def _none() -> Labels:
    return np.zeros(0, "int64")


def _unknown(shape: Sequence[int | None]) -> Labels:
    size = shape[-1] if len(shape) else None
    return _none() if size is None else np.full(size, FROZEN)


def _bound(node: Any) -> list[Any] | None:
    """Returns the tensors of a call in the order of the layer's signature, without masks; None if they do not fit."""
    import keras

    try:
        bound = inspect.signature(node.operation.call).bind_partial(*node.arguments.args, **node.arguments.kwargs)
    except (AttributeError, TypeError, ValueError):
        return None
    tensors = []
    for name, value in bound.arguments.items():
        for tensor in keras.tree.flatten(value):
            if isinstance(tensor, keras.KerasTensor) and tensor.dtype != "bool" and not name.endswith("mask"):
                tensors.append(tensor)
    return tensors


def _nested_inputs(node: Any, model: Any) -> list[Any] | None:
    """Returns what a nested model is called with, in the order of its inputs; None where it cannot be told."""
    import keras

    inner = graph(model)
    if inner is None:
        return None
    given = node.arguments.args[0] if node.arguments.args else next(iter(node.arguments.kwargs.values()), None)
    if isinstance(given, dict) and not isinstance(inner._inputs_struct, dict):
        if not all(tensor.name in given for tensor in inner.inputs):
            return None
        given = [given[tensor.name] for tensor in inner.inputs]
    tensors = keras.tree.flatten(given)
    fits = len(tensors) == len(inner.inputs) and all(
        isinstance(tensor, keras.KerasTensor) and len(tensor.shape) == len(reference.shape)
        for tensor, reference in zip(tensors, inner.inputs, strict=True)
    )
    return tensors if fits else None
