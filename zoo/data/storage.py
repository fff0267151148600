"""Where packaged data lives on disk, and how it gets there whole or not at all.

$ZOO_DATA_DIR, by default ~/.cache/zoo
  originals/<name>/<member>        files of a package, each with the sha256 its recipe states
  tfds/<name>/<version>/           the prepared data, in tfds's own form, with zoo_files.json beside it
  locks/<name>.lock                held while <name> is fetched
  scratch/<name>-*                 work in progress; what a killed process left is removed by the next fetch
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

__all__ = [
    "data_root",
    "fault_of",
    "locked",
    "originals_directory",
    "replace_directory",
    "scratch_directory",
    "sha256_of",
    "tfds_root",
    "write_manifest",
]

_MANIFEST = "zoo_files.json"


def data_root() -> Path:
    """Returns the directory of all packaged data: `$ZOO_DATA_DIR`, or `~/.cache/zoo` where that is not set."""
    return Path(os.environ.get("ZOO_DATA_DIR") or "~/.cache/zoo").expanduser().absolute()


def tfds_root() -> Path:
    """Returns the directory that tfds would call `data_dir`."""
    return data_root() / "tfds"


def originals_directory(name: str) -> Path:
    """Returns where the verified files of the packages of data set `name` are kept."""
    return data_root() / "originals" / name


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Holds the lock of data set `name`; waits while another process holds it; a dead process holds nothing."""
    import fcntl

    path = data_root() / "locks" / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def scratch_directory(name: str) -> Iterator[Path]:
    """Yields an empty directory on the file system of the data, removed afterwards.

    To be used under `locked(name)`: what an earlier, killed process left for `name` is removed first.
    """
    parent = data_root() / "scratch"
    parent.mkdir(parents=True, exist_ok=True)
    for left in parent.glob(f"{name}-*"):
        shutil.rmtree(left, ignore_errors=True)
    directory = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=parent))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def replace_directory(new: Path, target: Path, scratch: Path) -> None:
    """Puts `new` in the place of `target`; the old content, if any, moves to `scratch`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        target.rename(scratch / f"replaced-{target.name}")
    new.rename(target)


def sha256_of(path: Path) -> str:
    """Returns the sha256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@functools.lru_cache(maxsize=4096)
def _known_sha256(path: Path, size: int, modified_ns: int) -> str:
    """Returns the sha256 of a file, computed once a process for each state of the file."""
    return sha256_of(path)


def write_manifest(directory: Path) -> None:
    """Writes the size and sha256 of every file of `directory` beside them, for `fault_of` to compare."""
    files = {
        path.name: {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
        for path in sorted(directory.iterdir())
        if path.is_file() and path.name != _MANIFEST
    }
    (directory / _MANIFEST).write_text(json.dumps(files, indent=1) + "\n")


def fault_of(directory: Path, *, sizes_only: bool = False) -> str:
    """Returns what is wrong with a prepared directory, in words; "" where every file is as it was written.

    Args:
        sizes_only: opens no file; else each is read once a process, 1 GB in about a second.
    """
    try:
        files = json.loads((directory / _MANIFEST).read_text())
        for name, expected in files.items():
            path = directory / name
            state = path.stat()
            if state.st_size != expected["bytes"]:
                return f"{path} has {state.st_size} bytes where {expected['bytes']} were written"
            received = "" if sizes_only else _known_sha256(path, state.st_size, state.st_mtime_ns)
            if received and received != expected["sha256"]:
                return f"{path} has sha256 {received} where {expected['sha256']} was written"
    except FileNotFoundError as error:
        return f"{error.filename} is missing"
    except (ValueError, TypeError, KeyError, AttributeError):
        return f"{directory / _MANIFEST} cannot be read"
    return ""
