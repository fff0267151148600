"""How many calls of one signature run at a time: fewer while they are short."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable

__all__ = ["Place", "Places"]

# Two short calls at a time take the processor from the connections and from each other's caches: on 2 cores, 8 clients
# with 32 rows each got 853 answers a second with two calls at a time and 904 with one; calls of 14 ms got 389 and 287.
LONG_S = 0.005
OVERDUE_S = 0.02  # a call expected to be short that takes so long was misjudged, and holds up nobody any more


@dataclasses.dataclass(eq=False, slots=True)
class Place:
    """Who holds it may run calls, one after the other; `expected_s` is the length of the one that comes or runs."""

    expected_s: float
    begun_at: float = math.inf  # as yet, none runs


class Places:
    """Gives out places. Not safe from threads: to be used under the queue's lock.

    Args:
        workers: calls at a time.
        quick_workers: of these, those expected to be short.
        clock: seconds that never go back.
    """

    def __init__(self, workers: int, quick_workers: int, *, clock: Callable[[], float] = time.monotonic):
        self._workers = workers
        self._quick_workers = quick_workers
        self._clock = clock
        self._held: set[Place] = set()

    def __len__(self) -> int:
        return len(self._held)

    def take(self, expected_s: float) -> Place | None:
        """A place for a call that is expected to take so long; None where those that run must end first."""
        if len(self._held) >= self._workers:
            return None
        if expected_s < LONG_S and self._quick() >= self._quick_workers:
            return None
        place = Place(expected_s)
        self._held.add(place)
        return place

    def begin(self, place: Place, expected_s: float) -> None:
        """A call begins in `place`."""
        place.expected_s = expected_s
        place.begun_at = self._clock()

    def free(self, place: Place) -> None:
        """Give `place` back."""
        self._held.remove(place)

    def _quick(self) -> int:
        before = self._clock() - OVERDUE_S
        return sum(place.expected_s < LONG_S and place.begun_at > before for place in self._held)
