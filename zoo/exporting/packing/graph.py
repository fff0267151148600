"""A graph in as few bytes as a loader accepts: optimised, inlined, with short names and no attribute that is a default.

What TensorFlow's own writer adds, the object graph, the list of operations and each function twice, only Python's
loader of version 2 reads. Loaders of every kind read version 1 of the format, which has none of it.
"""

# Generated messages have no stubs.
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tensorflow.core.framework import graph_pb2
from tensorflow.core.protobuf import config_pb2, meta_graph_pb2, rewriter_config_pb2
from tensorflow.python.framework import op_def_registry
from tensorflow.python.grappler import tf_optimizer

__all__ = ["merged", "optimized", "shortened", "tensor_name"]

_OPTIMIZERS = ("function", "constfold", "arithmetic", "shape", "pruning", "dependency")
_KEPT = ("_lower_using_switch_merge",)  # without it a loop runs on a slower path
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_SIGNS = _LETTERS + "0123456789_"


def optimized(graph: Any, keep: Sequence[str]) -> Any:
    """Returns a GraphDef with functions inlined, constants folded and whatever `keep` does not need left out.

    Args:
        graph: a GraphDef.
        keep: names of tensors and operations that must stay, inputs among them.
    """
    meta = meta_graph_pb2.MetaGraphDef()
    meta.graph_def.CopyFrom(graph)
    meta.collection_def["train_op"].node_list.value.extend(keep)
    config = config_pb2.ConfigProto()
    rewriting = config.graph_options.rewrite_options
    rewriting.meta_optimizer_iterations = rewriter_config_pb2.RewriterConfig.TWO
    rewriting.min_graph_nodes = -1
    rewriting.optimizers.extend(_OPTIMIZERS)
    return tf_optimizer.OptimizeGraph(config, meta)


def merged(first: Any, second: Any) -> tuple[Any, dict[str, str]]:
    """Returns both GraphDefs as one, and the new name of each node of `second`, whose names get a prefix.

    Nodes that stand for the same resource become one.
    """
    graph = graph_pb2.GraphDef()
    graph.CopyFrom(first)
    resources = {_resource(node): node.name for node in first.node if _resource(node)}
    renamed = {node.name: resources.get(_resource(node), f"init/{node.name}") for node in second.node}
    for node in graph.node:
        if _resource(node):  # a handle waits for nothing; what fills it must not wait for a request
            del node.input[:]
    for node in second.node:
        if _resource(node) in resources:
            continue
        copy = graph.node.add()
        copy.CopyFrom(node)
        _rename(copy, renamed)
    return graph, renamed


def shortened(graph: Any) -> dict[str, str]:
    """Makes a GraphDef short in place and returns the new name of each node.

    Equal constants become one, attributes that are defaults or only tell of the past go, and so do long names.
    """
    twins = _twins(graph.node)
    kept = [node for node in graph.node if node.name not in twins]
    # Names are unique without regard to case; the most used ones get the shortest.
    uses: dict[str, int] = {}
    for node in kept:
        for name in (twins.get(name, name) for name in map(_node_of, node.input)):
            uses[name] = uses.get(name, 0) + 1
    ranked = sorted(kept, key=lambda node: -uses.get(node.name, 0))
    names = {node.name: _short(index) for index, node in enumerate(ranked)}
    names.update({twin: names[first] for twin, first in twins.items()})
    for node in kept:
        _strip(node)
        _rename(node, names)
    _shorten_functions(graph)
    nodes = [type(node).FromString(node.SerializeToString()) for node in kept]
    del graph.node[:]
    graph.node.extend(nodes)
    return names


def tensor_name(name: str, renamed: Mapping[str, str]) -> str:
    """Returns the name of a tensor after its node was renamed, always with its port."""
    node, _, port = name.partition(":")
    return f"{renamed[node]}:{port or 0}"


def _resource(node: Any) -> tuple[str, bytes] | None:
    shared = node.attr["shared_name"].s if "shared_name" in node.attr else b""
    return (node.op, shared) if shared else None


def _node_of(name: str) -> str:
    return name.lstrip("^").partition(":")[0]


def _rename(node: Any, names: Mapping[str, str]) -> None:
    inputs = []
    for name in node.input:
        control, (bare, _, port) = name.startswith("^"), name.lstrip("^").partition(":")
        inputs.append("^" * control + names[bare] + (f":{port}" if port not in ("", "0") else ""))
    # A control input twice is refused; equal constants that became one may bring it.
    node.input[:] = _unique(inputs)
    node.name = names[node.name]


def _unique(inputs: Iterable[str]) -> list[str]:
    seen: set[str] = set()
    kept = []
    for name in inputs:
        if name.startswith("^") and name in seen:
            continue
        seen.add(name)
        kept.append(name)
    return kept


def _twins(nodes: Iterable[Any]) -> dict[str, str]:
    """Returns, for each constant that stands there again, the first one that is equal."""
    first: dict[bytes, str] = {}
    twins = {}
    for node in nodes:
        if node.op == "Const" and not node.input:
            content = node.attr["value"].tensor.SerializeToString(deterministic=True)
            if content in first:
                twins[node.name] = first[content]
            else:
                first[content] = node.name
    return twins


def _strip(node: Any) -> None:
    """Takes away what a loader fills in itself or never reads."""
    node.device = ""
    node.ClearField("experimental_debug_info")
    node.ClearField("experimental_type")
    for name in [name for name in node.attr if name.startswith("_") and name not in _KEPT]:
        del node.attr[name]
    definition = op_def_registry.get(node.op)
    for attribute in definition.attr if definition else ():
        default = attribute.default_value
        if attribute.HasField("default_value") and attribute.name in node.attr and node.attr[attribute.name] == default:
            del node.attr[attribute.name]


def _shorten_functions(graph: Any) -> None:
    functions = graph.library.function
    names = {function.signature.name: f"f{index}" for index, function in enumerate(functions)}
    bodies = [node for function in functions for node in function.node_def]
    for node in [*graph.node, *bodies]:
        node.op = names.get(node.op, node.op)
        for value in node.attr.values():
            if value.HasField("func"):
                value.func.name = names.get(value.func.name, value.func.name)
            for function in value.list.func:
                function.name = names.get(function.name, function.name)
    for node in bodies:
        _strip(node)
    for function in functions:
        function.signature.name = names[function.signature.name]
        function.attr.clear()
        function.arg_attr.clear()
    for gradient in graph.library.gradient:
        gradient.function_name = names.get(gradient.function_name, gradient.function_name)
        gradient.gradient_func = names.get(gradient.gradient_func, gradient.gradient_func)


def _short(index: int) -> str:
    name = _LETTERS[index % len(_LETTERS)]
    index //= len(_LETTERS)
    while index:
        index -= 1
        name += _SIGNS[index % len(_SIGNS)]
        index //= len(_SIGNS)
    return name
