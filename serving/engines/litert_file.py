"""What stands in a `model.tflite` besides its graph: the signatures written for TensorFlow Serving, custom operations.

TensorFlow Serving (`tflite_session.cc`) reads a metadata buffer named `signature_defs_metadata`, a FlexBuffer map from
a signature's key to a serialised `SignatureDef`; it does not read the signatures that LiteRT's converter writes. Where
there is no such buffer, it makes up `serving_default` from the names of the main graph's tensors, cut at the colon.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from serving.engines.litert_runtime import schema

__all__ = ["FileFacts", "read_facts"]

METADATA = b"signature_defs_metadata"
WINDOWS = ("CONV_2D", "CONV_3D", "DEPTHWISE_CONV_2D")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class FileFacts:
    """Facts that the interpreter does not tell.

    Args:
        custom_ops: names of the operations that are not LiteRT's own, `Flex...` for one of TensorFlow's.
        signature_defs: serialised `SignatureDef`s by key; empty without the buffer.
        has_windows: whether it holds a convolution.
        keeps_state: whether a tensor keeps its value from one call to the next, as a fused LSTM's do.
    """

    custom_ops: tuple[str, ...]
    signature_defs: Mapping[str, bytes]
    has_windows: bool
    keeps_state: bool


def read_facts(content: bytes) -> FileFacts:
    """The facts of a file whose flatbuffer was verified.

    Raises:
        ValueError: the metadata is no FlexBuffer map of strings.
    """
    model: Any = schema().Model.GetRootAs(content)
    codes = list(_items(model, "OperatorCodes"))
    names = {name for code in codes if (name := code.CustomCode())}
    known = schema().BuiltinOperator
    windows = {getattr(known, name) for name in WINDOWS}
    return FileFacts(
        custom_ops=tuple(sorted(name.decode(errors="replace") for name in names)),
        signature_defs=_signature_defs(model),
        has_windows=any(max(code.BuiltinCode(), code.DeprecatedBuiltinCode()) in windows for code in codes),
        keeps_state=any(
            tensor.IsVariable() for graph in _items(model, "Subgraphs") for tensor in _items(graph, "Tensors")
        ),
    )


def _items(table: Any, field: str) -> Iterator[Any]:
    item = getattr(table, field)
    return (item(index) for index in range(getattr(table, f"{field}Length")()))


def _signature_defs(model: Any) -> dict[str, bytes]:
    buffer = next((entry.Buffer() for entry in _items(model, "Metadata") if entry.Name() == METADATA), None)
    if buffer is None:
        return {}
    from flatbuffers import flexbuffers

    try:
        content = model.Buffers(buffer).DataAsNumpy().tobytes()
        entries: Any = flexbuffers.GetRoot(content).AsMap
        return {
            key.AsKey: value.AsStringBytes
            for key, value in zip(_each(entries.Keys), _each(entries.Values), strict=True)
        }
    except Exception as error:  # nothing has verified these bytes: they fail in many ways
        raise ValueError(f"its metadata `{METADATA.decode()}` cannot be read ({error})") from error


def _each(vector: Any) -> Iterator[Any]:
    return (vector[index] for index in range(len(vector)))
