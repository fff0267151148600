"""The Pareto front: what nothing beats in accuracy, bytes and latency at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

from zoo.searching.grid import Setting

__all__ = ["Point", "front"]

_ALIKE = 1.1  # latencies nearer than this are the same: two measurements of one model differ by as much


@dataclasses.dataclass(frozen=True, kw_only=True)
class Point:
    """One model that a search made, or measured beside them.

    Attributes:
        name: of its run in `points/` and of its packed version in `models/`.
        transforms: what was done to the dense model, for people.
        value: the monitored figure on the validation split.
        loss: how much worse that is than the dense run's.
        bytes: of all files of its version directory.
        setting: None for what is not a point of the search.
        parent: the setting that it went on from.
        seconds: what it took to make.
        p50_ms_1: of a call with one row, all models in turns; None before all are measured.
        on_front: None before all are measured.
    """

    name: str
    transforms: str
    value: float
    loss: float
    bytes: int
    setting: Setting | None = None
    parent: Setting | None = None
    seconds: float = 0.0
    p50_ms_1: float | None = None
    on_front: bool | None = None


def front(points: Sequence[Point], mode: Literal["max", "min"]) -> list[Point]:
    """Returns those that no other one beats, in their order.

    One beats another if it is no worse in accuracy, bytes and latency and better in one of them, where latencies count
    as different from a tenth on, and not at all before they are measured.
    """
    return [one for one in points if not any(_beats(other, one, mode) for other in points)]


def _beats(one: Point, other: Point, mode: Literal["max", "min"]) -> bool:
    better = one.value - other.value if mode == "max" else other.value - one.value
    mine, others = (0.0, 0.0) if None in (one.p50_ms_1, other.p50_ms_1) else (one.p50_ms_1 or 0, other.p50_ms_1 or 0)
    if better < 0 or one.bytes > other.bytes or mine > others * _ALIKE:
        return False
    return better > 0 or one.bytes < other.bytes or mine * _ALIKE < others
