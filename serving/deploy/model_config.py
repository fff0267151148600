"""`models.config` read and written without TensorFlow: the published message, declared again in a pool of its own."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterable
from typing import Any, cast

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from serving.errors import UsageError

__all__ = ["FILE", "Entry", "entry_for", "parse_config", "render_config", "served_versions"]

FILE = "models.config"
_PACKAGE = "serving.deploy.model_config"
_ONE, _REPEATED = 1, 3
_INT64, _STRING, _UINT32, _ENUM, _MESSAGE = 3, 9, 13, 5, 11

# message -> {field: (number, kind)}; a kind is a number of protobuf's, negative when repeated, or a message, with *
_MESSAGES: dict[str, dict[str, tuple[int, int | str]]] = {
    "Latest": {"num_versions": (1, _UINT32)},
    "All": {},
    "Specific": {"versions": (1, -_INT64)},
    "Policy": {"latest": (100, "Latest"), "all": (101, "All"), "specific": (102, "Specific")},
    "Label": {"key": (1, _STRING), "value": (2, _INT64)},
    "ModelConfig": {
        "name": (1, _STRING),
        "base_path": (2, _STRING),
        "model_type": (3, _ENUM),
        "model_platform": (4, _STRING),
        "model_version_policy": (7, "Policy"),
        "version_labels": (8, "*Label"),
    },
    "ModelConfigList": {"config": (1, "*ModelConfig")},
    "ModelServerConfig": {"model_config_list": (1, "ModelConfigList")},
}


def _message_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="serving/deploy.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            if isinstance(kind, int):
                made = message.field.add(name=field, number=number, label=_REPEATED if kind < 0 else _ONE)
                made.type = cast(Any, abs(kind))
            else:
                made = message.field.add(name=field, number=number, label=_REPEATED if kind[0] == "*" else _ONE)
                made.type, made.type_name = cast(Any, _MESSAGE), f".{_PACKAGE}.{kind.removeprefix('*')}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.ModelServerConfig"))


_ModelServerConfig = _message_class()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """One model of the list; `message` is the protobuf message itself."""

    name: str
    base_path: str
    message: Any

    @property
    def labels(self) -> dict[str, int]:
        """Version by label."""
        return {label.key: label.value for label in self.message.version_labels}


def parse_config(path: pathlib.Path) -> list[Entry]:
    """The models that a `models.config` lists, in its order.

    Raises:
        UsageError: the file cannot be read, is no ModelServerConfig, lists nothing, or lists a model twice.
    """
    try:
        # A field that is not declared here (logging, for one) concerns no manifest.
        message = text_format.Parse(path.read_text(encoding="utf-8"), _ModelServerConfig(), allow_unknown_field=True)
    except (text_format.ParseError, UnicodeDecodeError, OSError) as error:
        raise UsageError(f"{path} is no ModelServerConfig in protobuf's text form: {error}") from error
    entries = [
        Entry(name=config.name, base_path=config.base_path, message=config)
        for config in message.model_config_list.config
    ]
    if not entries:
        raise UsageError(f"{path} lists no model in a `model_config_list`. Export one: `zoo export ... --out ROOT`.")
    names = [entry.name for entry in entries]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"{path} must name each model once. Received twice: {', '.join(repeated)}.")
    return entries


def served_versions(entry: Entry, found: Iterable[int]) -> list[int]:
    """The versions among `found` that the entry's policy serves, rising."""
    rising, policy = sorted(found), entry.message.model_version_policy
    if policy.HasField("all"):
        return rising
    if policy.HasField("specific"):
        return [version for version in rising if version in policy.specific.versions]
    return rising[-(policy.latest.num_versions or 1) :]


def entry_for(name: str) -> Entry:
    """An entry that serves every version, as `serving serve` does for a root without `models.config`."""
    message = _ModelServerConfig().model_config_list.config.add(name=name)
    message.model_version_policy.all.SetInParent()
    return Entry(name=name, base_path="", message=message)


def render_config(entries: Iterable[tuple[Entry, str]]) -> str:
    """The text of a `models.config`: entries with the base paths where the server will see them."""
    config = _ModelServerConfig()
    for entry, base_path in entries:
        added = config.model_config_list.config.add()
        added.CopyFrom(entry.message)
        added.base_path = base_path
        added.ClearField("model_type")  # its successor is the platform
        added.model_platform = "tensorflow"
    return text_format.MessageToString(config)
