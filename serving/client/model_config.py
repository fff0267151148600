"""What a server is to serve, for `reload`: TensorFlow Serving's `ModelServerConfig` from a list or from its text."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from serving.errors import UsageError
from serving.protocol import messages as wire

__all__ = ["ModelConfig", "server_config"]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """One model that a server is to serve.

    Args:
        name: what requests call it.
        base_path: the absolute path, as the server sees it, of the directory that holds its versions.
        versions: "latest", "all", or the numbers of the versions to serve.
        num_latest: how many of the newest, for "latest".
        labels: version by label.
        platform: what runs it.

    Raises:
        UsageError: `versions` or `num_latest` is none of these.
    """

    name: str
    base_path: str | pathlib.PurePath
    versions: Literal["latest", "all"] | Sequence[int] = "latest"
    num_latest: int = 1
    labels: Mapping[str, int] = dataclasses.field(default_factory=dict)
    platform: str = "tensorflow"

    def __post_init__(self) -> None:
        if isinstance(self.versions, str) and self.versions not in ("latest", "all"):
            raise UsageError(f"`versions` must be 'latest', 'all' or a list of numbers. Received: {self.versions!r}.")
        if self.num_latest < 1:
            raise UsageError(f"`num_latest` must be at least 1. Received: num_latest={self.num_latest}.")


def server_config(models: Iterable[ModelConfig] | str) -> Any:
    """The message.

    Args:
        models: the models, or the text of a `models.config` file.

    Raises:
        UsageError: the text is no `ModelServerConfig`.
    """
    if isinstance(models, str):
        return _parse(models)
    config = wire.ModelServerConfig()
    config.model_config_list.SetInParent()
    for model in models:
        _fill(config.model_config_list.config.add(), model)
    return config


def _parse(text: str) -> Any:
    from google.protobuf import text_format

    try:
        config = text_format.Parse(text, wire.ModelServerConfig())
    except text_format.ParseError as error:
        raise UsageError(f"The text is no ModelServerConfig in protobuf's text form: {error}") from error
    if not config.HasField("model_config_list"):  # a server takes it for "serve nothing"
        raise UsageError("The text must hold a `model_config_list { ... }`, if only an empty one.")
    return config


def _fill(message: Any, model: ModelConfig) -> None:
    message.name = model.name
    message.base_path = str(model.base_path)
    message.model_platform = model.platform
    policy = message.model_version_policy
    if model.versions == "latest":
        policy.latest.num_versions = model.num_latest
    elif model.versions == "all":
        policy.all.SetInParent()
    else:
        policy.specific.versions.extend([int(version) for version in model.versions])
    for label, version in model.labels.items():
        message.version_labels[label] = version
