"""Where in a SavedModel the operations may stand that touch files and that every SavedModel needs.

The loader runs two things: the restoring operation, with the name of the variables' file fed into one placeholder, and
the initialisation, with the paths of the assets fed into others. Requests run the signatures. So:

- what restores may be reached from the restoring operation alone, and its file must be the fed one;
- what reads a file as a table or a string may be reached from the initialisation alone, and its file must be a fed
  asset in the version's `assets` (TensorFlow keeps its path in a variable on the way, so that is followed);
- what saves may not be reached from anything that runs.

Anything else is refused: a constant path in one of these operations would read any file of the machine.
"""

from __future__ import annotations

import collections
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from serving.security.graph_ops import ASSET_READERS, RESTORES, SAVES

__all__ = ["CHECKED", "FOLLOWED", "called", "refused"]

CHECKED = ASSET_READERS | RESTORES | SAVES
_CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
CALLERS = _CALLS | {*("Case", "For", "If", "MapDefun", "StatelessCase", "StatelessIf", "StatelessWhile", "While")}
"""The allowed operations that call functions."""
_HANDLE = "VarHandleOp"
FOLLOWED = CALLERS | {_HANDLE}
"""The allowed operations that the way of a file's name may lead through."""
_Place = tuple[str, Any]
_INIT_KEY = "__saved_model_init_op"
_ASSETS_KEY = "saved_model_assets"
_FILE_INPUT = {"InitializeTableFromTextFile": 1, "InitializeTableFromTextFileV2": 1, "ReadFile": 0, "RestoreV2": 0}
_HANDLE_READERS = frozenset({"VarIsInitializedOp", "ReadVariableOp"})

_IN_SIGNATURE = "touches files and can be reached by a request"
_IN_LOADING = "writes files when the model is loaded"
_UNFED = "reads a file where the graph itself, and not the loader, names it"
_NOT_ASSET = "reads a file that is not one of the SavedModel's assets"
_NOT_FED = "reads a file other than the SavedModel's variables"


def called(values: Iterable[Any]) -> Iterator[str]:
    """The functions that a node's attributes name, those in a function's own attributes too.

    Args:
        values: the `AttrValue` messages.
    """
    for value in values:
        kind = value.WhichOneof("value")
        if kind == "func":
            yield value.func.name
            yield from called(value.func.attr.values())
        elif kind == "list":
            for function in value.list.func:
                yield function.name
                yield from called(function.attr.values())


def refused(
    path: pathlib.Path,
    meta_graph: Any,
    functions: Mapping[str, Any],
    telling: Sequence[_Place],
    special: Sequence[_Place],
) -> Iterator[tuple[str, Any, str]]:
    """Those of `special` that stand where they may not.

    Args:
        path: the version directory.
        meta_graph: the MetaGraphDef.
        functions: its FunctionDefs by name.
        telling: function ("" is the graph itself) and node of each operation of `FOLLOWED`, of each call of a
            function, and of others.
        special: the same of each operation of `CHECKED`.

    Returns:
        Function, node and the reason of each one refused.
    """
    if not special:
        return
    graph = _Graph(path, meta_graph, functions, telling)
    in_signatures, in_init, in_restore = graph.reached()
    for scope, node in special:
        roots = graph.roots_of(scope, node)
        if roots & in_signatures:
            yield scope, node, _IN_SIGNATURE
        elif node.op in SAVES:
            if roots & (in_init | in_restore):
                yield scope, node, _IN_LOADING
        elif roots & (in_init if node.op in RESTORES else in_restore):
            yield scope, node, _UNFED
        elif node.op in RESTORES:
            if not graph.comes_from(scope, node, graph.saver_file):
                yield scope, node, _NOT_FED
        elif not graph.comes_from(scope, node, graph.assets):
            yield scope, node, _NOT_ASSET


class _Graph:
    """A MetaGraph by name: nodes, what calls what, and the tensors that the loader feeds."""

    def __init__(self, path: pathlib.Path, meta_graph: Any, functions: Mapping[str, Any], telling: Sequence[_Place]):
        self._meta_graph = meta_graph
        self._functions = functions
        self._nodes_by_scope = {"": {node.name: node for node in meta_graph.graph_def.node}}
        self._nodes = self._nodes_by_scope[""]
        self._callers: dict[str, list[_Place]] = collections.defaultdict(list)
        self._handles: dict[str, set[str]] = collections.defaultdict(set)
        self._shared_in_functions: set[str] = set()
        for scope, node in telling:
            self._index(scope, node)
        self._join_implementations()
        self.saver_file = {_tensor_name(meta_graph.saver_def.filename_tensor_name)}
        assets = [(tensor, _lies_in(path / "assets", file)) for tensor, file in _assets(meta_graph)]
        self.assets = {tensor for tensor, _ in assets} - {tensor for tensor, inside in assets if not inside}

    def _index(self, scope: str, node: Any) -> None:
        if node.op in self._functions:
            self._callers[node.op].append((scope, node))
        for function in called(node.attr.values()):
            self._callers[function].append((scope, node))
        if node.op == _HANDLE:
            shared = _shared_name(node)
            if scope:
                self._shared_in_functions.add(shared)
            else:
                self._handles[shared].add(node.name)

    def _nodes_of(self, scope: str) -> Mapping[str, Any]:
        """A function's nodes by name, looked up when they are asked for: most functions never are."""
        if scope not in self._nodes_by_scope:
            self._nodes_by_scope[scope] = {node.name: node for node in self._functions[scope].node_def}
        return self._nodes_by_scope[scope]

    def _join_implementations(self) -> None:
        """Let functions that TensorFlow may put in one another's place have the same callers."""
        groups: dict[bytes, list[str]] = collections.defaultdict(list)
        for name, function in self._functions.items():
            if "api_implements" in function.attr:
                groups[function.attr["api_implements"].s].append(name)
        for names in groups.values():
            callers = [caller for name in names for caller in self._callers[name]]
            self._callers.update(dict.fromkeys(names, callers))

    def reached(self) -> tuple[set[str], set[str], set[str]]:
        """Names of the nodes that signatures, the initialisation and the restoring operation need."""
        signatures, init = [], []
        for key, signature in self._meta_graph.signature_def.items():
            names = [name for info in signature.outputs.values() for name in _tensor_names(info)]
            (init if key == _INIT_KEY else signatures).extend(names)
        for collection in self._meta_graph.collection_def.values():
            init.extend(collection.node_list.value)
        restore = [self._meta_graph.saver_def.restore_op_name]
        return self._closure(signatures), self._closure(init), self._closure(restore)

    def _closure(self, tensors: Iterable[str]) -> set[str]:
        waiting, seen = [_node_name(tensor) for tensor in tensors], set()
        while waiting:
            name = waiting.pop()
            if name in seen or name not in self._nodes:
                continue
            seen.add(name)
            waiting.extend(map(_node_name, self._nodes[name].input))
        return seen

    def roots_of(self, scope: str, node: Any) -> set[str]:
        """The graph's own nodes that run `node`: itself, or what calls its function, through others too."""
        if not scope:
            return {node.name}
        waiting, seen, roots = [scope], {scope}, set()
        while waiting:
            for caller_scope, caller in self._callers[waiting.pop()]:
                if not caller_scope:
                    roots.add(caller.name)
                elif caller_scope not in seen:
                    seen.add(caller_scope)
                    waiting.append(caller_scope)
        return roots

    def comes_from(self, scope: str, node: Any, fed: set[str]) -> bool:
        """Whether the file that `node` names can only be one of the tensors `fed` by the loader."""
        inputs = [name for name in node.input if not name.startswith("^")]
        position = _FILE_INPUT[node.op]
        try:
            return position < len(inputs) and self._is_fed(scope, inputs[position], fed, set())
        except RecursionError:  # no exporter writes so long a way
            return False

    def _is_fed(self, scope: str, tensor: str, fed: set[str], seen: set[tuple[str, str]]) -> bool:
        if (scope, tensor) in seen:
            return True  # its sources are looked at already; were one of them not fed, the search would have ended
        seen.add((scope, tensor))
        name = _node_name(tensor)
        if not scope and _tensor_name(tensor) in fed:
            return True
        node = self._nodes_of(scope).get(name)
        if node is None:
            return bool(scope) and self._argument_is_fed(scope, name, fed, seen)
        if node.op == "Identity" and node.input:
            return self._is_fed(scope, node.input[0], fed, seen)
        return not scope and node.op == "ReadVariableOp" and self._variable_is_fed(node, fed)

    def _argument_is_fed(self, scope: str, name: str, fed: set[str], seen: set[tuple[str, str]]) -> bool:
        """Whether every call of function `scope` passes a fed tensor as argument `name`."""
        names = [argument.name for argument in self._functions[scope].signature.input_arg]
        if name not in names:
            return False
        position = names.index(name)
        return all(
            (caller.op in _CALLS or caller.op == scope)
            and position < len(caller.input)
            and self._is_fed(caller_scope, caller.input[position], fed, seen)
            for caller_scope, caller in self._callers[scope]
        )

    def _variable_is_fed(self, read: Any, fed: set[str]) -> bool:
        """Whether nothing but fed tensors is ever assigned to the variable that `read` reads.

        Its handle may be used in the graph itself alone; in a function it could not be followed.
        """
        handle = self._nodes.get(_node_name(read.input[0])) if read.input else None
        if handle is None or handle.op != _HANDLE:
            return False
        shared = _shared_name(handle)
        handles = self._handles[shared]
        users = [node for node in self._nodes.values() if handles & set(map(_node_name, node.input))]
        return shared not in self._shared_in_functions and all(
            user.op in _HANDLE_READERS
            or (user.op == "AssignVariableOp" and len(user.input) > 1 and _tensor_name(user.input[1]) in fed)
            for user in users
        )


def _shared_name(handle: Any) -> str:
    return handle.attr["shared_name"].s.decode(errors="replace") or handle.name


def _node_name(tensor: str) -> str:
    return tensor.removeprefix("^").partition(":")[0]


def _tensor_name(tensor: str) -> str:
    """A tensor of the graph itself, its output told: the loader feeds one output of a node, not all."""
    return tensor if ":" in tensor else f"{tensor}:0"


def _tensor_names(info: Any) -> Iterator[str]:
    """The tensors of a TensorInfo, dense, sparse or composite."""
    kind = info.WhichOneof("encoding")
    if kind == "coo_sparse":
        sparse = info.coo_sparse
        yield from (sparse.values_tensor_name, sparse.indices_tensor_name, sparse.dense_shape_tensor_name)
    elif kind == "composite_tensor":
        for component in info.composite_tensor.components:
            yield from _tensor_names(component)
    else:
        yield info.name


def _assets(meta_graph: Any) -> Iterator[tuple[str, str]]:
    """Tensor and file name of each asset, where TensorFlow's loader looks for them: the newer field, else the older."""
    from tensorflow.core.protobuf import meta_graph_pb2

    assets = list(meta_graph.asset_file_def)
    if not assets and _ASSETS_KEY in meta_graph.collection_def:
        for packed in meta_graph.collection_def[_ASSETS_KEY].any_list.value:
            asset: Any = meta_graph_pb2.AssetFileDef()
            packed.Unpack(asset)
            assets.append(asset)
    for asset in assets:
        yield _tensor_name(asset.tensor_info.name), asset.filename


def _lies_in(directory: pathlib.Path, name: str) -> bool:
    """Whether file `name` of `directory` is inside it, links followed."""
    try:
        return (directory / name).resolve().is_relative_to(directory.resolve())
    except (OSError, ValueError, RuntimeError):
        return False
