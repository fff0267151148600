"""What a compression left of each weight tensor: zeros, shared values, bits, and about how many bytes that is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from zoo.compression.base import AbstractTransform, named_weights, select
from zoo.compression.encoding import coded, estimated_bytes
from zoo.compression.quantize import Quantize
from zoo.compression.quantize_aware import BITS, QuantizeAware

if TYPE_CHECKING:
    import keras

__all__ = ["about_bytes", "weights_summary"]

_FLOAT_BITS = 32


def weights_summary(model: keras.Model, transforms: Sequence[AbstractTransform]) -> dict[str, dict[str, Any]]:
    """Returns by name of each trainable weight what it has become.

    Args:
        model: compressed.
        transforms: all that it went through.

    Returns:
        `shape`; `sparsity`, the share of zeros; `distinct_values`; `bits`, what one weight takes by itself: those of
        its grid, or of the number of its shared value; and `about_bytes`, what the form `packed` stores of it.
    """
    import numpy as np

    grids = _grid_bits(model, transforms)
    summary = {}
    for path, variable in named_weights(model).items():
        value = np.asarray(variable.numpy())
        distinct = np.unique(value)
        number_bits = math.ceil(math.log2(max(2, len(distinct))))
        is_shared = len(distinct) * 2 <= value.size
        bits = min(grids.get(path, _FLOAT_BITS), number_bits if is_shared else _FLOAT_BITS)
        summary[path] = {
            "shape": list(value.shape),
            "sparsity": round(np.count_nonzero(value == 0) / max(1, value.size), 4),
            "distinct_values": len(distinct),
            "bits": bits,
            "about_bytes": estimated_bytes(coded(value)) if value.dtype == np.float32 else value.nbytes,
        }
    return summary


def about_bytes(summary: dict[str, dict[str, Any]]) -> int:
    """Returns the sum over all weights of a `weights_summary`."""
    return sum(weight["about_bytes"] for weight in summary.values())


def _grid_bits(model: keras.Model, transforms: Sequence[AbstractTransform]) -> dict[str, int]:
    """Returns the bits of each weight that was put on a grid."""
    grids: dict[str, int] = {}
    for transform in transforms:
        if isinstance(transform, Quantize | QuantizeAware):
            low, high = BITS[transform.weights]
            grids.update(dict.fromkeys(select(model, transform), math.ceil(math.log2(high - low + 1))))
    return grids
