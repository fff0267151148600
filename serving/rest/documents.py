"""The JSON object of a request's body, parsed as strictly as a server needs, and values of it for messages."""

from __future__ import annotations

import json
from typing import Any

from serving.errors import InvalidInputError

__all__ = ["Constant", "is_base64", "parse_object", "shown", "type_name"]

MAX_CONTAINERS = 4_000_000  # lists and objects in a body: `[],` is 3 bytes of text and 64 of memory
MAX_SHOWN = 200


class Constant(float):
    """`NaN`, `Infinity` or `-Infinity`, written so; an infinite plain float was a number too large for a double."""


_TYPES = {
    dict: "Object",
    list: "Array",
    str: "String",
    int: "Number",
    float: "Number",
    Constant: "Number",
    type(None): "Null",
}


def parse_object(body: bytes) -> dict[str, Any]:
    """The object that `body` holds; NaN and infinities are numbers, as for TensorFlow Serving.

    Raises:
        InvalidInputError: it is no JSON in UTF-8, no object, has a key twice, or half a surrogate pair.

    Example:
        >>> parse_object(b'{"instances": [1, NaN]}')
        {'instances': [1, nan]}
    """
    if not body:
        raise InvalidInputError("JSON Parse error: The document is empty")
    if body.count(b"[") + body.count(b"{") > MAX_CONTAINERS:
        raise InvalidInputError(
            f"JSON Parse error: more than {MAX_CONTAINERS} lists and objects. Send smaller batches, or ask by gRPC."
        )
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"JSON Parse error: Invalid encoding in string at offset: {error.start}") from None
    document = _parsed(text)
    if not isinstance(document, dict):
        raise InvalidInputError(f"JSON Value: {shown(document)} Is not object")
    if "\\ud" in text or "\\uD" in text:
        _check_surrogates(document)
    return document


def _parsed(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=Constant)
    except json.JSONDecodeError as error:
        raise InvalidInputError(f"JSON Parse error: {error.msg} at offset: {error.pos}") from None
    except RecursionError:
        raise InvalidInputError("JSON Parse error: lists or objects are nested too deeply") from None
    except ValueError:  # of an integer with thousands of digits
        raise InvalidInputError("JSON Parse error: Number too big to be stored in double.") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise InvalidInputError(f"JSON Parse error: the key {shown(twice)} stands twice in one object")
    return made


def _check_surrogates(document: Any) -> None:
    try:
        json.dumps(document, ensure_ascii=False).encode()
    except (UnicodeEncodeError, RecursionError):
        raise InvalidInputError("JSON Parse error: The surrogate pair in string is invalid.") from None


def is_base64(value: Any) -> bool:
    """Whether `value` is `{"b64": "..."}`, which stands for bytes."""
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def type_name(value: Any) -> str:
    """The JSON type, as TensorFlow Serving names it.

    Example:
        >>> [type_name(value) for value in (True, 1, 2.5, "a", None)]
        ['True', 'Number', 'Number', 'String', 'Null']
    """
    return str(value) if isinstance(value, bool) else _TYPES[type(value)]


def shown(value: Any) -> str:
    """`value` as JSON for a message, cut off where it is long."""
    text = ""
    for part in json.JSONEncoder().iterencode(value):  # piece by piece: a body of megabytes is not spelled again
        text += part
        if len(text) > MAX_SHOWN:
            return text[:MAX_SHOWN] + "..."
    return text
