"""What stands in a `model.tflite` besides its graph: the signatures written for TensorFlow Serving, custom operations.

TensorFlow Serving (`tflite_session.cc`) reads a metadata buffer named `signature_defs_metadata`, a FlexBuffer map from
a signature's key to a serialised `SignatureDef`; it does not read the signatures that LiteRT's converter writes. Where
there is no such buffer, it makes up `serving_default` from the names of the main graph's tensors, cut at the colon.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from serving.engines.litert_runtime import schema

__all__ = ["FileFacts", "read_facts"]

METADATA = b"signature_defs_metadata"
# Operation, its options, and where the window's sizes stand in the shape of its weights.
WINDOWS = (
    ("CONV_2D", "Conv2DOptions", slice(1, 3)),
    ("DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions", slice(1, 3)),
    ("CONV_3D", "Conv3DOptions", slice(0, 3)),
)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class FileFacts:
    """Facts that the interpreter does not tell.

    Args:
        custom_ops: names of the operations that are not LiteRT's own, `Flex...` for one of TensorFlow's.
        signature_defs: serialised `SignatureDef`s by key; empty without the buffer.
        has_windows: whether a convolution without padding, of a window larger than 1, may find its input too small.
        keeps_state: whether a tensor keeps its value from one call to the next, as a fused LSTM's do.
    """

    custom_ops: tuple[str, ...]
    signature_defs: Mapping[str, bytes]
    has_windows: bool
    keeps_state: bool


def read_facts(content: bytes) -> FileFacts:
    """The facts of a file whose flatbuffer was verified.

    Raises:
        ValueError: the metadata is no FlexBuffer map of strings, or numbers in the file lead nowhere.
    """
    try:
        return _read_facts(content)
    except (struct.error, AttributeError, IndexError, TypeError) as error:
        raise ValueError(f"what its operations refer to cannot be read ({error})") from error


def _read_facts(content: bytes) -> FileFacts:
    model: Any = schema().Model.GetRootAs(content)
    codes = list(_items(model, "OperatorCodes"))
    names = {name for code in codes if (name := code.CustomCode())}
    return FileFacts(
        custom_ops=tuple(sorted(name.decode(errors="replace") for name in names)),
        signature_defs=_signature_defs(model),
        has_windows=_has_windows(model, [max(code.BuiltinCode(), code.DeprecatedBuiltinCode()) for code in codes]),
        keeps_state=any(
            tensor.IsVariable() for graph in _items(model, "Subgraphs") for tensor in _items(graph, "Tensors")
        ),
    )


def _has_windows(model: Any, codes: Sequence[int]) -> bool:
    known = schema()
    windows = {getattr(known.BuiltinOperator, name): (kind, sizes) for name, kind, sizes in WINDOWS}
    for graph in _items(model, "Subgraphs"):
        for op in _items(graph, "Operators"):
            if (window := windows.get(codes[op.OpcodeIndex()])) is None:
                continue
            (kind, sizes), table = window, op.BuiltinOptions()
            options = getattr(known, kind)()
            options.Init(table.Bytes, table.Pos)
            weights = graph.Tensors(op.Inputs(1))
            shape = [weights.Shape(axis) for axis in range(weights.ShapeLength())]
            if options.Padding() == known.Padding.VALID and max(shape[sizes], default=1) > 1:
                return True
    return False


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
