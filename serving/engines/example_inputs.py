"""Which string inputs of a SavedModel end in TensorFlow's parsers of `tf.Example`, and the check that comes before.

For a feature of free length the parsers of TensorFlow 2.21 trust the length that the bytes claim: a message of 17 bytes
that claims 2 GB of floats ends the process. Protobuf's own parser refuses such bytes, so what a request sends to such
an input goes through that one first. Tensors are followed from each parser back to the signatures, through what hands
elements on as they are; where something else stands in between (base64, for one), the bytes of the request are not
those that are parsed, and only the operator can be told.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from serving.errors import InvalidInputError

__all__ = ["Parsed", "check_examples", "find_parsed"]

_EXAMPLE, _SEQUENCE = tf.train.Example, tf.train.SequenceExample
PARSERS: Mapping[str, Any] = {
    "ParseExample": _EXAMPLE,
    "ParseExampleV2": _EXAMPLE,
    "ParseSingleExample": _EXAMPLE,
    "ParseSequenceExample": _SEQUENCE,
    "ParseSequenceExampleV2": _SEQUENCE,
    "ParseSingleSequenceExample": _SEQUENCE,
}
"""Operations whose input 0 is a serialised message, and which one."""
_ALL = slice(None)
_FIRST = slice(0, 1)
HANDING_ON: Mapping[str, slice] = {
    **dict.fromkeys(
        (
            *("Identity", "Snapshot", "StopGradient", "PreventGradient", "EnsureShape", "PlaceholderWithDefault"),
            *("Reshape", "ExpandDims", "Squeeze", "Transpose", "ReverseV2", "Tile", "BroadcastTo"),
            *("Gather", "GatherV2", "GatherNd", "Slice", "StridedSlice", "Unpack", "SplitV", "DynamicPartition"),
            *("Unique", "UniqueV2", "Switch", "RefSwitch", "Enter", "Exit", "NextIteration"),
            *("TensorListFromTensor", "TensorListGetItem", "TensorListStack", "TensorListGather"),
        ),
        _FIRST,
    ),
    **dict.fromkeys(("Pack", "ParallelConcat", "Merge"), _ALL),
    "ConcatV2": slice(0, -1),
    "Concat": slice(1, None),
    "Split": slice(1, 2),
    "Select": slice(1, 3),
    "SelectV2": slice(1, 3),
    "PadV2": slice(0, 3, 2),
    "TensorListSetItem": slice(0, 3, 2),
    "TensorListPushBack": slice(0, 2),
}
"""Operations whose outputs hold elements of these inputs, unchanged."""
_CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
_LOOPS = frozenset({"While", "StatelessWhile"})
_BRANCHES = frozenset({"If", "StatelessIf", "Case", "StatelessCase"})
MAX_STEPS = 100_000
MAX_SHOWN_BYTES = 100
_ENDLESS = "(more calls of functions than were followed)"
SOURCES = frozenset({"Const", "Placeholder", "ReadVariableOp", "ReadFile", "DecodeJSONExample", "TensorListReserve"})
"""Operations behind which no bytes of a request stand, or only whole messages."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Parsed:
    """What was found.

    Args:
        inputs: by the name of a tensor of the graph that is fed (`inputs:0`), the classes of the messages that its
            elements are parsed as.
        unknown: names of operations on the way to a parser that change what they are given.
    """

    inputs: Mapping[str, frozenset[Any]]
    unknown: frozenset[str]


def find_parsed(meta_graph: Any, fed: Iterable[str]) -> Parsed:
    """Follow each parser's messages back.

    Args:
        meta_graph: the MetaGraphDef.
        fed: tensors of the graph itself that requests give.
    """
    functions = {function.signature.name: function for function in meta_graph.graph_def.library.function}
    scopes = {"": meta_graph.graph_def.node, **{name: function.node_def for name, function in functions.items()}}
    parsers = [(scope, node) for scope, nodes in scopes.items() for node in nodes if node.op in PARSERS]
    inputs: dict[str, set[Any]] = collections.defaultdict(set)
    unknown: set[str] = set()
    if parsers:
        graph = _Graph(scopes, functions)
        wanted = frozenset(map(_full_name, fed))
        for scope, node in parsers:
            search = _Search(graph)
            search.run(_Tensor(scope, node.input[0]))
            for tensor in search.seen_in_graph & wanted:
                inputs[tensor].add(PARSERS[node.op])
            unknown |= search.unknown
    return Parsed(inputs={name: frozenset(kinds) for name, kinds in inputs.items()}, unknown=frozenset(unknown))


def check_examples(name: str, array: np.ndarray, kinds: Iterable[Any]) -> None:
    """Raise `InvalidInputError` unless every element of an input is a message of each of `kinds`."""
    for kind in kinds:
        for index, element in enumerate(array.ravel().tolist()):
            try:
                kind.FromString(element)
            except DecodeError:
                start = element[:MAX_SHOWN_BYTES].decode(errors="replace")
                raise InvalidInputError(  # TensorFlow's own text, to begin with
                    f"Could not parse example input, value: '{start}'; input `{name}` must hold serialised "
                    f"{kind.DESCRIPTOR.full_name} messages. Received: {len(element)} bytes at position {index}."
                ) from None


@dataclasses.dataclass(frozen=True, slots=True)
class _Tensor:
    """A tensor of the graph (scope "") or of a function; `callers` is the way in, where the search came by one."""

    scope: str
    name: str
    callers: tuple[tuple[str, str], ...] = ()


class _Graph:
    """Nodes and functions by name, and who calls what."""

    def __init__(self, scopes: Mapping[str, Iterable[Any]], functions: Mapping[str, Any]):
        self.functions = functions
        self.nodes = {scope: {node.name: node for node in nodes} for scope, nodes in scopes.items()}
        self.callers: dict[str, list[tuple[str, str]]] = collections.defaultdict(list)
        for scope, nodes in self.nodes.items():
            for node in nodes.values():
                for function in self.called(node):
                    self.callers[function].append((scope, node.name))

    def called(self, node: Any) -> list[str]:
        """The functions that a node may run."""
        if node.op in self.functions:
            return [node.op]
        names = [value.func.name for value in node.attr.values() if value.WhichOneof("value") == "func"]
        lists = [value.list.func for value in node.attr.values() if value.WhichOneof("value") == "list"]
        return [name for name in (*names, *(one.name for many in lists for one in many)) if name in self.functions]

    def output_index(self, scope: str, tensor: str) -> int:
        """Which output of its node `tensor` is, counted over all of them."""
        name, _, rest = tensor.partition(":")
        if not scope:
            return int(rest or 0)
        argument, _, position = rest.partition(":")
        function = self.functions.get(self.nodes[scope][name].op)
        if function is not None:
            return [one.name for one in function.signature.output_arg].index(argument)
        return int(position or 0)  # calls, loops and branches, which are asked for, have one list of outputs

    def returned(self, function: str, index: int) -> str | None:
        """The tensor inside `function` that is its output `index`."""
        definition = self.functions[function]
        outputs = definition.signature.output_arg
        return definition.ret[outputs[index].name] if index < len(outputs) else None

    def argument_index(self, function: str, name: str) -> int | None:
        """Which argument of `function` is called `name`."""
        names = [one.name for one in self.functions[function].signature.input_arg]
        return names.index(name) if name in names else None


class _Search:
    """From one parser back."""

    def __init__(self, graph: _Graph):
        self._graph = graph
        self.seen_in_graph: set[str] = set()
        self.unknown: set[str] = set()

    def run(self, start: _Tensor) -> None:
        """Find everything that hands its elements on to `start`."""
        waiting, seen = [start], {start}
        while waiting:
            if len(seen) > MAX_STEPS:
                self.unknown.add(_ENDLESS)
                return
            tensor = waiting.pop()
            if not tensor.scope:
                self.seen_in_graph.add(_full_name(tensor.name))
            for source in self._sources(tensor):
                if source not in seen and len(source.callers) <= len(self._graph.functions):
                    seen.add(source)
                    waiting.append(source)

    def _sources(self, tensor: _Tensor) -> Iterator[_Tensor]:
        scope, graph = tensor.scope, self._graph
        node = graph.nodes[scope].get(tensor.name.partition(":")[0])
        if node is None:
            yield from self._of_argument(tensor)
            return
        inputs = [name for name in node.input if not name.startswith("^")]
        if node.op == "IdentityN":
            yield dataclasses.replace(tensor, name=inputs[self._graph.output_index(scope, tensor.name)])
        elif node.op in HANDING_ON:
            for name in inputs[HANDING_ON[node.op]]:
                yield dataclasses.replace(tensor, name=name)
        elif functions := graph.called(node):
            yield from self._of_call(tensor, node, functions, inputs)
        elif node.op not in SOURCES:
            self.unknown.add(node.op)

    def _of_call(self, tensor: _Tensor, node: Any, functions: Sequence[str], inputs: list[str]) -> Iterator[_Tensor]:
        """An output of a call, a loop or a branch: the same output of each function, and what a loop begins with."""
        index = self._graph.output_index(tensor.scope, tensor.name)
        if node.op in _LOOPS:
            functions = [node.attr["body"].func.name]
            yield from (dataclasses.replace(tensor, name=name) for name in inputs[index : index + 1])
        elif node.op not in _CALLS | _BRANCHES and node.op not in self._graph.functions:
            self.unknown.add(node.op)
            return
        way = (*tensor.callers, (tensor.scope, node.name))
        for function in functions:
            if (returned := self._graph.returned(function, index)) is not None:
                yield _Tensor(function, returned, way)

    def _of_argument(self, tensor: _Tensor) -> Iterator[_Tensor]:
        """An argument of a function: what its callers pass, or only the one that the search came by."""
        position = self._graph.argument_index(tensor.scope, tensor.name.partition(":")[0])
        if position is None:
            return
        for scope, name in tensor.callers[-1:] or self._graph.callers[tensor.scope]:
            node = self._graph.nodes[scope][name]
            if node.op not in _CALLS | _LOOPS | _BRANCHES and node.op not in self._graph.functions:
                self.unknown.add(node.op)
                continue
            first = position + (1 if node.op in _BRANCHES else 0)  # a branch is chosen by the input before
            given = [one for one in node.input if not one.startswith("^")]
            for passed in given[first : first + 1]:
                yield _Tensor(scope, passed, tensor.callers[:-1])
            if node.op in _LOOPS:  # in a later turn: what the turn before left
                body = node.attr["body"].func.name
                if (returned := self._graph.returned(body, position)) is not None:
                    yield _Tensor(body, returned, tensor.callers)


def _full_name(tensor: str) -> str:
    return tensor if ":" in tensor else f"{tensor}:0"
