"""What a path of TensorFlow Serving's REST API names, by its own patterns: case does not matter, names are decoded."""

from __future__ import annotations

import dataclasses
import re
import urllib.parse
from typing import Any

from serving.errors import InvalidInputError

__all__ = ["ModelPath", "parse_path"]

_INT64_MAX = (1 << 63) - 1
_MODEL = r"/v1/models/(?P<name>[^/:]+)(?:/versions/(?P<version>[0-9]+)|/labels/(?P<label>[^/:]+))?"
_POST = re.compile(_MODEL + r":(?P<action>classify|regress|predict)", re.IGNORECASE)
_GET = re.compile(_MODEL + r"(?:/(?P<action>metadata))?", re.IGNORECASE)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelPath:
    """A model, or one version of it, and what is asked of it.

    Args:
        name: the model.
        version: its number; or None.
        label: its label; or "".
        action: "predict", "classify", "regress", "metadata" or "status".
    """

    name: str
    version: int | None
    label: str
    action: str

    def fill(self, spec: Any) -> None:
        """Write into an empty ModelSpec."""
        spec.name = self.name
        if self.version is not None:
            spec.version.value = self.version
        if self.label:
            spec.version_label = self.label


def parse_path(http_method: str, raw_path: str) -> ModelPath:
    """What a request names.

    Args:
        http_method: "GET", "POST", ...
        raw_path: as it was sent, still encoded, without the query.

    Raises:
        InvalidInputError: no path of the API for this method.

    Example:
        >>> parse_path("POST", "/v1/models/digits/versions/3:predict")
        ModelPath(name='digits', version=3, label='', action='predict')
    """
    pattern = {"POST": _POST, "GET": _GET, "HEAD": _GET}.get(http_method)
    found = pattern.fullmatch(raw_path) if pattern else None
    if found is None:
        raise InvalidInputError(f"Malformed request: {http_method} {raw_path}")
    version = found["version"]
    if (version is not None and len(version) > 19) or int(version or 0) > _INT64_MAX:
        raise InvalidInputError(f"Failed to convert version: {version} to numeric.")
    return ModelPath(
        name=_decoded("model name", found["name"]),
        version=None if version is None else int(version),
        label=_decoded("model version label", found["label"] or ""),
        action=(found["action"] or "status").lower(),
    )


def _decoded(what: str, text: str) -> str:
    try:
        return urllib.parse.unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise InvalidInputError(f"Failed to decode {what}:{text}") from None
