"""What each weight tensor of a model costs in the packed form, beside the float32 tensor that it came from."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from zoo.compression.encoding import coded, estimated_bytes

if TYPE_CHECKING:
    import keras

__all__ = ["LayerRow", "WeightRow", "by_layer", "weight_table"]

_FLOAT_BYTES = 4


@dataclasses.dataclass(frozen=True)
class WeightRow:
    """A weight tensor.

    Attributes:
        layer: the path of its layer.
        weight: its name there.
        shape: None where the tensor is gone.
        shape_before: of the tensor it came from; None where it is new.
        zeros: how many of its values are 0.
        distinct_values: how many differ from each other.
        bits: that tell its values apart, before entropy coding.
        bytes_before: of the tensor it came from, in float32; 0 where it is new.
        bytes_after: about what it takes in the packed form, entropy-coded; 0 where it is gone.
    """

    layer: str
    weight: str
    shape: tuple[int, ...] | None
    shape_before: tuple[int, ...] | None
    zeros: int
    distinct_values: int
    bits: int
    bytes_before: int
    bytes_after: int

    @property
    def size(self) -> int:
        """Number of values."""
        return 0 if self.shape is None else int(np.prod(self.shape))

    @property
    def sparsity(self) -> float:
        """Share of the values that are 0."""
        return self.zeros / self.size if self.size else 0.0


@dataclasses.dataclass(frozen=True)
class LayerRow:
    """All weight tensors of a layer: the share of zeros, and bytes as in `WeightRow`."""

    layer: str
    sparsity: float
    bytes_before: int
    bytes_after: int


def weight_table(small: keras.Model, dense: keras.Model | None = None) -> list[WeightRow]:
    """Returns a row for each weight tensor, layer by layer in the order of the model.

    Args:
        small: as it is exported; tensors that do not train, such as moving averages, count as well.
        dense: what it came from, its tensors found by their names: they may have had more channels, and those of layers
            that were folded away come last. By default each tensor counts as having been float32 in its own shape.
    """
    after = _arrays(small)
    before = {name: array.shape for name, array in (_arrays(dense) if dense is not None else after).items()}
    rows = [_row(name, array, before.get(name)) for name, array in after.items()]
    rows += [_row(name, None, shape) for name, shape in before.items() if name not in after]
    layers = list(dict.fromkeys(row.layer for row in rows))
    return sorted(rows, key=lambda row: layers.index(row.layer))


def by_layer(rows: Sequence[WeightRow]) -> list[LayerRow]:
    """Returns a row for each layer of a `weight_table`."""
    layers: dict[str, list[WeightRow]] = {}
    for row in rows:
        layers.setdefault(row.layer, []).append(row)
    return [
        LayerRow(
            layer=layer,
            sparsity=sum(row.zeros for row in of_layer) / max(1, sum(row.size for row in of_layer)),
            bytes_before=sum(row.bytes_before for row in of_layer),
            bytes_after=sum(row.bytes_after for row in of_layer),
        )
        for layer, of_layer in layers.items()
    ]


def _row(name: str, array: np.ndarray | None, shape_before: tuple[int, ...] | None) -> WeightRow:
    layer, _, weight = name.rpartition("/")
    bytes_before = 0 if shape_before is None else _FLOAT_BYTES * int(np.prod(shape_before))
    if array is None:
        return WeightRow(layer, weight, None, shape_before, 0, 0, 0, bytes_before, 0)
    if array.dtype == np.float32:
        packed = coded(array)
        bits, bytes_after = packed.bits(), estimated_bytes(packed)
    else:  # stands in the packed form as it is
        bits, bytes_after = array.dtype.itemsize * 8, array.nbytes
    return WeightRow(
        layer=layer,
        weight=weight,
        shape=array.shape,
        shape_before=shape_before,
        zeros=int((array == 0).sum()),
        distinct_values=len(np.unique(array)),
        bits=bits,
        bytes_before=bytes_before,
        bytes_after=bytes_after,
    )


def _arrays(model: keras.Model) -> dict[str, np.ndarray]:
    """Returns all weights by path, each once; a path that several have gets a number, as in `named_weights`."""
    arrays: dict[str, np.ndarray] = {}
    counts: dict[str, int] = {}
    for variable in model.weights:
        counts[variable.path] = count = counts.get(variable.path, 0) + 1
        arrays[variable.path if count == 1 else f"{variable.path}.{count}"] = np.asarray(variable.numpy())
    return arrays
