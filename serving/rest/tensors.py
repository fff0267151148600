"""Nested JSON lists to `TensorProto`, with TensorFlow Serving's checks and texts."""

from __future__ import annotations

import base64
import binascii
import itertools
import math
from typing import Any

import grpc
import numpy as np

from serving.errors import InvalidInputError, RequestError
from serving.protocol.codec import DType, encode_content
from serving.rest.documents import Constant, is_base64, shown, type_name

__all__ = ["MAX_RANK", "bytes_of_base64", "fill_tensor", "flattened", "lossy"]

MAX_RANK = 64  # numpy's
_EXACT_INTEGERS = {"float": (1 << 24) - 1, "double": (1 << 53) - 1}  # as TensorFlow Serving bounds them
_NUMBERS = {int, float, Constant}


def fill_tensor(value: Any, dtype: DType, proto: Any) -> tuple[int, ...]:
    """Write nested lists into an empty `TensorProto`; the shape.

    Args:
        value: lists of one shape, or a single value.
        dtype: the element type that the signature wants.
        proto: the message.

    Raises:
        RequestError: lists of different lengths, values of another type, or ones that would lose something.
    """
    flat, shape = flattened(value)
    encode_content(_array(flat, dtype).reshape(shape), proto)
    return shape


def flattened(value: Any) -> tuple[list[Any], tuple[int, ...]]:
    """The values of nested lists in order, and their shape, which the first of each list tells.

    Raises:
        InvalidInputError: the lists do not form a rectangle.

    Example:
        >>> flattened([[1, 2, 3], [4, 5, 6]])
        ([1, 2, 3, 4, 5, 6], (2, 3))
    """
    shape: list[int] = []
    first = value
    while isinstance(first, list):
        shape.append(len(first))
        if not first:
            break
        first = first[0]
    if len(shape) > MAX_RANK:
        raise InvalidInputError(f"Lists must be nested at most {MAX_RANK} deep. Received: {len(shape)}.")
    flat = [value]
    for level, size in enumerate(shape):
        if set(map(type, flat)) != {list} or set(map(len, flat)) != {size}:
            _raise_ragged(flat, level, size, len(shape))
        flat = list(itertools.chain.from_iterable(flat))
    if any(type(one) is list for one in flat):
        raise InvalidInputError(f"Encountered list at unexpected level: {len(shape)} expected < {len(shape)}")
    return flat, tuple(shape)


def _raise_ragged(items: list[Any], level: int, size: int, rank: int) -> None:
    for item in items:
        if not isinstance(item, list):
            raise InvalidInputError(
                f"JSON Value: {shown(item)} found at incorrect level: {level + 1} in the JSON DOM. Expected at level: "
                f"{rank}"
            )
        if len(item) != size:
            raise InvalidInputError(
                f"Encountered list at unexpected size: {len(item)} at level: {level} expected size: {size}"
            )


def _array(flat: list[Any], dtype: DType) -> np.ndarray:
    kind = dtype.numpy.kind
    if dtype.is_string:
        return _strings(flat, dtype)
    if kind == "c":
        raise RequestError(
            grpc.StatusCode.UNIMPLEMENTED,
            f"Conversion of JSON Value: {shown(flat[0] if flat else None)} to type: {dtype.name}",
        )
    if kind == "b":
        _check_types(flat, {bool}, dtype)
        return np.array(flat, np.bool_)
    if kind in "iu":
        _check_types(flat, {int}, dtype)
        bounds = np.iinfo(dtype.numpy)
        for extreme in (min(flat, default=0), max(flat, default=0)):
            if not bounds.min <= extreme <= bounds.max:
                raise _type_error(extreme, dtype)
        return np.array(flat, dtype.numpy)
    _check_types(flat, _NUMBERS, dtype)
    return _floats(flat, dtype)


def _floats(flat: list[Any], dtype: DType) -> np.ndarray:
    try:
        wide = np.array(flat, np.float64)
    except OverflowError:
        raise lossy(max(flat, key=abs), dtype) from None
    exact = _EXACT_INTEGERS.get(dtype.name)
    if exact is not None and wide.size and np.abs(wide).max() > exact:
        odd = next((one for one in flat if type(one) is int and abs(one) > exact), None)
        if odd is not None:
            raise lossy(odd, dtype)
    with np.errstate(over="ignore"):
        array = wide.astype(dtype.numpy)
    infinite = np.isinf(array)
    if infinite.any():
        odd = next((flat[index] for index in np.flatnonzero(infinite) if type(flat[index]) is not Constant), None)
        if odd is not None:
            raise lossy(odd, dtype)
    return array


def _strings(flat: list[Any], dtype: DType) -> np.ndarray:
    array = np.empty(len(flat), object)
    for index, value in enumerate(flat):
        if isinstance(value, str):
            array[index] = value.encode()
        elif isinstance(value, dict):
            array[index] = bytes_of_base64(value)
        else:
            raise _type_error(value, dtype)
    return array


def bytes_of_base64(value: dict[str, Any]) -> bytes:
    """The bytes that `{"b64": "..."}` stands for; blanks and missing `=` at the end are allowed.

    Raises:
        InvalidInputError: another object, or no base64.

    Example:
        >>> bytes_of_base64({"b64": "AAE"})
        b'\\x00\\x01'
    """
    if not is_base64(value):
        raise InvalidInputError(f"JSON Value: {shown(value)} not formatted correctly for base64 data")
    text = "".join(value["b64"].split()).rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInputError("Unable to base64 decode") from None


def _check_types(flat: list[Any], allowed: set[type], dtype: DType) -> None:
    if not set(map(type, flat)) <= allowed:
        raise _type_error(next(value for value in flat if type(value) not in allowed), dtype)


def _type_error(value: Any, dtype: DType) -> InvalidInputError:
    return InvalidInputError(
        f"JSON Value: {shown(value)} Type: {type_name(value)} is not of expected type: {dtype.name}"
    )


def lossy(value: Any, dtype: DType | str) -> InvalidInputError:
    """The error of a number that a type cannot hold."""
    name = dtype if isinstance(dtype, str) else dtype.name
    number = "a number too big for a double" if isinstance(value, float) and math.isinf(value) else shown(value)
    return InvalidInputError(f"Cannot convert JSON value: {number} to {name} without loss of precision.")
