"""What a signature takes and gives, and the check of a request against it before any engine is called.

TensorFlow aborts the whole process when a tensor of the wrong rank reaches a convolution, and answers a wrong size in
silence; so names, bytes, dtype, rank, every fixed dimension and the batch are checked here, before an array is built.
Codes and texts are those of TensorFlow Serving where it has one. The one gap: of an input whose rank the graph does not
tell, rank and sizes cannot be checked (the server warns of it when it loads the version).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from serving.errors import InvalidInputError
from serving.options import Limits
from serving.protocol.codec import CodecError, DType, Header, decode_body, read_header

__all__ = ["DEFAULT_SIGNATURE", "Signature", "TensorSpec", "check_array", "decode_inputs", "select_outputs"]

DEFAULT_SIGNATURE = "serving_default"  # of a request that names none


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TensorSpec:
    """One input or output.

    Args:
        name: its name in the signature.
        dtype: its element type.
        shape: sizes, `None` for an open one; `None` in place of the tuple for an unknown rank.
    """

    name: str
    dtype: DType
    shape: tuple[int | None, ...] | None

    def shape_text(self) -> str:
        """The shape for messages: `[?, 28, 28, 1]`."""
        if self.shape is None:
            return "any"
        return f"[{', '.join('?' if size is None else str(size) for size in self.shape)}]"

    def accepts(self, shape: tuple[int, ...]) -> bool:
        """Whether a tensor of `shape` fits."""
        if self.shape is None:
            return True
        return len(shape) == len(self.shape) and all(
            fixed is None or fixed == size for fixed, size in zip(self.shape, shape, strict=True)
        )


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Signature:
    """A callable of a model: inputs and outputs by name, each sorted by name."""

    key: str
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]


def decode_inputs(signature: Signature, protos: Mapping[str, Any], *, limits: Limits) -> list[np.ndarray]:
    """The arrays of a request in the order of `signature.inputs`.

    Args:
        signature: what the model takes.
        protos: `TensorProto` by input name.
        limits: how large the request may be.

    Raises:
        InvalidInputError: a name, dtype, shape or the bytes do not fit; the text names the input, what was expected and
            what was received.
    """
    specs = signature.inputs
    if len(protos) != len(specs):
        raise InvalidInputError(_size_mismatch(protos, specs))
    headers: dict[str, Header] = {}
    for index, (name, spec) in enumerate(specs.items()):
        if name not in protos:
            extra = min(set(protos) - set(specs))
            raise InvalidInputError(
                f"input tensor alias not found in signature: {extra}. "
                f"Inputs expected to be in the set {{{','.join(specs)}}}."
            )
        headers[name] = _read_header(index, spec, protos[name], limits)
    return [_decode_body(name, protos[name], header) for name, header in headers.items()]


def _read_header(index: int, spec: TensorSpec, proto: Any, limits: Limits) -> Header:
    try:
        header = read_header(proto, max_bytes=limits.max_bytes)
    except CodecError:
        raise InvalidInputError(f"tensor parsing error: {spec.name}") from None
    if header.dtype is not spec.dtype:
        raise InvalidInputError(f"Expects arg[{index}] to be {spec.dtype.name} but {header.dtype.name} is provided")
    check_array(spec, header.shape)
    _check_limits(spec, header, limits)
    return header


def _decode_body(name: str, proto: Any, header: Header) -> np.ndarray:
    try:
        return decode_body(proto, header)
    except CodecError:
        raise InvalidInputError(f"tensor parsing error: {name}") from None


def check_array(spec: TensorSpec, shape: tuple[int, ...]) -> None:
    """Raise `InvalidInputError` unless a tensor of `shape` fits `spec` and holds at least one example.

    Whether tensors belong together, and whether a sequence may be empty, is the graph's to say, as it is for TensorFlow
    Serving: a model may score one query against many items, or take a user without a history.
    """
    if not spec.accepts(shape):
        raise InvalidInputError(
            f"Input `{spec.name}` must have shape {spec.shape_text()}. Received: {list(shape)}."
            + (" Add the batch dimension in front." if spec.shape and spec.accepts((1, *shape)) else "")
        )
    if shape and shape[0] == 0 and spec.shape and spec.shape[0] is None:
        raise InvalidInputError(
            f"Input `{spec.name}` holds no examples: its batch size must be at least 1. Received: shape {list(shape)}."
        )


def _check_limits(spec: TensorSpec, header: Header, limits: Limits) -> None:
    if header.repeated_bytes > limits.max_repeated_bytes:
        raise InvalidInputError(
            f"Input `{spec.name}` would be filled with {header.repeated_bytes} bytes that repeat its last value; at "
            f"most {limits.max_repeated_bytes} are allowed. Send every value (in `tensor_content`), or smaller batches."
        )
    if not header.shape or (spec.shape and spec.shape[0] is not None):
        return
    if header.shape[0] > limits.max_batch_size:
        raise InvalidInputError(
            f"Input `{spec.name}` must hold at most {limits.max_batch_size} rows. Received: {header.shape[0]}. Send "
            f"smaller batches, or start the server with a larger `--max-batch-size`."
        )


def select_outputs(signature: Signature, output_filter: Iterable[str]) -> Iterable[str]:
    """The names to answer: all of them without a filter.

    Raises:
        InvalidInputError: the filter names an unknown output, or one twice.
    """
    names = list(output_filter)
    if not names:
        return signature.outputs
    seen: set[str] = set()
    for name in names:
        if name not in signature.outputs:
            raise InvalidInputError(
                f"output tensor alias not found in signature: {name} "
                f"Outputs expected to be in the set {{{','.join(signature.outputs)}}}."
            )
        if name in seen:
            raise InvalidInputError(f"duplicate output tensor alias: {name}")
        seen.add(name)
    return names


def _size_mismatch(sent: Iterable[str], wanted: Iterable[str]) -> str:
    sent, wanted = set(sent), set(wanted)

    def braces(names: Iterable[str]) -> str:
        return "{" + ",".join(sorted(names)) + "}"

    return (
        f"input size does not match signature: {len(sent)}!={len(wanted)} "
        f"len({braces(sent)}) != len({braces(wanted)}). "
        f"Sent extra: {braces(sent - wanted)}. Missing but required: {braces(wanted - sent)}."
    )
