"""A body of `:classify` or `:regress` to the examples of its request, as TensorFlow Serving reads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from serving.errors import InvalidInputError
from serving.rest.documents import is_base64, shown, type_name
from serving.rest.tensors import bytes_of_base64, lossy

__all__ = ["fill_examples"]

_KINDS = {"bytes_list": "bytes", "float_list": "float", "int64_list": "int64"}
_INT64 = np.iinfo(np.int64)
_UINT64 = np.iinfo(np.uint64)
_LARGEST_FLOAT = float(np.finfo(np.float32).max)


def fill_examples(document: Mapping[str, Any], given: Any) -> None:
    """Write `examples` and `context` of a body into a `tensorflow.serving.Input`.

    A feature's kind is that of its values: integers, decimals, or strings and base64; a list of them or a single one.

    Raises:
        InvalidInputError: there are no examples, or a feature mixes kinds or is none of them.
    """
    listed = given.example_list
    if "context" in document:
        listed = given.example_list_with_context
        _fill_example(document["context"], listed.context)
    if "examples" not in document:
        raise InvalidInputError(
            f"JSON Value: {shown(document)} When method is classify, key 'examples' is expected and was not found"
        )
    examples = document["examples"]
    if not isinstance(examples, list):
        raise InvalidInputError(f"JSON Value: {shown(document)} Expecting 'examples' value to be an list/array")
    if not examples:
        raise InvalidInputError(f"JSON Value: {shown(document)} 'examples' value is an empty array")
    for example in examples:
        _fill_example(example, listed.examples.add())


def _fill_example(value: Any, example: Any) -> None:
    if not isinstance(value, dict):
        raise InvalidInputError(f"Example must be JSON object but got JSON {type_name(value)}")
    for name, content in value.items():
        feature = example.features.feature[name]
        for one in content if isinstance(content, list) else [content]:
            _add_value(name, one, feature)


def _add_value(name: str, value: Any, feature: Any) -> None:
    field, converted = _converted(name, value)
    kind = feature.WhichOneof("kind")
    if kind is not None and kind != field:
        raise InvalidInputError(f"Unexpected element type in feature: {name} expecting type: {_KINDS[kind]}")
    getattr(feature, field).value.append(converted)


def _converted(name: str, value: Any) -> tuple[str, Any]:
    """The field of a `tf.train.Feature` that a value belongs in, and the value as it takes it."""
    if isinstance(value, bool):
        return "int64_list", int(value)
    if isinstance(value, str):
        return "bytes_list", value.encode()
    if isinstance(value, float):
        return "float_list", _float32(value)
    if isinstance(value, int):
        if _INT64.min <= value <= _INT64.max:
            return "int64_list", value
        if 0 <= value <= _UINT64.max:
            raise InvalidInputError(f"Feature: {name} has uint64 element. Only int64 is supported.")
        raise lossy(value, "int64")
    if is_base64(value):
        return "bytes_list", bytes_of_base64(value)
    raise InvalidInputError(f"Feature: {name} has element with unexpected JSON type: {type_name(value)}")


def _float32(value: float) -> float:
    """`value`, which a float can hold; infinite ones only where they were written so."""
    if type(value) is float and abs(value) > _LARGEST_FLOAT:
        raise lossy(value, "float")
    return value
