"""TensorFlow Serving's batching file, in protobuf's text form.

Its message is not in the `tensorflow-serving-api` wheel; fields and numbers are those of
`tensorflow_serving/servables/tensorflow/session_bundle_config.proto`.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from typing import Any, cast

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from serving.errors import UsageError

__all__ = ["BatchingParameters", "read_parameters"]

_INT64, _BOOL, _STRING, _MESSAGE = 3, 8, 9, 11
_WRAPPED = {  # as google.protobuf.Int64Value and others: `name { value: 1 }`
    "max_batch_size": (1, _INT64),
    "batch_timeout_micros": (2, _INT64),
    "max_enqueued_batches": (3, _INT64),
    "num_batch_threads": (4, _INT64),
    "thread_pool_name": (5, _STRING),
    "enable_large_batch_splitting": (8, _BOOL),
    "max_execution_batch_size": (9, _INT64),
}
_WITHOUT_EFFECT = ("thread_pool_name",)


@dataclasses.dataclass(frozen=True, kw_only=True)
class BatchingParameters:
    """How batches are gathered; defaults are TensorFlow Serving's.

    Args:
        max_batch_size: most rows of a batch, and of a request unless large ones are split.
        batch_timeout_micros: longest wait of a batch's first request, in microseconds.
        max_enqueued_batches: batches that may wait, per signature of a version; a request beyond is UNAVAILABLE.
        num_batch_threads: batches worked on at a time.
        allowed_batch_sizes: ascending, the last `max_batch_size` (or `max_execution_batch_size`); a batch is padded to
            the next of them. None of them: no padding.
        pad_variable_length_inputs: rows of different lengths may share a batch, filled up with zeros.
        enable_large_batch_splitting: a request above `max_batch_size` is worked on in parts.
        max_execution_batch_size: most rows of a part; `max_batch_size` where it is 0.

    Raises:
        UsageError: a value out of range.
    """

    max_batch_size: int = 1000
    batch_timeout_micros: int = 0
    max_enqueued_batches: int = 10
    num_batch_threads: int = dataclasses.field(default_factory=lambda: os.cpu_count() or 1)
    allowed_batch_sizes: tuple[int, ...] = ()
    pad_variable_length_inputs: bool = False
    enable_large_batch_splitting: bool = False
    max_execution_batch_size: int = 0

    def __post_init__(self):
        for name in ("max_batch_size", "max_enqueued_batches", "num_batch_threads"):
            if getattr(self, name) < 1:
                raise UsageError(f"`{name}` must be at least 1. Received: {getattr(self, name)}.")
        if self.batch_timeout_micros < 0 or self.max_execution_batch_size < 0:
            raise UsageError("`batch_timeout_micros` and `max_execution_batch_size` must not be negative.")
        if self.max_execution_batch_size > self.max_batch_size:
            raise UsageError("`max_execution_batch_size` must not be above `max_batch_size`.")
        sizes = self.allowed_batch_sizes
        if sizes and (list(sizes) != sorted(set(sizes)) or sizes[0] < 1 or sizes[-1] != self.execution_size):
            raise UsageError(
                f"`allowed_batch_sizes` must rise, the last being the largest batch, {self.execution_size}. "
                f"Received: {list(sizes)}."
            )

    @property
    def batch_timeout_s(self) -> float:
        """The wait in seconds."""
        return self.batch_timeout_micros / 1e6

    @property
    def execution_size(self) -> int:
        """Most rows of one call of the engine."""
        if self.enable_large_batch_splitting and self.max_execution_batch_size:
            return self.max_execution_batch_size
        return self.max_batch_size

    def padded_rows(self, rows: int) -> int:
        """The rows that a batch of `rows` is worked on with."""
        return next((size for size in self.allowed_batch_sizes if size >= rows), rows)


def read_parameters(path: pathlib.Path) -> BatchingParameters:
    """The parameters of a batching file.

    Raises:
        UsageError: it cannot be read, or a value is out of range.
    """
    message = _MESSAGE_CLASS()
    try:
        text_format.Parse(path.read_text(encoding="utf-8"), message)
    except (text_format.ParseError, UnicodeDecodeError, OSError) as error:
        raise UsageError(
            f"{path} is no batching file (BatchingParameters in protobuf's text form, for example `max_batch_size "
            f"{{ value: 32 }}`): {error}"
        ) from error
    given: dict[str, Any] = {
        name: getattr(message, name).value
        for name in _WRAPPED
        if message.HasField(name) and name not in _WITHOUT_EFFECT
    }
    try:
        return BatchingParameters(
            **given,
            allowed_batch_sizes=tuple(message.allowed_batch_sizes),
            pad_variable_length_inputs=message.pad_variable_length_inputs,
        )
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def _declare() -> Any:
    file = descriptor_pb2.FileDescriptorProto(
        name="serving/batching.proto", package="serving.batching", syntax="proto3"
    )
    for kind, name in ((_INT64, "Int64Value"), (_BOOL, "BoolValue"), (_STRING, "StringValue")):
        file.message_type.add(name=name).field.add(name="value", number=1, type=cast(Any, kind), label=1)
    names = {_INT64: "Int64Value", _BOOL: "BoolValue", _STRING: "StringValue"}
    message = file.message_type.add(name="BatchingParameters")
    for name, (number, kind) in _WRAPPED.items():
        message.field.add(
            name=name, number=number, type=_MESSAGE, label=1, type_name=f".serving.batching.{names[kind]}"
        )
    message.field.add(name="allowed_batch_sizes", number=6, type=_INT64, label=3)
    message.field.add(name="pad_variable_length_inputs", number=7, type=_BOOL, label=1)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("serving.batching.BatchingParameters"))


_MESSAGE_CLASS = _declare()
