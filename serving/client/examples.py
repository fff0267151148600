"""`tf.Example` messages from Python values, for `classify`, `regress` and `multi_inference`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from serving.errors import InvalidInputError, UsageError

__all__ = ["Features", "fill_example", "fill_input"]

Features = Mapping[str, ArrayLike]


def fill_input(message: Any, examples: Iterable[Features], context: Features | None) -> None:
    """Write `examples` into an empty `tensorflow.serving.Input`.

    Args:
        message: the message.
        examples: one mapping of features each.
        context: features that all examples share.

    Raises:
        UsageError: `examples` is one mapping in place of a list.
        InvalidInputError: a feature has no form in a `tf.Example`.
    """
    if isinstance(examples, Mapping):
        raise UsageError("`examples` must be a list of mappings, one for each example. Received: one mapping.")
    if context is None:
        target = message.example_list
    else:
        target = message.example_list_with_context
        fill_example(target.context, context)
    target.SetInParent()
    for example in examples:
        fill_example(target.examples.add(), example)


def fill_example(message: Any, features: Features) -> None:
    """Write `features` into an empty `tensorflow.Example`.

    A number, a text or a list of them is one feature, and so is an array, whose elements are written row by row.
    Integers and bools become `int64_list`, floats `float_list` (rounded to float32, which is all it holds), str and
    bytes `bytes_list`.

    Raises:
        InvalidInputError: a feature is of another type, or mixes them.

    Example:
        >>> from serving.protocol.messages import Example
        >>> example = Example()
        >>> fill_example(example, {"x": 1.5, "tags": ["a", "b"]})
        >>> list(example.features.feature["tags"].bytes_list.value)
        [b'a', b'b']
    """
    message.features.SetInParent()
    for name, value in features.items():
        _fill_feature(name, value, message.features.feature[name])


def _fill_feature(name: str, value: ArrayLike, feature: Any) -> None:
    values = value if isinstance(value, (np.ndarray, np.generic)) else _array(name, value)
    kind = "f" if values.dtype.name == "bfloat16" else values.dtype.kind
    flat = values.reshape(-1)
    if kind in "SUO":
        feature.bytes_list.value.extend(_bytes(name, one) for one in flat.tolist())
    elif kind == "f":
        feature.float_list.value.extend(flat.astype(np.float32).tolist())
    elif kind in "biu":
        if flat.size and int(flat.max()) >= 2**63:
            raise InvalidInputError(f"Feature `{name}` must fit into int64. Received: {flat.max()}.")
        feature.int64_list.value.extend(flat.astype(np.int64).tolist())
    else:
        raise InvalidInputError(f"Feature `{name}` must hold numbers or texts. Received: {values.dtype.name}.")


def _array(name: str, value: ArrayLike) -> np.ndarray:
    """Python's own values; texts as objects, for numpy's fixed width would cut zero bytes from the end of bytes."""
    try:
        objects = np.array(value, dtype=object)
        return objects if any(isinstance(one, (str, bytes)) for one in objects.flat) else np.asarray(value)
    except ValueError as error:
        raise InvalidInputError(f"Feature `{name}` is no array: {error}.") from error


def _bytes(name: str, value: Any) -> bytes:
    if not isinstance(value, (str, bytes)):
        raise InvalidInputError(
            f"Feature `{name}` must hold numbers or texts. Received: an element of {type(value).__name__}."
        )
    return value if isinstance(value, bytes) else value.encode()
