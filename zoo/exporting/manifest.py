"""`assets.extra/manifest.json`: what a version directory holds, so that a server can tell damage from intent."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["FILE", "write_manifest"]

FILE = "assets.extra/manifest.json"


def write_manifest(directory: Path, about: Mapping[str, Any]) -> dict[str, Any]:
    """Writes the manifest over everything that stands in `directory`, and returns it.

    Beside `about` it holds when and with what it was made, the operations of the graph, the signatures, and of each
    file but itself the sha256 and the size in bytes; `bytes` counts all files, itself included.
    """
    import keras
    import tensorflow as tf

    import zoo

    files = {
        str(path.relative_to(directory)): {"sha256": _sha256(path), "bytes": path.stat().st_size}
        for path in sorted(directory.rglob("*"))
        if path.is_file() and str(path.relative_to(directory)) != FILE
    }
    document = {
        **about,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "zoo": zoo.__version__,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        **_described(directory),
        "bytes": 0,
        "files": files,
    }
    path = directory / FILE
    path.parent.mkdir(exist_ok=True)
    text, others = _spelled(document), sum(file["bytes"] for file in files.values())
    while document["bytes"] != others + len(text):  # the number is a part of what it counts
        document["bytes"] = others + len(text)
        text = _spelled(document)
    path.write_bytes(text)
    return document


def _spelled(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def _described(directory: Path) -> dict[str, Any]:
    """Returns the signatures and operations of the SavedModel, or of LiteRT's model where there is no other."""
    describe = next(function for name, function in _DESCRIBED.items() if (directory / name).exists())
    return describe(directory)


def _lite_graph(directory: Path) -> dict[str, Any]:
    from zoo.exporting.litert.flatbuffer import read_graph
    from zoo.exporting.litert.interpreter import FILE as LITE

    graph = read_graph((directory / LITE).read_bytes())
    return {"signatures": graph.signatures, "ops": graph.ops}


def _graph(directory: Path) -> dict[str, Any]:
    """Returns the operations and the signatures of a saved_model.pb."""
    import tensorflow as tf
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel.FromString((directory / "saved_model.pb").read_bytes())
    graph = saved.meta_graphs[0]
    nodes = [*graph.graph_def.node, *(node for f in graph.graph_def.library.function for node in f.node_def)]

    def spelled(tensors: Any) -> dict[str, Any]:
        return {
            name: {
                "dtype": tf.as_dtype(info.dtype).name,
                "shape": [size.size if size.size >= 0 else None for size in info.tensor_shape.dim],
            }
            for name, info in sorted(tensors.items())
        }

    signatures = {
        key: {"inputs": spelled(signature.inputs), "outputs": spelled(signature.outputs)}
        for key, signature in sorted(graph.signature_def.items())
        if not key.startswith("__")
    }
    return {"signatures": signatures, "ops": sorted({node.op for node in nodes})}


_DESCRIBED = {"saved_model.pb": _graph, "model.tflite": _lite_graph}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
