"""What a LiteRT model says of itself: tensors named as in its signature, and that as TensorFlow Serving reads it.

TensorFlow Serving (`tflite_session.cc`) does not read the signature that the converter writes. It reads a metadata
buffer named `signature_defs_metadata`, a FlexBuffer map from a signature's key to a serialised `SignatureDef`
(`tensorflow/lite/tools/signature/signature_def_util.h`). Where there is none, it makes up `serving_default` from the
names of the tensors, cut at the colon. We write both, so that every version of it finds the same names.
"""

# Generated messages have no stubs.
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from zoo.errors import ExportError

__all__ = ["LiteGraph", "named_for_serving", "read_graph"]

_METADATA = "signature_defs_metadata"
# What tflite_session.cc can tell TensorFlow of, by the number of the type in LiteRT's schema.
_TYPES = {
    0: "float32",
    2: "int32",
    3: "uint8",
    4: "int64",
    5: "string",
    6: "bool",
    7: "int16",
    8: "complex64",
    9: "int8",
}


@dataclasses.dataclass(frozen=True)
class LiteGraph:
    """What stands in a `model.tflite`: its signature as the manifest spells it, and the names of its operations.

    `batch` is the number of rows where only one number of rows will do, else None.
    """

    signatures: dict[str, Any]
    ops: list[str]
    batch: int | None


def named_for_serving(content: bytes) -> bytes:
    """Returns a converted model of one signature with its tensors renamed and TensorFlow Serving's metadata added.

    Raises:
        ExportError: two inputs or two outputs are the same tensor, or of a type that the server has no word for.
    """
    from flatbuffers import flexbuffers
    from tensorflow.lite.python import schema_py_generated as schema
    from tensorflow.lite.tools import flatbuffer_utils

    model: Any = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    (signature,), graph = model.signatureDefs, model.subgraphs[0]
    key = _text(signature.signatureKey)
    for kind, tensors in (("inputs", signature.inputs), ("outputs", signature.outputs)):
        indices = [tensor.tensorIndex for tensor in tensors]
        if len(set(indices)) < len(indices):
            raise ExportError(
                f"Two {kind} of the signature are one tensor in LiteRT, and TensorFlow Serving refuses that: "
                f"{', '.join(_text(tensor.name) for tensor in tensors)}. Leave one of them out."
            )
        for tensor in tensors:
            graph.tensors[tensor.tensorIndex].name = _text(tensor.name)
    metadata = schema.MetadataT()
    metadata.name, metadata.buffer = _METADATA, len(model.buffers)
    buffer = schema.BufferT()
    described = _signature_def(signature, graph.tensors).SerializeToString(deterministic=True)
    builder: Any = flexbuffers.Builder()
    with builder.Map():
        builder.Key(key)
        # `builder.String` takes text and would encode these bytes.
        builder._WriteBlob(described, append_zero=True, type_=flexbuffers.Type.STRING)
    buffer.data = list(builder.Finish())
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or ()), metadata]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def read_graph(content: bytes) -> LiteGraph:
    """Returns what stands in a model."""
    from tensorflow.lite.python import schema_py_generated as schema
    from tensorflow.lite.tools import flatbuffer_utils

    model: Any = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    tensors = model.subgraphs[0].tensors

    def spelled(named: Sequence[Any]) -> dict[str, Any]:
        by_name = {_text(one.name): tensors[one.tensorIndex] for one in named}
        return {
            name: {"dtype": _dtype(name, tensor), "shape": [size if size >= 0 else None for size in _shape(tensor)]}
            for name, tensor in sorted(by_name.items())
        }

    signatures = {
        _text(signature.signatureKey): {"inputs": spelled(signature.inputs), "outputs": spelled(signature.outputs)}
        for signature in model.signatureDefs
    }
    names = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
    codes = [names[max(code.builtinCode, code.deprecatedBuiltinCode)] for code in model.operatorCodes]
    used = {codes[op.opcodeIndex] for graph in model.subgraphs for op in graph.operators}
    first = [_shape(tensors[one.tensorIndex]) for one in model.signatureDefs[0].inputs]
    fixed = {shape[0] for shape in first if len(shape)} - {-1}
    return LiteGraph(signatures, sorted(used), fixed.pop() if len(fixed) == 1 else None)


def _signature_def(signature: Any, tensors: Sequence[Any]) -> Any:
    import tensorflow as tf
    from tensorflow.core.protobuf import meta_graph_pb2

    document = meta_graph_pb2.SignatureDef(method_name="tensorflow/serving/predict")
    for described, named in ((document.inputs, signature.inputs), (document.outputs, signature.outputs)):
        for one in named:
            name, tensor = _text(one.name), tensors[one.tensorIndex]
            info = described[name]
            info.name, info.dtype = name, tf.as_dtype(_dtype(name, tensor)).as_datatype_enum
            for size in _shape(tensor):  # none for a scalar: an empty message would hold a zero byte, a string's end
                info.tensor_shape.dim.add().size = int(size)
    return document


def _shape(tensor: Any) -> list[int]:
    """Returns the sizes of the axes, -1 where one is free."""
    signature = tensor.shapeSignature
    return [int(size) for size in (tensor.shape if signature is None or not len(signature) else signature)]


def _dtype(name: str, tensor: Any) -> str:
    if tensor.type not in _TYPES:
        raise ExportError(
            f"`{name}` is of a type that TensorFlow Serving cannot pass to LiteRT. "
            f"It can: {', '.join(_TYPES.values())}."
        )
    return _TYPES[tensor.type]


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else name
