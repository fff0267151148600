"""Changes to the tokens file: one at a time, whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
import secrets
import stat
from collections.abc import Callable, Iterator

from serving.errors import ServingError, UsageError
from serving.security.token_entries import TokenEntry, dump, parse

__all__ = ["change_entries", "read_entries"]

NEW_MODE = 0o600


def read_entries(path: pathlib.Path) -> list[TokenEntry]:
    """The entries of the tokens file.

    Raises:
        UsageError: it is missing or malformed.
    """
    try:
        return parse(path.read_bytes(), str(path))
    except OSError as error:
        raise UsageError(
            f"The tokens file {path} cannot be read: {error.strerror}. Make one: serving token create NAME "
            f"--file {path} --allow 'MODEL:predict'."
        ) from error


def change_entries(path: pathlib.Path, change: Callable[[list[TokenEntry]], list[TokenEntry]]) -> None:
    """Replace the entries of the tokens file by `change(entries)`; a missing file holds none.

    A server that reads meanwhile sees the old file or the new one. A new file is its owner's alone (mode 0600); an
    existing one keeps its mode and owner, by which the server's user may read it.

    Raises:
        UsageError: the file is malformed, or its directory is missing.
        ServingError: the file cannot be written.
    """
    path = path.resolve()
    with _locked(path):
        _write(path, change(read_entries(path) if path.exists() else []))


@contextlib.contextmanager
def _locked(path: pathlib.Path) -> Iterator[None]:
    """Two commands at a time would lose what one of them does."""
    try:
        directory = os.open(path.parent, os.O_RDONLY)
    except OSError as error:
        raise UsageError(f"The directory {path.parent} cannot be opened: {error.strerror}. Make it first.") from error
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)


def _write(path: pathlib.Path, entries: list[TokenEntry]) -> None:
    """Write the file under another name, then rename it."""
    text = dump(entries)
    parse(text.encode(), str(path))  # whatever was asked for, a server must be able to read it
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    before = path.stat() if path.exists() else None
    mode = NEW_MODE if before is None else stat.S_IMODE(before.st_mode) & ~stat.S_IWOTH
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, NEW_MODE), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            if before is not None and (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(file.fileno(), before.st_uid, before.st_gid)
            os.fchmod(file.fileno(), mode)
        temporary.replace(path)
    except OSError as error:
        raise ServingError(f"The tokens file {path} cannot be written: {error.strerror}. It is as it was.") from error
    finally:
        temporary.unlink(missing_ok=True)
