"""A server with TensorFlow Serving's API and a client for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from serving.client.client import Client, ModelMetadata, VersionState
    from serving.errors import RequestError, ServingError

__version__ = "0.1.0"
__all__ = ["Client", "ModelMetadata", "RequestError", "ServingError", "VersionState", "__version__"]

_HOMES = {
    "Client": "serving.client.client",
    "ModelMetadata": "serving.client.client",
    "VersionState": "serving.client.client",
    "RequestError": "serving.errors",
    "ServingError": "serving.errors",
}


def __getattr__(name: str) -> Any:
    """Import on first use: the command line's `--help` needs neither grpc nor numpy."""
    if name not in _HOMES:
        raise AttributeError(f"module 'serving' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
