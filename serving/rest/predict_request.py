"""A body of `:predict` to a PredictRequest: rows in `instances`, columns in `inputs`, as TensorFlow Serving reads them.

It overlooks keys of the body, and of `inputs`, that it does not know; so does this.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from serving.errors import InvalidInputError, RequestError
from serving.protocol.signature import Signature, TensorSpec
from serving.rest.documents import is_base64, shown
from serving.rest.tensors import fill_tensor

__all__ = ["fill_inputs", "read_signature_name", "uses_rows"]


def read_signature_name(document: Mapping[str, Any]) -> str:
    """`signature_name` of a body; "" without.

    Raises:
        InvalidInputError: it is no string.
    """
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise InvalidInputError(
            f"JSON Value: {shown(document)} not formatted correctly. 'signature_name' key must be a string value."
        )
    return name


def uses_rows(document: Mapping[str, Any]) -> bool:
    """Whether a body is in the row format, whose answer is in it too.

    Raises:
        InvalidInputError: it is in neither format, or in both.
    """
    if "instances" in document and "inputs" in document:
        raise InvalidInputError(
            f"JSON Value: {shown(document)} Not formatted correctly expecting only one of 'inputs' or 'instances' keys "
            f"to exist "
        )
    if "instances" in document:
        rows = document["instances"]
        if not isinstance(rows, list):
            raise InvalidInputError(f"JSON Value: {shown(document)} Expecting 'instances' to be an list/array")
        if not rows:
            raise InvalidInputError(f"JSON Value: {shown(document)} No values in 'instances' array")
        return True
    if "inputs" in document:
        return False
    raise InvalidInputError("Missing 'inputs' or 'instances' key")


def fill_inputs(document: Mapping[str, Any], signature: Signature, request: Any) -> None:
    """Write the inputs of a checked body into a PredictRequest.

    Raises:
        RequestError: a value does not fit its input, or an input is missing.
    """
    if not signature.inputs:
        raise InvalidInputError(
            f"Failed to get input map for signature: {request.model_spec.signature_name or 'DEFAULT'}"
        )
    if "instances" in document:
        _fill_rows(document["instances"], signature.inputs, request.inputs)
    else:
        _fill_columns(document["inputs"], signature.inputs, request.inputs)


def _fill_columns(columns: Any, specs: Mapping[str, TensorSpec], protos: Any) -> None:
    if not isinstance(columns, dict) or is_base64(columns):
        if len(specs) > 1:
            raise InvalidInputError(
                "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
                "tensorinfo_map"
            )
        name, spec = next(iter(specs.items()))
        fill_tensor(columns, spec.dtype, protos[name])
        return
    for name, spec in specs.items():
        if name not in columns:
            raise InvalidInputError(f"Missing named input: {name} in 'inputs' object.")
        fill_tensor(columns[name], spec.dtype, protos[name])


def _fill_rows(rows: list[Any], specs: Mapping[str, TensorSpec], protos: Any) -> None:
    if not isinstance(rows[0], dict) and len(specs) > 1:
        raise InvalidInputError(
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
            "tensorinfo_map"
        )
    named = _is_named(rows[0])
    for index, row in enumerate(rows):
        if _is_named(row) != named:
            wanted, given = ("object", "list") if named else ("value/list", "object")
            raise InvalidInputError(f"Expecting {wanted} but got {given} at item {index} of input list")
    if not named:
        name, spec = next(iter(specs.items()))
        _fill_column(rows, spec, "", protos[name])
        return
    for index, row in enumerate(rows):
        _check_keys(index, row, specs)
    for name, spec in specs.items():
        _fill_column([row[name] for row in rows], spec, f" key: {name}", protos[name])


def _is_named(row: Any) -> bool:
    return isinstance(row, dict) and not is_base64(row)


def _check_keys(index: int, row: Mapping[str, Any], specs: Mapping[str, TensorSpec]) -> None:
    if row.keys() == specs.keys():
        return
    odd = next((key for key in row if key not in specs), None)
    if odd is not None:
        raise _row_error(index, f" key: {odd}", f"JSON object: does not have named input: {odd}")
    raise InvalidInputError(
        f"Failed to process element: {index} of 'instances' list. JSON object: {shown(row)} keys must be equal to: "
        f"{','.join(specs)}"
    )


def _fill_column(column: list[Any], spec: TensorSpec, key: str, proto: Any) -> None:
    try:
        fill_tensor(column, spec.dtype, proto)
    except RequestError:
        _raise_for_row(column, spec, key, type(proto))
        raise


def _raise_for_row(column: list[Any], spec: TensorSpec, key: str, message: Any) -> None:
    """Raise what is wrong with the first row that is wrong by itself, or differs from the first one in its shape."""
    shapes = []
    for index, value in enumerate(column):
        try:
            shapes.append(fill_tensor(value, spec.dtype, message()))
        except RequestError as error:
            raise _row_error(index, key, error.details, error.code.name) from None
        wanted, given = math.prod(shapes[0]), math.prod(shapes[-1])
        if wanted != given:
            raise _row_error(index, key, f"Expecting tensor size: {wanted} but got: {given}")
        if shapes[-1] != shapes[0]:
            raise _row_error(index, key, f"Expecting shape {_text(shapes[0])} but got: {_text(shapes[-1])}")


def _row_error(index: int, key: str, details: str, code: str = "INVALID_ARGUMENT") -> InvalidInputError:
    return InvalidInputError(f"Failed to process element: {index}{key} of 'instances' list. Error: {code}: {details}")


def _text(shape: tuple[int, ...]) -> str:
    return f"[{','.join(map(str, shape))}]"
