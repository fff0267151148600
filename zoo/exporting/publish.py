"""A version directory appears whole or not at all, and is never overwritten."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from zoo.errors import ExportError, InvalidValueError, VersionExistsError

__all__ = ["check_name", "publish", "published_versions"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def check_name(name: str) -> None:
    """Raises `InvalidValueError` unless `name` can be a directory and a part of a URL."""
    if not _NAME.fullmatch(name):
        raise InvalidValueError("name", "letters, digits, `.`, `_` and `-`, beginning with a letter or digit", name)


def published_versions(model_dir: Path) -> list[int]:
    """Returns the versions that stand in a model's directory, rising."""
    if not model_dir.is_dir():
        return []
    return sorted(int(path.name) for path in model_dir.iterdir() if path.name.isdigit() and path.is_dir())


def publish(
    model_dir: Path,
    version: int | None,
    write: Callable[[Path, int], None],
    *,
    around_rename: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext,
) -> Path:
    """Lets `write` fill a temporary directory, then makes it a version in one step.

    The temporary name begins with a dot, which no server reads. Files and directories reach the disk before the
    rename; whatever fails before it leaves nothing behind.

    Args:
        model_dir: `<root>/<name>`, made where it is missing.
        version: the number, or None for the next free one.
        write: gets the temporary directory and the version that it is going to be.
        around_rename: what has to happen together with the appearance of the version, or not at all.

    Returns:
        The version directory.

    Raises:
        VersionExistsError: the version is there already.
        ExportError: the disk is full or cannot be written to.
    """
    if version is not None and version < 1:
        raise InvalidValueError("version", "at least 1", version)
    if version is not None and (model_dir / str(version)).exists():
        raise VersionExistsError(_exists(model_dir, version))
    with _write_errors(model_dir):
        model_dir.mkdir(parents=True, exist_ok=True)
        number = version or (max(published_versions(model_dir), default=0) + 1)
        temporary = model_dir / f".{number}.tmp-{uuid.uuid4().hex[:12]}"
        try:
            temporary.mkdir()
            write(temporary, number)
            _sync_tree(temporary)
            with around_rename():
                target = _rename(temporary, model_dir, number, fixed=version is not None)
            _sync(model_dir)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            with contextlib.suppress(OSError):
                model_dir.rmdir()  # only where nothing else is in it
            raise
    return target


def _rename(temporary: Path, model_dir: Path, number: int, *, fixed: bool) -> Path:
    """Renames to the version, or to the next free one where another export took it meanwhile."""
    while True:
        target = model_dir / str(number)
        try:
            if target.exists():  # an empty directory would be replaced in silence
                raise FileExistsError(errno.EEXIST, "exists", str(target))
            temporary.rename(target)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
            if fixed:
                raise VersionExistsError(_exists(model_dir, number)) from None
            number += 1
        else:
            return target


def _exists(model_dir: Path, version: int) -> str:
    return (
        f"{model_dir / str(version)} exists, and a published version is never overwritten. "
        f"Published: {published_versions(model_dir)}. Leave `--version` out for the next free number."
    )


@contextlib.contextmanager
def _write_errors(model_dir: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ExportError(
            f"Could not write to {model_dir}: {error.strerror or error}. Nothing was published. "
            "Make room or choose another directory."
        ) from error


def _sync_tree(folder: Path) -> None:
    for path in folder.rglob("*"):
        _sync(path)
    _sync(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
