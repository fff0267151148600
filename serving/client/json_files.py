"""Inputs from a file with the body of a request to TensorFlow Serving's REST API."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any

from serving.errors import UsageError
from serving.protocol.signature import Signature

__all__ = ["Body", "body_inputs", "read_body"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Body:
    """A request's body.

    Args:
        rows: `instances`, one value or mapping of them for each example; or None.
        columns: `inputs`, one value or mapping of them for all examples; or None.
        signature: `signature_name`; or None.
    """

    rows: list[Any] | None
    columns: Any
    signature: str | None


def read_body(path: pathlib.Path) -> Body:
    """The body in a file; `{"b64": "..."}` becomes bytes.

    Raises:
        UsageError: the file is no JSON object with `instances` or `inputs`.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(document, dict) or ("instances" in document) == ("inputs" in document):
            raise ValueError("either `instances` (rows) or `inputs` (columns) is needed")
        if unknown := document.keys() - {"instances", "inputs", "signature_name"}:
            raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
        rows = _decoded(document.get("instances"))
        if "instances" in document and not (isinstance(rows, list) and rows):
            raise ValueError("`instances` must be a list with at least one entry")
        return Body(rows=rows, columns=_decoded(document.get("inputs")), signature=document.get("signature_name"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"`--from-json {path}` must hold the body of a REST request: {error}.") from error


def _decoded(value: Any) -> Any:
    if isinstance(value, list):
        return [_decoded(one) for one in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"b64"}:
        try:
            return base64.b64decode(value["b64"], validate=True)
        except (binascii.Error, TypeError) as error:
            raise ValueError(f"`b64` is no base64: {error}") from error
    return {key: _decoded(one) for key, one in value.items()}


def body_inputs(body: Body, signature: Signature) -> dict[str, Any]:
    """The inputs of a body by name, as nested lists; a body without names is for a signature with one input.

    Raises:
        UsageError: it has none or several, or rows differ in their names.
    """
    if body.rows is None:
        return body.columns if isinstance(body.columns, dict) else {_only_name(signature): body.columns}
    if not any(isinstance(row, Mapping) for row in body.rows):
        return {_only_name(signature): body.rows}
    names = {tuple(sorted(row)) if isinstance(row, Mapping) else () for row in body.rows}
    if len(names) != 1:
        raise UsageError(f"Every one of `instances` must have the same inputs. Received: {sorted(names)}.")
    return {name: [row[name] for row in body.rows] for name in names.pop()}


def _only_name(signature: Signature) -> str:
    if len(signature.inputs) == 1:
        return next(iter(signature.inputs))
    raise UsageError(
        f"Values without names need a signature with one input; {signature.key!r} has {len(signature.inputs)}: "
        f'{", ".join(signature.inputs)}. Name them: {{"inputs": {{"NAME": ...}}}}'
    )
