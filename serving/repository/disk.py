"""What version directories look like on disk, without reading their files."""

from __future__ import annotations

import dataclasses
import os
import pathlib

__all__ = ["Fingerprint", "real_directory", "scan_versions"]


@dataclasses.dataclass(frozen=True, slots=True)
class Fingerprint:
    """Differs as soon as a version's files do.

    Args:
        directory: the `real_directory` of the model; files of the same sizes and times elsewhere are others.
        files: relative path, size and time of change of every file, sorted.
    """

    directory: str
    files: tuple[tuple[str, int, int], ...]


def real_directory(base_path: pathlib.Path) -> str:
    """Where a model's versions lie, however the way there is written."""
    try:
        return os.path.realpath(base_path)
    except ValueError:  # with a NUL: it leads nowhere
        return str(base_path)


def scan_versions(base_path: pathlib.Path) -> dict[int, Fingerprint]:
    """Integer-named directories of `base_path` and the fingerprint of each; none if it does not exist.

    What vanishes during the walk counts as not there.

    Raises:
        OSError: the disk cannot tell (no permission, too many open files, an input or output error, ...).
    """
    found = {}
    directory = real_directory(base_path)
    try:
        with os.scandir(base_path) as entries:
            names = [entry.name for entry in entries if _is_version(entry.name) and entry.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        return {}
    for name in names:
        files: list[tuple[str, int, int]] = []
        try:
            _walk(os.path.join(base_path, name), "", files)
        except (FileNotFoundError, NotADirectoryError):
            continue
        found[int(name)] = Fingerprint(directory, tuple(sorted(files)))
    return found


def _is_version(name: str) -> bool:
    return name.isascii() and name.isdigit() and (name == "0" or name[0] != "0")


def _walk(path: str, prefix: str, files: list[tuple[str, int, int]]) -> None:
    """Append the files under `path`; `FileNotFoundError` if a directory vanishes, as it does when one is removed."""
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                _walk(entry.path, f"{prefix}{entry.name}/", files)
                continue
            try:
                stat = entry.stat()
            except FileNotFoundError:  # removed meanwhile, or a link to nowhere
                continue
            files.append((prefix + entry.name, stat.st_size, stat.st_mtime_ns))
