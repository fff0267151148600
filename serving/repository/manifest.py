"""The manifest of a version directory: sha256 and size of every file, checked before the version is loaded."""

from __future__ import annotations

import hashlib
import json
import pathlib
from typing import Any

import grpc

from serving.errors import ModelLoadError

__all__ = ["MANIFEST", "verify_version"]

MANIFEST = pathlib.PurePosixPath("assets.extra/manifest.json")
_GRAPHS = ("saved_model.pb", "saved_model.pbtxt", "model.tflite")


def verify_version(path: pathlib.Path, *, required: bool = False) -> bool:
    """Check that `path` is a whole version directory.

    A directory without a manifest (not written by the zoo) needs no more than a graph. With one, every file it lists
    must be there with its size and sha256, and no file may be there that it does not list.

    Args:
        path: `<root>/<name>/<version>`.
        required: refuse a directory without a manifest.

    Returns:
        Whether there is a manifest, and the files are as it says.

    Raises:
        ModelLoadError: something is missing, changed or added; the text names the file.
        OSError: the disk cannot be read.
    """
    if not any((path / name).is_file() for name in _GRAPHS):
        raise ModelLoadError(f"{path.name}: no saved_model.pb or model.tflite in {path}; is the copy complete?")
    manifest = path / MANIFEST
    if manifest.is_file():
        _verify_files(path, _read_files(manifest))
        return True
    if required:
        raise ModelLoadError(
            f"{path.name}: it has no {MANIFEST}, and this server takes only versions with one. Export it with the zoo, "
            f"or start the server without `--require-manifest`.",
            grpc.StatusCode.FAILED_PRECONDITION,
        )
    return False


def _read_files(manifest: pathlib.Path) -> dict[str, dict[str, Any]]:
    try:
        files = json.loads(manifest.read_bytes())["files"]
        if all({"sha256", "bytes"} <= set(entry) for entry in files.values()):
            return files
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelLoadError(f"{MANIFEST} cannot be read: {error!r}.") from error
    raise ModelLoadError(f"{MANIFEST} must give `sha256` and `bytes` for every file.")


def _verify_files(path: pathlib.Path, files: dict[str, dict[str, Any]]) -> None:
    present = {found.relative_to(path).as_posix() for found in path.rglob("*") if found.is_file()} - {
        MANIFEST.as_posix()
    }
    if missing := set(files) - present:
        raise ModelLoadError(f"{path.name}: {min(missing)} is missing; its manifest lists it.")
    if extra := present - set(files):
        raise ModelLoadError(f"{path.name}: {min(extra)} is not listed in its manifest.")
    for name, entry in files.items():
        size = (path / name).stat().st_size
        if size != entry["bytes"]:
            raise ModelLoadError(f"{path.name}: {name} holds {size} bytes, its manifest says {entry['bytes']}.")
        with (path / name).open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        if digest != entry["sha256"]:
            raise ModelLoadError(f"{path.name}: sha256 of {name} differs from its manifest; the file was changed.")
