"""What a root of models holds, as far as a deployment has to know it."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import re
from collections.abc import Iterator
from typing import Any

from serving.deploy.model_config import FILE, Entry, entry_for, parse_config, render_config, served_versions
from serving.deploy.saved_model import tensorflow_version
from serving.errors import UsageError

__all__ = ["MOUNT", "Model", "Root", "Version", "read_root"]

MANIFEST = "assets.extra/manifest.json"
MOUNT = "/models"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_FLOAT_BYTES = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Version:
    """One version directory.

    Args:
        number: the version.
        bytes: of its files.
        weights: how many numbers it holds, or 0 where that is not known.
        tensorflow: the version that exported it, or None where that is not known.
        has_manifest: whether the zoo wrote it.
    """

    number: int
    bytes: int
    weights: int = 0
    tensorflow: str | None = None
    has_manifest: bool = True

    @property
    def loaded_bytes(self) -> int:
        """What its weights take in memory; a packed form is smaller on disk than loaded."""
        return max(self.bytes, _FLOAT_BYTES * self.weights)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Model:
    """One model: its entry of `models.config`, where it lies in the root, and the versions that are served."""

    entry: Entry
    path: str
    versions: tuple[Version, ...]

    @property
    def name(self) -> str:
        """What requests call it."""
        return self.entry.name


@dataclasses.dataclass(frozen=True, kw_only=True)
class Root:
    """A root of models and what is odd about it."""

    path: pathlib.Path
    models: tuple[Model, ...]
    warnings: tuple[str, ...] = ()

    @property
    def versions(self) -> list[Version]:
        """Every version that is served."""
        return [version for model in self.models for version in model.versions]

    @property
    def config(self) -> str:
        """`models.config` for a server that sees the root under `MOUNT`."""
        return render_config((model.entry, f"{MOUNT}/{model.path}") for model in self.models)

    @property
    def has_labels(self) -> bool:
        """Whether any version has a label."""
        return any(model.entry.labels for model in self.models)


def read_root(path: pathlib.Path) -> Root:
    """The models under `path` that a server would serve.

    Raises:
        UsageError: there is no model, or one that would keep a stock server from starting.
    """
    if not path.is_dir():
        raise UsageError(f"ROOT must be a directory that holds <name>/<version>/. Received: {path}.")
    path, warnings = path.resolve(), []
    listed = (path / FILE).is_file()
    entries = parse_config(path / FILE) if listed else [entry_for(name) for name in _directories(path)]
    if not entries:
        raise UsageError(f"{path} holds no model: no <name>/<version>/ with a whole number as <version>.")
    models = tuple(_read_model(path, entry) for entry in entries)
    if listed:
        names = {model.path.split("/")[0] for model in models}
        if unlisted := [name for name in _directories(path) if name not in names]:
            warnings.append(f"not served, for {path / FILE} does not list them: {', '.join(unlisted)}.")
    for model in models:
        if foreign := [str(version.number) for version in model.versions if not version.has_manifest]:
            warnings.append(
                f"{model.name} {', '.join(foreign)}: no {MANIFEST}, so the zoo did not write it; a graph that does not "
                f"check its inputs can end the whole server on one malformed request."
            )
    return Root(path=path, models=models, warnings=tuple(warnings))


def _directories(root: pathlib.Path) -> list[str]:
    """The directories that hold a version; others (lost+found, .git) are not the models'."""
    return sorted(
        path.name for path in root.iterdir() if path.is_dir() and path.name[0] != "." and any(_version_paths(path))
    )


def _version_paths(model: pathlib.Path) -> Iterator[pathlib.Path]:
    return (path for path in model.iterdir() if re.fullmatch(r"[0-9]+", path.name) and path.is_dir())


def _read_model(root: pathlib.Path, entry: Entry) -> Model:
    if not _NAME.fullmatch(entry.name):
        raise UsageError(
            f"A model's name must consist of letters, digits, `.`, `_` and `-`, and begin with a letter or digit, to "
            f"be a part of addresses and files. Received: {entry.name!r} in {root}."
        )
    place = _place(root, entry)
    paths = {int(path.name): path for path in _version_paths(place)} if place.is_dir() else {}
    served = served_versions(entry, paths)
    if not served:
        raise UsageError(
            f"{place} holds no version that {FILE} serves, which keeps a stock server from starting. "
            f"Versions there: {sorted(paths) or 'none'}. Export one, or take {entry.name!r} out of {root / FILE}."
        )
    for label, version in entry.labels.items():
        if version not in served:
            raise UsageError(
                f"Label {label!r} of model {entry.name!r} must point to a version that is served, else a stock server "
                f"refuses it. Received: {version}; served: {served}. Mend `version_labels` in {root / FILE}."
            )
    versions = tuple(_read_version(paths[number], number) for number in served)
    return Model(entry=entry, path=place.relative_to(root).as_posix(), versions=versions)


def _place(root: pathlib.Path, entry: Entry) -> pathlib.Path:
    """The model's directory inside the root, by its base path or, where that is a container's, by its name."""
    given, beside = (root / entry.base_path).resolve(), root / entry.name
    place = given if entry.base_path and given.is_dir() and given != root else beside.resolve()
    if not place.is_relative_to(root):
        raise UsageError(
            f"Model {entry.name!r} lies in {place}, outside of {root}, which is all that the manifests hand to a "
            f"server. Move it to {beside}."
        )
    if not re.fullmatch(r"[A-Za-z0-9._/-]+", place.relative_to(root).as_posix()):
        raise UsageError(f"{place} must have a plain name (letters, digits, `.`, `_`, `-`) to be a part of manifests.")
    return place


def _read_version(path: pathlib.Path, number: int) -> Version:
    if not (path / "saved_model.pb").is_file():
        held = "only a model.tflite" if (path / "model.tflite").is_file() else "no saved_model.pb"
        raise UsageError(
            f"{path} holds {held}, and the stock server, which needs a SavedModel, would not start. Export it again "
            f"with a SavedModel beside, or let {FILE} not serve version {number}."
        )
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    if not (path / MANIFEST).is_file():
        return Version(number=number, bytes=size, tensorflow=tensorflow_version(path), has_manifest=False)
    manifest = _read_manifest(path / MANIFEST)
    weights, exported_by = manifest.get("weights"), manifest.get("tensorflow")
    return Version(
        number=number,
        bytes=size,
        weights=weights if isinstance(weights, int) else 0,
        tensorflow=exported_by if isinstance(exported_by, str) else tensorflow_version(path),
    )


def _read_manifest(path: pathlib.Path) -> dict[str, Any]:
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}. Export the version again.") from error
    if not isinstance(manifest, dict):
        raise UsageError(f"{path} must hold one JSON object. Received: {type(manifest).__name__}.")
    return manifest
