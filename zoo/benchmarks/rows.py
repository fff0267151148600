"""The tables of `zoo bench artifact`: what is wanted of a compressed model, and what it turned out to be."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoo.exporting.measure import Measured

__all__ = ["Compressed", "Packed", "Summary", "Target", "Untrained", "packed_row", "summarised"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Target:
    """What a configuration's model is compressed by, and what is wanted of it.

    Attributes:
        recipe: a name from `zoo list recipes`.
        overrides: fields of the recipe, as `--set` takes them.
        times: how often all bytes of the version directory go into the float32 weights, at least.
        points: what the test split's figure may lose, in points, at most; a mean over seeds.
    """

    recipe: str
    overrides: tuple[str, ...] = ()
    times: float
    points: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Compressed:
    """A compressed model, packed, against the dense one; figures of the test split, losses in points.

    `times` is the float32 weights by all bytes of the version directory; ratios of p50 are against the plain form of
    the dense model, at one row and at 32.
    """

    config: str
    seed: int
    recipe: str
    figure: str
    dense: float
    compressed: float
    lost_points: float
    float_bytes: int
    keras_export_bytes: int
    bytes: int
    gzip_bytes: int
    times: float
    load_ms: float
    memory_mb: float
    p50_ms_1: float
    p50_ms_32: float
    p50_ratio_1: float
    p50_ratio_32: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Packed:
    """A model packed as it is, and with weights of 8 bits, beside `keras.Model.export`.

    Ratios of p50 are against the plain form of the float model, at one row and at 32.
    """

    config: str
    float_bytes: int
    keras_export_bytes: int
    packed_bytes: int
    packed_of_export: float
    is_bit_exact: bool
    int8_bytes: int
    int8_of_float: float
    int8_p50_ratio_1: float
    int8_p50_ratio_32: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Untrained(Packed):
    """A trained model that was packed without training it again; figures of the test split, the loss in points."""

    figure: str
    float_figure: float
    int8_figure: float
    int8_lost_points: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Summary:
    """The rows of one configuration: means over seeds, and whether they meet the target."""

    config: str
    seeds: tuple[int, ...]
    times: float
    target_times: float
    lost_points: float
    lost_points_range: tuple[float, float]
    target_points: float
    p50_ratio_1: float
    p50_ratio_32: float
    is_met: bool


def packed_row(
    config: str, measured: Sequence[Measured], *, float_bytes: int, keras_export_bytes: int, is_bit_exact: bool
) -> Packed:
    """Returns a row; `measured` are the forms plain, packed, and packed with 8 bits."""
    plain, packed, int8 = measured
    return Packed(
        config=config,
        float_bytes=float_bytes,
        keras_export_bytes=keras_export_bytes,
        packed_bytes=packed.bytes,
        packed_of_export=round(packed.bytes / keras_export_bytes, 3),
        is_bit_exact=is_bit_exact,
        int8_bytes=int8.bytes,
        int8_of_float=round(int8.bytes / float_bytes, 3),
        int8_p50_ratio_1=round(int8.p50_ms_1 / plain.p50_ms_1, 3),
        int8_p50_ratio_32=round(int8.p50_ms_32 / plain.p50_ms_32, 3),
    )


def summarised(rows: Sequence[Compressed], targets: Mapping[str, Target]) -> list[Summary]:
    """Returns a summary of each configuration, in the order of its first row.

    Args:
        rows: of any configurations and seeds.
        targets: by name of a configuration.
    """
    summaries = []
    for config in dict.fromkeys(row.config for row in rows):
        ours, target = [row for row in rows if row.config == config], targets[config]
        lost = [row.lost_points for row in ours]
        times, points = statistics.mean(row.times for row in ours), statistics.mean(lost)
        summaries.append(
            Summary(
                config=config,
                seeds=tuple(row.seed for row in ours),
                times=round(times, 2),
                target_times=target.times,
                lost_points=round(points, 3),
                lost_points_range=(min(lost), max(lost)),
                target_points=target.points,
                p50_ratio_1=round(statistics.mean(row.p50_ratio_1 for row in ours), 3),
                p50_ratio_32=round(statistics.mean(row.p50_ratio_32 for row in ours), 3),
                is_met=times >= target.times and points <= target.points + 1e-9,
            )
        )
    return summaries
