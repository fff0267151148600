"""The scan of a SavedModel before it is loaded: a SavedModel is a program, and may be someone else's.

Every node of every MetaGraph is looked at, those in functions too, whether anything calls them or not. An operation
passes if it stands on the list of those that only compute, or if the caller allows it by name. A few that touch files
are part of every SavedModel (saving, restoring, tables made from assets) and pass only in the places that
`graph_files` describes. The file is parsed and never executed.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterable, Iterator
from typing import Any

import grpc

from serving.errors import ModelLoadError
from serving.security import graph_files, graph_ops

__all__ = ["scan"]

BINARY = "saved_model.pb"
TEXT = "saved_model.pbtxt"
MAX_NAMED = 5


@dataclasses.dataclass(frozen=True, slots=True)
class _Finding:
    op: str
    where: str
    reason: str


def scan(path: pathlib.Path, *, allowed_ops: frozenset[str] = frozenset()) -> None:
    """Let the SavedModel in version directory `path` pass, or raise.

    Args:
        path: the version directory; TensorFlow reads `saved_model.pb`, and `saved_model.pbtxt` where that is missing.
        allowed_ops: names of operations that pass wherever they stand, besides the listed ones.

    Raises:
        ModelLoadError: PERMISSION_DENIED, it holds an operation that may not pass; DATA_LOSS, it cannot be parsed.
    """
    saved_model = _read(path)
    findings = [finding for graph in saved_model.meta_graphs for finding in _findings(path, graph, allowed_ops)]
    if findings:
        raise ModelLoadError(_refusal(path, findings), grpc.StatusCode.PERMISSION_DENIED)


def _read(path: pathlib.Path) -> Any:
    from google.protobuf import text_format
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    message: Any = saved_model_pb2.SavedModel()
    file = path / BINARY if (path / BINARY).exists() else path / TEXT
    if not file.is_file():  # a pipe or a device under that name would never end
        raise ModelLoadError(f"{path.name}: there is neither {BINARY} nor {TEXT} as a file; export the model again.")
    try:
        content = file.read_bytes()
        if file.name == BINARY:
            message.ParseFromString(content)
        else:
            text_format.Parse(content.decode("utf-8"), message)
    except (DecodeError, text_format.ParseError, UnicodeDecodeError, RecursionError) as error:
        raise ModelLoadError(
            f"{path.name}: {file.name} is no SavedModel ({type(error).__name__}: {str(error)[:200]}); it is damaged or "
            f"half copied. Copy or export it again."
        ) from error
    return message


def _findings(path: pathlib.Path, meta_graph: Any, allowed: frozenset[str]) -> Iterator[_Finding]:
    known = graph_ops.allowed_ops() | allowed
    functions = {function.signature.name: function for function in meta_graph.graph_def.library.function}
    plain = known - graph_files.FOLLOWED - allowed
    telling = [
        (scope, node) for scope, nodes in _scopes(meta_graph, functions) for node in nodes if node.op not in plain
    ]
    special: list[tuple[str, Any]] = []
    for scope, node in telling:
        op = node.op
        if op in known:
            yield from _called_outside(scope, node, functions, known)
        elif op in functions:
            continue
        elif op in graph_files.CHECKED:
            special.append((scope, node))
        elif not graph_ops.names_no_file(node):
            yield _Finding(op, _place(scope, node), graph_ops.reason(op))
    for scope, node, reason in graph_files.refused(path, meta_graph, functions, telling, special):
        yield _Finding(node.op, _place(scope, node), reason)


def _called_outside(scope: str, node: Any, functions: Any, known: frozenset[str]) -> Iterator[_Finding]:
    """What a node calls as a function where the library has none of that name."""
    for called in graph_files.called(node.attr.values()):
        if called not in functions and called not in known:
            yield _Finding(called, _place(scope, node), graph_ops.reason(called))


def _scopes(meta_graph: Any, functions: dict[str, Any]) -> Iterator[tuple[str, Iterable[Any]]]:
    yield "", meta_graph.graph_def.node
    for name, function in functions.items():
        yield name, function.node_def


def _place(scope: str, node: Any) -> str:
    return f"node {node.name!r}" + (f" of function {scope!r}" if scope else "")


def _refusal(path: pathlib.Path, findings: list[_Finding]) -> str:
    by_op: dict[str, _Finding] = {}
    for finding in findings:
        by_op.setdefault(finding.op, finding)
    shown = "; ".join(f"{one.op} ({one.where}) {one.reason}" for one in list(by_op.values())[:MAX_NAMED])
    more = f"; and {len(by_op) - MAX_NAMED} more" if len(by_op) > MAX_NAMED else ""
    options = " ".join(f"--allow-op {op}" for op in list(by_op)[:MAX_NAMED])
    return (
        f"{path.name}: not loaded, for a SavedModel is a program and this one holds operations that are not allowed: "
        f"{shown}{more}. If you trust whoever made it, start the server with {options}."
    )
