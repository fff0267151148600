"""Writes a set of files whole or not at all, and never over what somebody else wrote."""

from __future__ import annotations

import os
import pathlib
import shutil
import tempfile
from typing import Any

import yaml

from serving.errors import ServingError, UsageError

__all__ = ["MARK", "Files", "write_files", "yaml_text"]

MARK = "Written by `serving deploy`"
_NOTE = f"{MARK}; written again, it is replaced, so change the command or a copy."

Files = dict[str, str]


class _Dumper(yaml.SafeDumper):
    """Block style for texts of several lines; no anchors, which readers of YAML have to resolve in their heads."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        return super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def yaml_text(*documents: Any) -> str:
    """YAML of one document or several, in the order in which their keys were written."""
    return yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def write_files(out: pathlib.Path, files: Files, *, root: pathlib.Path, force: bool) -> list[pathlib.Path]:
    """Writes the files into `out`, marked as written by this command, and takes away its own that are no more.

    A new directory appears whole by one rename. In one that exists, each file is replaced by a rename, after all of
    them are on the disk.

    Args:
        out: the directory.
        files: text by path in the directory.
        root: the models; `out` may not lie among them.
        force: replace files that others wrote.

    Returns:
        The paths, in order.

    Raises:
        UsageError: `out` cannot be used, or holds files of others under these names.
        ServingError: writing failed; what was there is there still.
    """
    _check_place(out, root)
    foreign = [name for name in files if os.path.lexists(out / name) and not _is_ours(out / name)]
    if foreign and not force:
        raise UsageError(
            f"{out} holds files of these names that `serving deploy` did not write: {', '.join(sorted(foreign))}. "
            f"Choose another `--out`, move them away, or replace them by `--force`."
        )
    stale = _stale(out, files)
    try:
        _write(out, files)
        for path in stale:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise ServingError(f"Could not write to {out}: {error.strerror or error}. Make room, or mend it.") from error
    return [out / name for name in sorted(files)]


def _check_place(out: pathlib.Path, root: pathlib.Path) -> None:
    if out.exists() and not out.is_dir():
        raise UsageError(f"`--out` must be a directory, new or not. Received: {out}, a file.")
    if out.resolve().is_relative_to(root.resolve()):
        raise UsageError(f"`--out` must not lie in ROOT, among the models. Received: {out} in {root}.")


def _write(out: pathlib.Path, files: Files) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = pathlib.Path(tempfile.mkdtemp(prefix=f".{out.name}.tmp-", dir=out.parent))
    try:
        for name, text in files.items():
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            (temporary / name).write_text(_marked(name, text), encoding="utf-8")
        for folder in [temporary, *(path for path in temporary.rglob("*") if path.is_dir())]:
            folder.chmod(0o755)
        if not out.exists():
            temporary.rename(out)
            return
        for name in files:
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (temporary / name).replace(out / name)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _stale(out: pathlib.Path, files: Files) -> list[pathlib.Path]:
    if not out.is_dir():
        return []
    kept = {out / name for name in files}
    return [path for path in out.rglob("*") if path.is_file() and path not in kept and _is_ours(path)]


def _marked(name: str, text: str) -> str:
    return f"<!-- {_NOTE} -->\n{text}" if name.endswith(".md") else f"# {_NOTE}\n{text}"


def _is_ours(path: pathlib.Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return MARK.encode() in file.readline(256)
    except OSError:
        return False
