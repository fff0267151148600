"""A PredictRequest as bytes, without a message in between.

What does not change between requests (the model, names, dtypes, shapes) is written once and kept, so that a request is
one joining of bytes and arrays: a third of the time that messages take, and one copy of the data in place of three.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from serving.protocol import messages as wire
from serving.protocol.codec import CodecError, dtype_of, encode_content, varint

__all__ = ["encode_predict"]

MAX_BYTES = 2**31 - 1  # of a message of protobuf
_INPUTS, _KEY, _VALUE, _CONTENT = (bytes([number << 3 | 2]) for number in (2, 1, 2, 4))  # tags of fields with a length


def encode_predict(head: bytes, inputs: Mapping[str, np.ndarray]) -> bytes:
    """The request.

    Args:
        head: a PredictRequest without inputs.
        inputs: arrays by name.

    Raises:
        CodecError: the input that it names has no form on the wire, or all are larger than a message can be.

    Example:
        >>> request = wire.PredictRequest.FromString(encode_predict(b"", {"x": np.array([1.5])}))
        >>> np.frombuffer(request.inputs["x"].tensor_content)
        array([1.5])
    """
    parts: list[Any] = [head]
    for name, array in inputs.items():
        try:
            parts.extend(_input(name, array))
        except CodecError as error:
            raise CodecError(f"Input `{name}` cannot be sent: {error}") from error
    request = b"".join(parts)
    if len(request) > MAX_BYTES:
        raise CodecError(f"{len(request)} bytes are more than the {MAX_BYTES} of a message. Send smaller batches.")
    return request


def _input(name: str, array: np.ndarray) -> tuple[Any, ...]:
    """The bytes of one input, in pieces."""
    dtype = dtype_of(array)
    if dtype.is_string:
        return (_string_input(name, array),)
    lead = _lead(name, dtype.numpy, array.shape)
    plain = array.flags.c_contiguous and array.dtype == dtype.numpy and dtype.numpy.kind != "V"
    return lead, array if plain else array.astype(dtype.numpy).tobytes()  # bfloat16 gives Python no buffer


@functools.lru_cache(maxsize=1024)
def _lead(name: str, dtype: np.dtype, shape: tuple[int, ...]) -> bytes:
    """Everything of an input that stands before its elements."""
    proto = wire.TensorProto(dtype=dtype_of(np.empty(0, dtype)).number)
    for size in shape:
        proto.tensor_shape.dim.add(size=size)
    proto.tensor_shape.SetInParent()
    content = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    tensor = proto.SerializeToString() + _CONTENT + varint(content)
    return _framed(name, tensor, len(tensor) + content)


def _string_input(name: str, array: np.ndarray) -> bytes:
    proto = wire.TensorProto()
    encode_content(array, proto)
    tensor = proto.SerializeToString()
    return _framed(name, tensor, len(tensor))


def _framed(name: str, tensor: bytes, size: int) -> bytes:
    """`tensor`, which may lack its end, as the value of an entry of `inputs`; `size` is that of the whole."""
    key = name.encode()
    entry = _KEY + varint(len(key)) + key + _VALUE + varint(size)
    return _INPUTS + varint(len(entry) + size) + entry + tensor
