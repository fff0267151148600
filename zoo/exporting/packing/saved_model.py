"""A packed SavedModel, written by hand in version 1 of the format: a graph, its signatures, and what fills its weights.

Every loader of TensorFlow, its server's and Python's among them, runs the operation that `saved_model_main_op` names
once when it loads.
"""

# Generated messages have no stubs.
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import node_def_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from zoo.errors import ExportError
from zoo.exporting.example_signature import CLASSIFY, INPUTS, METHOD, classified, parsed
from zoo.exporting.packing.graph import merged, optimized, shortened, tensor_name
from zoo.exporting.packing.store import Store
from zoo.exporting.servable import SIGNATURE, Servable, traced

if TYPE_CHECKING:
    import keras

__all__ = ["write_packed"]

WEIGHTS = "assets/weights"
_IN_GRAPH_BYTES = 1 << 18  # a loader copies its graph several times: 100 MB in it took 14 s to load, in a file 1 s
_HOISTED = 512  # values of a constant from which on it is packed like a weight


def write_packed(servable: Servable, path: Path) -> None:
    """Writes `<path>/saved_model.pb`, the weights entropy-coded in it, or, where they are many, beside it.

    Raises:
        ExportError: a layer holds a resource that is no `tf.lookup.StaticHashTable`.
    """
    store = Store([np.asarray(weight.numpy()) for weight in servable.model.weights])
    function = traced(servable, store.read)
    inputs = {spec.name: _input(function, spec.name) for spec in servable.inputs}
    by_name = {tensor.name: tensor for tensor in function.outputs}
    outputs = {name: by_name[tensor.name] for name, tensor in function.structured_outputs.items()}
    graph = function.graph.as_graph_def()
    tables = _replace_captures(graph, function, servable.model)
    graph = optimized(graph, [tensor.name for tensor in (*inputs.values(), *outputs.values())])
    _hoist(graph, store)
    in_file = len(store.blob) > _IN_GRAPH_BYTES
    added = _filling(store, tables, in_file=in_file)
    signatures = {SIGNATURE: ("tensorflow/serving/predict", inputs, outputs)}
    fed: dict[str, tf.Tensor] = {}
    if CLASSIFY in servable.signatures:
        with added.as_default():
            serialized = tf.compat.v1.placeholder(tf.string, [None])
            fed = {inputs[name].op.name: tensor for name, tensor in parsed(servable.inputs, serialized).items()}
            signatures[CLASSIFY] = (METHOD, {INPUTS: serialized}, classified(servable, outputs, serialized))
    graph, renamed = merged(graph, added.as_graph_def())
    _feed(graph, {name: tensor_name(tensor.name, renamed) for name, tensor in fed.items()})
    short = shortened(graph)
    document = saved_model_pb2.SavedModel(saved_model_schema_version=1)
    meta = document.meta_graphs.add()
    meta.meta_info_def.tags.append("serve")
    meta.meta_info_def.tensorflow_version = tf.__version__
    meta.meta_info_def.stripped_default_attrs = True
    meta.graph_def.CopyFrom(graph)
    meta.collection_def["saved_model_main_op"].node_list.value.append(short[renamed["fill"]])
    for key, (method, taken, answered) in signatures.items():
        signature = meta.signature_def[key]
        signature.method_name = method
        for described, named in ((signature.inputs, taken), (signature.outputs, answered)):
            for name, tensor in named.items():
                place = tensor_name(tensor.name, renamed) if tensor.graph is added else tensor.name
                described[name].CopyFrom(_described(tensor, tensor_name(place, short)))
    path.mkdir(parents=True, exist_ok=True)
    if in_file:
        asset = meta_graph_pb2.TensorInfo(name=tensor_name(renamed["path"], short))
        meta.asset_file_def.add(tensor_info=asset, filename=Path(WEIGHTS).name)
        (path / WEIGHTS).parent.mkdir()
        (path / WEIGHTS).write_bytes(store.blob)
    (path / "saved_model.pb").write_bytes(document.SerializeToString(deterministic=True))


def _described(tensor: tf.Tensor, name: str) -> Any:
    shape = tensor.shape.as_proto()
    return meta_graph_pb2.TensorInfo(name=name, dtype=tensor.dtype.as_datatype_enum, tensor_shape=shape)


def _input(function: Any, name: str) -> tf.Tensor:
    """Returns the placeholder for an argument; TensorFlow may have added a number to its name."""
    arguments = function.inputs[: len(function.inputs) - len(function.captured_inputs)]
    named = {tensor.op.get_attr("_user_specified_name").decode(): tensor for tensor in arguments}
    return named[name]


def _feed(graph: Any, sources: Mapping[str, str]) -> None:
    """Lets placeholders take what the tensors of `sources` hold, where a request feeds them with nothing itself."""
    for node in graph.node:
        if node.name in sources:
            taking = node_def_pb2.NodeDef(name=node.name, op="Identity", input=[sources[node.name]])
            taking.attr["T"].CopyFrom(node.attr["dtype"])
            node.CopyFrom(taking)


def _replace_captures(graph: Any, function: Any, model: keras.Model) -> list[tuple[str, Any]]:
    """Makes what a signature takes from outside, tables and constants, a part of its graph.

    Returns:
        The shared name and the `StaticHashTable` of each table.
    """
    tables: list[tuple[str, Any]] = []
    known = _tables(model)
    placeholders = function.inputs[len(function.inputs) - len(function.captured_inputs) :]
    nodes = {node.name: node for node in graph.node}
    with tf.Graph().as_default() as scratch:
        for outside, placeholder in zip(function.captured_inputs, placeholders, strict=True):
            name = placeholder.op.name
            if outside.dtype != tf.resource:
                made = tf.constant(outside.numpy(), outside.dtype, name="constant")
            else:
                table = next((table for table in known if table.resource_handle is outside), None)
                if table is None:
                    raise ExportError(_untracked(model))
                shared = f"t{len(tables)}"
                tables.append((shared, table))
                made = _table(table, shared)
            nodes[name].CopyFrom(made.op.node_def)
            nodes[name].name = name
    del scratch
    return tables


def _untracked(model: keras.Model) -> str:
    return (
        f"A layer of {model.name!r} holds a table or another resource of TensorFlow that cannot be exported as "
        "'packed'. A table must be an attribute of a layer, and one that no longer changes, as "
        "`tf.lookup.StaticHashTable`. Form 'plain' takes tables that change as well."
    )


def _tables(model: keras.Model) -> list[Any]:
    layers: list[Any] = model._flatten_layers()
    return [value for layer in layers for value in vars(layer).values() if isinstance(value, tf.lookup.StaticHashTable)]


def _table(table: Any, shared_name: str) -> tf.Tensor:
    return tf.raw_ops.HashTableV2(key_dtype=table.key_dtype, value_dtype=table.value_dtype, shared_name=shared_name)


def _hoist(graph: Any, store: Store) -> None:
    """Moves large constants of the graph, such as the filters of a spectrogram, into the store."""
    for node in list(graph.node):
        value = node.attr["value"].tensor if node.op == "Const" else None
        if value is None or value.dtype != tf.float32.as_datatype_enum:
            continue
        array = tf.make_ndarray(value)
        if array.size < _HOISTED or len(np.unique(array)) == 1:
            continue
        name, dtype, shape = store.add(array)
        with tf.Graph().as_default():
            handle = tf.raw_ops.VarHandleOp(dtype=dtype, shape=shape, shared_name=name, container="")
            read = tf.raw_ops.ReadVariableOp(resource=handle, dtype=dtype)
            added = graph.node.add()
            added.CopyFrom(handle.op.node_def)
            added.name = f"{node.name}/handle"
            control = list(node.input)
            _become(node, read.op.node_def, [added.name, *control])


def _become(node: Any, other: Any, inputs: list[str]) -> None:
    name = node.name
    node.CopyFrom(other)
    node.name = name
    node.input[:] = inputs


def _filling(store: Store, tables: list[tuple[str, Any]], *, in_file: bool) -> tf.Graph:
    """Returns a graph whose operation `fill` fills the weights and the tables; `path` is fed with that of the asset."""
    contents: list[Mapping[str, np.ndarray]] = []
    for _, table in tables:
        keys, values = table.export()
        contents.append({"keys": keys.numpy(), "values": values.numpy()})
    with tf.Graph().as_default() as graph:
        filled = store.fill(tf.constant(WEIGHTS, name="path") if in_file else None)
        for (shared, table), content in zip(tables, contents, strict=True):
            handle = _table(table, shared)
            filled.append(
                tf.raw_ops.LookupTableImportV2(
                    table_handle=handle,
                    keys=tf.constant(content["keys"], table.key_dtype),
                    values=tf.constant(content["values"], table.value_dtype),
                )
            )
        tf.group(*filled, name="fill")
    return graph
