"""Response messages as the JSON text that TensorFlow Serving answers, with its spelling of numbers."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from google.protobuf import json_format

from serving import published
from serving.errors import InvalidInputError
from serving.protocol.codec import decode_tensor, dtype_of_number

__all__ = [
    "classifications_text",
    "decimals",
    "metadata_text",
    "outputs_text",
    "predictions_text",
    "regressions_text",
    "status_text",
]

MAX_BYTES = 1 << 40  # of an array that an own answer holds: it is in memory already
_BYTES_SUFFIX = "_bytes"
_string = json.encoder.encode_basestring  # UTF-8 as it is, not \\u escapes: as TensorFlow Serving


def predictions_text(outputs: Mapping[str, Any]) -> bytes:
    """The answer to rows: a value, or for several outputs an object, of each.

    Args:
        outputs: `TensorProto` by name.

    Raises:
        InvalidInputError: an output has no batch axis, a different batch size, or a type that JSON lacks.
    """
    columns: dict[str, list[str]] = {}
    batch_size = -1
    for name, proto in sorted(outputs.items()):
        dims = proto.tensor_shape.dim
        if not dims:
            raise InvalidInputError(f"Tensor name: {name} has no shape information ")
        if batch_size not in (-1, dims[0].size):
            raise InvalidInputError(
                f"Tensor name: {name} has inconsistent batch size: {dims[0].size} expecting: {batch_size}"
            )
        batch_size = dims[0].size
        columns[name] = _nested(name, proto, keep=1)
    if len(columns) == 1:
        rows = next(iter(columns.values()))
    else:
        keys = [f"{_string(name)}: " for name in columns]
        rows = [
            "{" + ", ".join(key + value for key, value in zip(keys, row, strict=True)) + "}"
            for row in zip(*columns.values(), strict=True)
        ]
    return ('{"predictions": [' + ", ".join(rows) + "]}").encode()


def outputs_text(outputs: Mapping[str, Any]) -> bytes:
    """The answer to columns: a value, or for several outputs an object of them; arguments as of `predictions_text`."""
    texts = {name: _nested(name, proto, keep=0)[0] for name, proto in sorted(outputs.items())}
    if len(texts) == 1:
        text = next(iter(texts.values()))
    else:
        text = "{" + ", ".join(f"{_string(name)}: {value}" for name, value in texts.items()) + "}"
    return ('{"outputs": ' + text + "}").encode()


def classifications_text(result: Any) -> bytes:
    """The answer to `:classify`: for each example its classes as pairs of label and score."""
    rows = []
    for classifications in result.classifications:
        scores = decimals(np.array([one.score for one in classifications.classes], np.float32))
        pairs = [f"[{_string(one.label)}, {score}]" for one, score in zip(classifications.classes, scores, strict=True)]
        rows.append(f"[{', '.join(pairs)}]")
    return ('{"results": [' + ", ".join(rows) + "]}").encode()


def regressions_text(result: Any) -> bytes:
    """The answer to `:regress`: a number for each example."""
    values = decimals(np.array([one.value for one in result.regressions], np.float32))
    return ('{"results": [' + ", ".join(values) + "]}").encode()


def status_text(response: Any) -> bytes:
    """A GetModelStatusResponse."""
    return _message_text(response, indent=1).encode()


def metadata_text(response: Any) -> bytes:
    """A GetModelMetadataResponse; the map of signatures, which lies packed in it, as an object."""
    signatures = published.SignatureDefMap()
    response.metadata["signature_def"].Unpack(signatures)
    spec, definitions = _message_text(response.model_spec), _message_text(signatures)
    return f'{{\n"model_spec": {spec},\n"metadata": {{"signature_def": {definitions}}}\n}}\n'.encode()


def _message_text(message: Any, indent: int = 1) -> str:
    return json_format.MessageToJson(
        message, always_print_fields_with_no_presence=True, preserving_proto_field_name=True, indent=indent
    )


def _nested(name: str, proto: Any, *, keep: int) -> list[str]:
    """The JSON texts of a tensor's parts along its first `keep` axes."""
    array = decode_tensor(proto, max_bytes=MAX_BYTES)
    texts = _values(name, array, proto)
    shape = array.shape
    for axis in reversed(range(keep, len(shape))):
        size = shape[axis]
        starts = range(0, math.prod(shape[: axis + 1]), size) if size else [0] * math.prod(shape[:axis])
        texts = ["[" + ", ".join(texts[start : start + size]) + "]" for start in starts]
    return texts


def _values(name: str, array: np.ndarray, proto: Any) -> list[str]:
    dtype = dtype_of_number(proto.dtype)
    flat = array.reshape(-1)
    kind = dtype.numpy.kind
    if dtype.is_string:
        as_base64 = name.endswith(_BYTES_SUFFIX)
        return [_bytes_text(value, as_base64) for value in flat.tolist()]
    if kind == "b":
        return ["true" if value else "false" for value in flat.tolist()]
    if kind in "iu":
        return list(map(str, flat.tolist()))
    if kind == "c":
        raise InvalidInputError(f"Failed to write JSON value for tensor type: {dtype.name}")
    return decimals(flat if flat.dtype == np.float64 else flat.astype(np.float32))


def _bytes_text(value: bytes, as_base64: bool) -> str:
    """A string; as base64 where its name says that it holds bytes, or where it is no UTF-8, which JSON must be."""
    if not as_base64:
        try:
            return _string(value.decode())
        except UnicodeDecodeError:
            pass
    return f'{{"b64": "{base64.b64encode(value).decode()}"}}'


def decimals(flat: np.ndarray) -> list[str]:
    """Floats as TensorFlow Serving spells them: six digits where these come back as the same value, else 9 or 17.

    Args:
        flat: float32 or float64, `[N]`.

    Example:
        >>> decimals(np.array([0.1, 1.0, 1 / 3, 1e20, np.nan], np.float32))
        ['0.1', '1.0', '0.333333343', '1e+20', 'NaN']
    """
    values = flat.tolist()
    texts = [str(text) for text in (("%.6g " * len(values)) % tuple(values)).split()]
    same = np.array(texts, np.float64).astype(flat.dtype) == flat if values else np.ones(0, bool)
    digits = 9 if flat.dtype == np.float32 else 17
    for index in np.flatnonzero(~same):
        texts[index] = f"{values[index]:.{digits}g}"
    return [text if "." in text or "e" in text else _whole(text) for text in texts]


def _whole(text: str) -> str:
    return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(text, text + ".0")
