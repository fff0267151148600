"""Keras 3 models from a data set to a SavedModel in TensorFlow Serving's layout.

Names load what they need when they are first used: `import zoo` imports no TensorFlow.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.api import build, compress, export, load_model
    from zoo.compression.cluster import Cluster
    from zoo.compression.distill import Distill
    from zoo.compression.fold_batch_norm import FoldBatchNorm
    from zoo.compression.prune import Prune
    from zoo.compression.prune_channels import PruneChannels
    from zoo.compression.quantize import Quantize, quantize
    from zoo.compression.quantize_aware import QuantizeAware
    from zoo.compression.round_vectors import RoundVectors
    from zoo.exporting.litert.options import LiteRT

__version__ = "0.1.0"
__all__ = [
    "Cluster",
    "Distill",
    "FoldBatchNorm",
    "LiteRT",
    "Prune",
    "PruneChannels",
    "Quantize",
    "QuantizeAware",
    "RoundVectors",
    "build",
    "compress",
    "export",
    "load_model",
    "quantize",
]

_HOMES = {
    "LiteRT": "zoo.exporting.litert.options",
    "Cluster": "zoo.compression.cluster",
    "Prune": "zoo.compression.prune",
    "Distill": "zoo.compression.distill",
    "FoldBatchNorm": "zoo.compression.fold_batch_norm",
    "PruneChannels": "zoo.compression.prune_channels",
    "Quantize": "zoo.compression.quantize",
    "QuantizeAware": "zoo.compression.quantize_aware",
    "RoundVectors": "zoo.compression.round_vectors",
    "build": "zoo.api",
    "compress": "zoo.api",
    "export": "zoo.api",
    "load_model": "zoo.api",
    "quantize": "zoo.compression.quantize",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'zoo' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
