"""The scan of a LiteRT model before it is loaded: built-in operations only compute, custom ones may be anything.

Only the table of operator codes is read, straight from the FlatBuffer: the generated reader comes with TensorFlow,
which a server of LiteRT models does without, and trusts the file's offsets.
"""

from __future__ import annotations

import pathlib
import struct
from collections.abc import Iterator

import grpc

from serving.errors import ModelLoadError
from serving.security import graph_ops

__all__ = ["custom_ops", "scan_tflite"]

IDENTIFIER = b"TFL3"
HARMLESS = frozenset({"AudioSpectrogram", "Mfcc", "NumericVerify", "TFLite_Detection_PostProcess"})
"""Custom operations that the interpreter itself brings."""
FLEX = "Flex"
_CUSTOM = 32
_OPERATOR_CODES = 6  # places in the tables' lists of fields
_DEPRECATED_CODE, _CUSTOM_CODE, _CODE = 4, 6, 10


def scan_tflite(path: pathlib.Path, *, allowed_ops: frozenset[str] = frozenset()) -> None:
    """Let a `.tflite` file pass, or raise.

    An operation `FlexNAME` is TensorFlow's `NAME`, and passes where a SavedModel's would.

    Args:
        path: the file.
        allowed_ops: names of custom operations that pass besides.

    Raises:
        ModelLoadError: PERMISSION_DENIED, it holds another custom operation; DATA_LOSS, it cannot be parsed.
    """
    name = f"{path.parent.name}: {path.name}"
    if not path.is_file():
        raise ModelLoadError(f"{name} is missing, or no file; export the model again.")
    try:
        found = sorted(set(custom_ops(path.read_bytes())))
    except (struct.error, ValueError) as error:
        raise ModelLoadError(
            f"{name} is no LiteRT model ({error}); it is damaged or half copied. Copy or export it again."
        ) from error
    if refused := [op for op in found if op not in allowed_ops and not _is_harmless(op)]:
        shown = "; ".join(f"{op} {graph_ops.reason(op.removeprefix(FLEX))}" for op in refused)
        options = " ".join(f"--allow-op {op}" for op in refused)
        raise ModelLoadError(
            f"{name} was not loaded, for it holds operations that are not allowed: {shown}. If you trust whoever made "
            f"it, start the server with {options}.",
            grpc.StatusCode.PERMISSION_DENIED,
        )


def _is_harmless(op: str) -> bool:
    return op in HARMLESS or (op.startswith(FLEX) and op.removeprefix(FLEX) in graph_ops.allowed_ops())


def custom_ops(content: bytes) -> Iterator[str]:
    """The names of a model's custom operations.

    Args:
        content: of the file.

    Raises:
        ValueError: an offset leads out of the file, or it is another file.
        struct.error: it ends too soon.
    """
    if content[4:8] != IDENTIFIER:
        raise ValueError(f"it lacks the mark {IDENTIFIER.decode()}")
    buffer = _Buffer(content)
    codes = buffer.field(buffer.follow(0), _OPERATOR_CODES)
    if codes is None:
        return
    start = buffer.follow(codes)
    for i in range(buffer.number("<I", start)):  # a count beyond the file's end meets that end
        code = buffer.follow(start + 4 + 4 * i)
        old, new = buffer.field(code, _DEPRECATED_CODE), buffer.field(code, _CODE)
        builtin = max(0 if old is None else buffer.number("<b", old), 0 if new is None else buffer.number("<i", new))
        if builtin == _CUSTOM:
            name = buffer.field(code, _CUSTOM_CODE)
            yield "" if name is None else buffer.text(buffer.follow(name))


class _Buffer:
    """A FlatBuffer whose every offset is checked."""

    def __init__(self, content: bytes):
        self._content = content

    def number(self, form: str, position: int) -> int:
        if position < 0:
            raise ValueError(f"offset {position} lies before its beginning")
        return struct.unpack_from(form, self._content, position)[0]

    def follow(self, position: int) -> int:
        """Where the offset at `position` leads."""
        return position + self.number("<I", position)

    def field(self, table: int, place: int) -> int | None:
        """Where a table's field stands; None if it is left out."""
        fields = table - self.number("<i", table)
        if place + 2 > self.number("<H", fields):
            return None
        offset = self.number("<H", fields + place)
        return table + offset if offset else None

    def text(self, position: int) -> str:
        length = self.number("<I", position)
        if position + 4 + length > len(self._content):
            raise ValueError(f"a name of {length} bytes")
        return self._content[position + 4 : position + 4 + length].decode("utf-8", errors="replace")
