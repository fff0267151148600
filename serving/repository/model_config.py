"""Which models and versions to serve: `models.config` (TensorFlow Serving's own format), or else the directory tree."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from google.protobuf import text_format

from serving.errors import InvalidInputError, UsageError
from serving.published import ModelServerConfig

__all__ = ["CONFIG_NAME", "ModelConfig", "ModelsReader", "parse_reload", "read_models"]

CONFIG_NAME = "models.config"

Policy = Callable[[Iterable[int]], list[int]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """One model to serve.

    Args:
        name: what requests call it.
        base_path: the directory that holds its versions.
        policy: versions found to versions served, ascending.
        labels: version by label.
    """

    name: str
    base_path: pathlib.Path
    policy: Policy
    labels: Mapping[str, int] = dataclasses.field(default_factory=dict)


def all_versions(found: Iterable[int]) -> list[int]:
    """Every version."""
    return sorted(found)


def latest(num_versions: int) -> Policy:
    """The newest `num_versions`."""

    def policy(found: Iterable[int]) -> list[int]:
        return sorted(found)[-num_versions:]

    return policy


def specific(versions: Iterable[int]) -> Policy:
    """These versions, as far as they exist."""
    wanted = set(versions)

    def policy(found: Iterable[int]) -> list[int]:
        return sorted(wanted & set(found))

    return policy


class ModelsReader:
    """Reads the models of a root again and again; once `models.config` was there, its absence is an error.

    A file that is replaced by removing and writing it would otherwise change, for a moment, what is served.

    Args:
        root: as for `read_models`.
        default: as for `read_models`.
    """

    def __init__(self, root: pathlib.Path, *, default: Policy):
        self._root = root
        self._default = default
        self._config_seen = False
        self._override: tuple[tuple[int, ...], list[ModelConfig]] | None = None
        self._lock = threading.Lock()  # an override that comes now is not taken for the one before it

    def stamp(self) -> tuple[int, ...]:
        """The state of `models.config` now."""
        return _stamp(self._root / CONFIG_NAME)

    def override(self, models: list[ModelConfig], *, stamp: tuple[int, ...]) -> None:
        """Let these models hold, whatever the root says, while its `models.config` is in the state `stamp`."""
        with self._lock:
            self._override = (stamp, models)

    def __call__(self) -> list[ModelConfig]:
        """The models as `read_models` gives them, and with its errors."""
        config = self._root / CONFIG_NAME
        with self._lock:
            if self._override is not None:
                stamp, models = self._override
                if stamp == _stamp(config):
                    return models
                self._override = None
        if config.is_file():
            self._config_seen = True
        elif self._config_seen:
            raise UsageError(f"{config} is gone. Write it again, or start the server again to serve without it.")
        return read_models(self._root, default=self._default)


def _stamp(config: pathlib.Path) -> tuple[int, ...]:
    """What changes when the file is written again; nothing where it is not there."""
    try:
        status = config.stat()
    except OSError:
        return ()
    return (status.st_mtime_ns, status.st_size, status.st_ino)


def read_models(root: pathlib.Path, *, default: Policy) -> list[ModelConfig]:
    """The models of `root`.

    Args:
        root: the directory with one sub-directory per model, and perhaps `models.config`.
        default: the policy for models of a root without `models.config`.

    Raises:
        UsageError: `root` or its `models.config` cannot be read, holds no `model_config_list`, or repeats a name.
    """
    config = root / CONFIG_NAME
    if config.is_file():
        return _parse(config)
    try:
        paths = [path for path in sorted(root.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    except OSError as error:
        raise UsageError(f"{root} cannot be read: {error.strerror}. It must hold <name>/<version>/.") from error
    return [ModelConfig(name=path.name, base_path=path, policy=default) for path in paths]


def _parse(path: pathlib.Path) -> list[ModelConfig]:
    try:
        message = text_format.Parse(path.read_text(encoding="utf-8"), ModelServerConfig())
    except (text_format.ParseError, UnicodeDecodeError, OSError) as error:
        raise UsageError(f"{path} is no ModelServerConfig in protobuf's text form: {error}") from error
    if (given := message.WhichOneof("config")) != "model_config_list":
        raise UsageError(
            f"{path} must hold a `model_config_list {{ ... }}`, if only an empty one. "
            f"Received: {f'`{given}`' if given else 'none; is the file half written?'}"
        )
    models = [_model(path.parent, config) for config in message.model_config_list.config]
    names = [model.name for model in models]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"{path} must name each model once. Received twice: {', '.join(repeated)}.")
    return models


def parse_reload(root: pathlib.Path, config: Any) -> list[ModelConfig]:
    """The models of a HandleReloadConfigRequest's ModelServerConfig.

    Raises:
        InvalidInputError: no `model_config_list`, a path that is not absolute, or a name that is missing or repeated.
    """
    if config.WhichOneof("config") != "model_config_list":
        raise InvalidInputError(
            "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently "
            "supported"
        )
    names: set[str] = set()
    for one in config.model_config_list.config:
        if not one.name:
            raise InvalidInputError("Every ModelConfig needs a name. Received: one without.")
        if one.name in names:
            raise InvalidInputError(f"Illegal to list model {one.name} multiple times in config list")
        if not pathlib.PurePosixPath(one.base_path).is_absolute():
            raise InvalidInputError(
                f"Expected model {one.name} to have an absolute path or URI; got base_path()={one.base_path}"
            )
        names.add(one.name)
    return [_model(root, one) for one in config.model_config_list.config]


def _model(root: pathlib.Path, config: Any) -> ModelConfig:
    if not config.name:
        raise UsageError(f"{root / CONFIG_NAME}: every `config` needs a `name`.")
    policy = config.model_version_policy
    choice = policy.WhichOneof("policy_choice")
    if choice == "all":
        chosen = all_versions
    elif choice == "specific":
        chosen = specific(policy.specific.versions)
    else:
        chosen = latest(policy.latest.num_versions or 1)
    return ModelConfig(
        name=config.name,
        base_path=_base_path(root, config),
        policy=chosen,
        labels=dict(config.version_labels),
    )


def _base_path(root: pathlib.Path, config: Any) -> pathlib.Path:
    """The given path; `root/<name>` where it is not here (a config written for a container).

    A name that is a path, "../other" for one, leads nowhere.
    """
    given, beside = root / config.base_path, root / config.name  # an absolute path stays as it is
    if not config.base_path:
        return beside
    is_plain = config.name != ".." and pathlib.PurePosixPath(config.name).name == config.name
    # `os.path` takes what cannot be a path (too long, with a NUL) for one that is not there.
    return beside if is_plain and os.path.isdir(beside) and not os.path.isdir(given) else given
