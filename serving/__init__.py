"""A server with TensorFlow Serving's API and a client for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from serving.client.aio import AsyncClient
    from serving.client.answers import ClassScore, Inferences, ModelMetadata, VersionState
    from serving.client.client import Client
    from serving.client.connection import TLS
    from serving.client.model_config import ModelConfig
    from serving.client.retries import Retries
    from serving.errors import RequestError, ServingError

__version__ = "0.1.0"
__all__ = [
    "TLS",
    "AsyncClient",
    "ClassScore",
    "Client",
    "Inferences",
    "ModelConfig",
    "ModelMetadata",
    "RequestError",
    "Retries",
    "ServingError",
    "VersionState",
    "__version__",
]

_HOMES = {
    "AsyncClient": "serving.client.aio",
    "ClassScore": "serving.client.answers",
    "Client": "serving.client.client",
    "Inferences": "serving.client.answers",
    "ModelConfig": "serving.client.model_config",
    "ModelMetadata": "serving.client.answers",
    "RequestError": "serving.errors",
    "Retries": "serving.client.retries",
    "ServingError": "serving.errors",
    "TLS": "serving.client.connection",
    "VersionState": "serving.client.answers",
}


def __getattr__(name: str) -> Any:
    """Import on first use: the command line's `--help` needs neither grpc nor numpy."""
    if name not in _HOMES:
        raise AttributeError(f"module 'serving' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
