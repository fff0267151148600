"""The way up a ladder: which rung is tried next, what is kept; how a rung is trained is the caller's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from zoo.recipes.recipe import Flight, Recipe

__all__ = ["climb"]

Candidate = TypeVar("Candidate")


def climb(
    flights: Sequence[Flight], start: Candidate, attempt: Callable[[Recipe, Candidate], Candidate | None]
) -> Candidate:
    """Returns the strongest candidate that holds; `start` itself where none does.

    A flight ends before its first rung that does not hold, and its last rung that does is where the next flight begins.
    Where the next flight holds nothing from there, it is tried from the rung before, and so on down; rungs of earlier
    flights are not given up for it. A flight that holds nothing from any of them is left out. A rung that changes
    nothing is passed over, and a flight of such rungs left out at once.

    Args:
        flights: in order.
        start: what the first flight begins with.
        attempt: applies a recipe to a candidate; returns None where the result does not hold, and the candidate itself
            where nothing changes.
    """
    candidates = [start]
    for flight in flights:
        for candidate in reversed(candidates):
            held = _held(flight, candidate, attempt)
            candidates = held or candidates
            if held or held is None:
                break
    return candidates[-1]


def _held(
    flight: Flight, start: Candidate, attempt: Callable[[Recipe, Candidate], Candidate | None]
) -> list[Candidate] | None:
    """Returns the candidates of a flight up to the first that does not hold, mildest first; None: nothing changes."""
    held: list[Candidate] = []
    for rung in flight.rungs:
        given = held[-1] if held and flight.is_warm else start
        candidate = attempt(rung, given)
        if candidate is None:
            return held
        if candidate is not given:
            held.append(candidate)
    return held or None
