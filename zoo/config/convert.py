"""Experiments to JSON and back, and single fields set from text (`model.depth=18`) by their annotation."""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from zoo import registry
from zoo.compression.base import AbstractTransform
from zoo.config.experiment import Experiment
from zoo.data.base import AbstractSource
from zoo.errors import UnknownNameError, UsageError
from zoo.features.base import AbstractFeature
from zoo.models.base import AbstractModel
from zoo.tasks.base import AbstractTask

__all__ = ["apply_overrides", "build_from", "from_json", "to_json"]

Settings = TypeVar("Settings")

_TABLES: Mapping[type, tuple[str, Mapping[str, registry.Entry]]] = {
    AbstractSource: ("source", registry.SOURCES),
    AbstractFeature: ("feature", registry.FEATURES),
    AbstractModel: ("model", registry.MODELS),
    AbstractTask: ("task", registry.TASKS),
    AbstractTransform: ("compression", registry.COMPRESSIONS),
}


def to_json(value: Any) -> Any:
    """Returns `value` as what `json.dumps` takes; a registered class becomes `{"type": name, **fields}`."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: to_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
        for base, (_, table) in _TABLES.items():
            if isinstance(value, base):
                return {"type": registry.name_of(table, type(value)), **fields}
        return fields
    if isinstance(value, tuple | list):
        return [to_json(item) for item in value]
    return value


def from_json(document: Mapping[str, Any]) -> Experiment:
    """Returns the experiment that `to_json` wrote.

    Raises:
        UsageError: a key or a name is unknown, or a value is of the wrong kind; the message names the field.
    """
    return _convert(Experiment, document, "")


def build_from(cls: type, values: Mapping[str, Any], path: str) -> Any:
    """Returns `cls(**values)`, each value converted to its field's annotation.

    Args:
        cls: a dataclass.
        values: by field name; unknown and missing ones are errors.
        path: where `values` stands, for messages: "model".
    """
    hints = _hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}
    for key in values:
        if key not in fields:
            raise UnknownNameError(f"field of `{path or cls.__name__}`", key, fields)
    required = [
        name
        for name, field in fields.items()
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    missing = [name for name in required if name not in values]
    if missing:
        raise UsageError(f"`{path or cls.__name__}` needs {', '.join(f'`{name}`' for name in missing)}.")
    prefix = f"{path}." if path else ""
    return cls(**{key: _convert(hints[key], value, f"{prefix}{key}") for key, value in values.items()})


def apply_overrides(settings: Settings, overrides: Sequence[str]) -> Settings:
    """Returns a dataclass (an experiment, a recipe) with single fields replaced.

    Args:
        settings: left as it is.
        overrides: each `path.to.field=value`, as in `training.epochs=3` or `model.filters=[32,64]`; an item of a
            tuple goes by its index: `features.0.max_value=16`.

    Raises:
        UsageError: no `=`, an unknown field, or a value that is not of the field's type.
    """
    changes: dict[str, Any] = {}
    for override in overrides:
        path, equals, text = override.partition("=")
        if not equals:
            raise UsageError(f"An override must be `path.to.field=value`. Received: {override!r}.")
        *groups, field = path.strip().split(".")
        node = changes
        for group in groups:
            node = node.setdefault(group, {})
            if not isinstance(node, dict):
                raise UsageError(f"`{path.strip()}`: `{group}` is set as a whole by another override.")
        node[field] = text.strip()
    return _replace(settings, changes, "") if changes else settings


def _replace(value: Any, changes: Mapping[str, Any], path: str) -> Any:
    """Returns `value` with all changes made at once, since one may be valid only together with another."""
    if isinstance(value, tuple):
        items = list(value)
        for key, change in changes.items():
            if not key.isdigit() or int(key) >= len(value):
                raise UnknownNameError(f"item in `{path}`", key, map(str, range(len(value))))
            items[int(key)] = _changed(items[int(key)], None, change, f"{path}.{key}")
        return tuple(items)
    hints, names = _hints(type(value)), [field.name for field in dataclasses.fields(value)]
    changed = {}
    for key, change in changes.items():
        if key not in names:
            raise UnknownNameError(f"field in `{path or type(value).__name__}`", key, names)
        changed[key] = _changed(getattr(value, key), hints[key], change, f"{path}.{key}" if path else key)
    return dataclasses.replace(value, **changed)


def _changed(current: Any, hint: Any, change: Any, path: str) -> Any:
    group = _optional_group(hint)
    if group is not None:
        if isinstance(change, str) and change.lower() in ("none", "null"):
            return None
        current, hint = current or group(), group
    is_group = dataclasses.is_dataclass(hint) or dataclasses.is_dataclass(current)
    if isinstance(change, Mapping):
        if not is_group and not isinstance(current, tuple):
            raise UsageError(f"`{path}` is a plain value and has no field `{next(iter(change))}`.")
        return _replace(current, change, path)
    if is_group or hint is None:
        raise UsageError(f"`{path}` is a group of fields; set one of them, as in `{path}.FIELD=VALUE`.")
    return _from_text(hint, change, path)


def _convert(hint: Any, value: Any, path: str) -> Any:
    """Converts a JSON value to `hint`: a registered base, a dataclass, a tuple of them, or a plain type."""
    if hint in _TABLES:
        kind, table = _TABLES[hint]
        if not isinstance(value, Mapping) or "type" not in value:
            raise UsageError(f"`{path}` must be an object with a `type`. Received: {value!r}.")
        cls = registry.lookup(table, kind, value["type"])
        return build_from(cls, {key: item for key, item in value.items() if key != "type"}, path)
    group = _optional_group(hint)
    if group is not None:
        return None if value is None else _convert(group, value, path)
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise UsageError(f"`{path or 'The configuration'}` must be an object. Received: {value!r}.")
        return build_from(typing.cast(type, hint), value, path)
    if typing.get_origin(hint) is tuple and typing.get_args(hint)[0] in _TABLES:
        return tuple(_convert(typing.get_args(hint)[0], item, f"{path}.{i}") for i, item in enumerate(value))
    return _validated(hint, path, value, lambda adapter: adapter.validate_python(value))


def _optional_group(hint: Any) -> Any:
    """Returns the dataclass of `SomeDataclass | None`, or None where the annotation is something else."""
    kinds = typing.get_args(hint)
    groups = [kind for kind in kinds if dataclasses.is_dataclass(kind)]
    return groups[0] if len(groups) == 1 and set(kinds) == {groups[0], type(None)} else None


def _from_text(hint: Any, text: str, path: str) -> Any:
    """Converts what a person typed: `none` where None may be, JSON for tuples, else the word itself.

    Where one number or several may be, a comma tells that it is several.
    """
    kinds = typing.get_args(hint)
    if type(None) in kinds and text.lower() in ("none", "null"):
        return None
    tuples = [kind for kind in kinds if typing.get_origin(kind) is tuple]
    if tuples and ("," in text or text.startswith("[")):
        hint = tuples[0]
    if typing.get_origin(hint) is tuple:
        literal = text if text.startswith("[") else f"[{text.strip('()')}]"
        return _validated(hint, path, text, lambda adapter: adapter.validate_json(literal))
    return _validated(hint, path, text, lambda adapter: adapter.validate_strings(text))


def _validated(hint: Any, path: str, received: Any, validate: Any) -> Any:
    import pydantic

    try:
        return validate(pydantic.TypeAdapter(hint))
    except pydantic.ValidationError as error:
        reason = error.errors()[0]["msg"]
        name = getattr(hint, "__name__", None) if not isinstance(hint, types.GenericAlias) else None
        expected = name or str(hint).replace("typing.", "")
        raise UsageError(f"`{path}` must be {expected}: {reason}. Received: {received!r}.") from None


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)
