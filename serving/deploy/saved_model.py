"""Which TensorFlow wrote a SavedModel, read from its bytes without TensorFlow."""

from __future__ import annotations

import pathlib
from typing import Any, cast

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

__all__ = ["tensorflow_version"]

_PACKAGE = "serving.deploy.saved_model"
# SavedModel.meta_graphs[0].meta_info_def.tensorflow_version: outer message, field, number, inner message.
_STEPS = (("SavedModel", "meta_graphs", 2, "MetaGraph"), ("MetaGraph", "meta_info", 1, "MetaInfo"))


def _message_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="serving/deploy_saved_model.proto", package=_PACKAGE)
    for outer, field, number, inner in _STEPS:
        made = file.message_type.add(name=outer).field.add(name=field, number=number, label=cast(Any, 3))
        made.type, made.type_name = cast(Any, 11), f".{_PACKAGE}.{inner}"
    version = file.message_type.add(name="MetaInfo").field.add(name="version", number=5, label=cast(Any, 1))
    version.type = cast(Any, 9)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.SavedModel"))


_SavedModel = _message_class()


def tensorflow_version(directory: pathlib.Path) -> str | None:
    """The version in `saved_model.pb`, or None where it is damaged or does not tell."""
    try:
        saved = _SavedModel.FromString((directory / "saved_model.pb").read_bytes())
    except (DecodeError, OSError):
        return None
    found = [info.version for graph in saved.meta_graphs for info in graph.meta_info if info.version]
    return found[0] if found else None
