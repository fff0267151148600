"""What the values of a weight tell: which axes hold channels, and whether values are shared on purpose; numpy alone.

Shape glossary: `C` channels, `M` weights of a channel.
"""

from __future__ import annotations

import dataclasses

import numpy as np

__all__ = ["Rows", "channel_axes", "distinct_nonzero", "distinct_per_row", "is_clustered", "shared_rows"]

_ATTENTION = ("query", "key", "value")
_FEW_VALUES = 256
_FEW_PER_CHANNEL = 32  # int6 and wider are grids rather than shared values
_LEAST_SHARED = 2  # weights per value of a channel; equal numbers among many happen by chance
# Of n numbers with 8 bits of mantissa, spread as weights are, about n^2 / 2000 equal another; twice that is no chance.
_COINCIDENCES = 1000


@dataclasses.dataclass(frozen=True)
class Rows:
    """A weight seen as one row of values for each channel.

    Args:
        shape: of the weight.
        axes: of its channels; none makes the whole weight one row.
    """

    shape: tuple[int, ...]
    axes: tuple[int, ...]

    @property
    def order(self) -> tuple[int, ...]:
        """The weight's axes, those of channels first."""
        return (*self.axes, *(axis for axis in range(len(self.shape)) if axis not in self.axes))

    @property
    def count(self) -> int:
        """`C`."""
        return int(np.prod([self.shape[axis] for axis in self.axes]))

    def of(self, values: np.ndarray) -> np.ndarray:
        """Returns values of the weight's shape as [C, M]."""
        return np.ascontiguousarray(values.transpose(self.order)).reshape(self.count, -1)

    def back(self, rows: np.ndarray) -> np.ndarray:
        """Returns [C, M] in the weight's shape."""
        moved = rows.reshape([self.shape[axis] for axis in self.order])
        return np.ascontiguousarray(moved.transpose(np.argsort(self.order)))

    def numbers(self) -> np.ndarray:
        """Returns the number of its row for each weight, int32, to be broadcast to the weight's shape."""
        sizes = [size if axis in self.axes else 1 for axis, size in enumerate(self.shape)]
        return np.arange(self.count, dtype="int32").reshape(sizes)


def channel_axes(path: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Returns the axes of a weight that hold the outputs of its layer; of an embedding its rows.

    A name and a shape is all there is to see: of a transposed convolution it is the axis of the inputs.
    """
    layer, _, name = path.rpartition("/")
    last = len(shape) - 1
    if name.startswith("embeddings"):
        return (0,)
    if len(shape) == 3 and layer.rpartition("/")[2] in _ATTENTION:  # [D, H, K]
        return (1, 2)
    if name.startswith("depthwise_kernel") or (len(shape) == 4 and "depthwise" in layer.rpartition("/")[2]):
        return (last - 1, last)
    return (last,)


def is_clustered(values: np.ndarray) -> bool:
    """Tells whether a tensor has so few distinct values that they must be shared on purpose.

    Zeros do not count: a tensor that was pruned to a few weights is no clustered one. Nor does one value throughout,
    which is an initialiser. Nor do a few equal pairs, which numbers once rounded to 16 bits have by chance; so a small
    tensor that was clustered still does.
    """
    nonzero = values[values != 0]
    distinct = len(np.unique(nonzero))
    with_zero = distinct + (nonzero.size < values.size)
    by_chance = nonzero.size**2 / _COINCIDENCES
    is_shared = distinct * _LEAST_SHARED <= nonzero.size or nonzero.size - distinct > by_chance
    return 1 < with_zero <= _FEW_VALUES and distinct < nonzero.size and is_shared


def distinct_per_row(rows: np.ndarray) -> np.ndarray:
    """Returns the number of distinct values of each row of [C, M]."""
    ordered = np.sort(rows, axis=1)
    return 1 + np.count_nonzero(np.diff(ordered, axis=1), axis=1)


def distinct_nonzero(rows: np.ndarray) -> np.ndarray:
    """Returns the same without zero."""
    return distinct_per_row(rows) - (rows == 0).any(axis=1)


def shared_rows(path: str, values: np.ndarray) -> Rows | None:
    """Returns the rows in which a weight's values are shared on purpose: one, one for each channel, or None.

    Channels share values of their own where no two of them have one in common, other than zero.
    """
    rows = Rows(values.shape, channel_axes(path, values.shape))
    ordered = rows.of(values)
    distinct, nonzero = int(distinct_nonzero(ordered).sum()), np.count_nonzero(ordered)
    if 1 < distinct_per_row(ordered).max() <= _FEW_PER_CHANNEL and distinct * _LEAST_SHARED <= nonzero:
        apart = len(np.unique(ordered[ordered != 0])) == distinct
        if apart and rows.count > 1:
            return rows
    return Rows(values.shape, ()) if is_clustered(values) else None
