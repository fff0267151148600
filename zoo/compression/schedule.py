"""When masks change while training goes on: what `Prune` and `PruneChannels` share."""

from __future__ import annotations

from zoo.errors import InvalidValueError

__all__ = ["check_schedule", "check_sparsity", "mask_steps"]


def check_sparsity(sparsity: float, initial_sparsity: float) -> None:
    """Raises what is wrong with the shares that a schedule goes between.

    Raises:
        InvalidValueError: a value out of range.
    """
    if not 0 <= sparsity < 1:
        raise InvalidValueError("sparsity", "at least 0 and below 1", sparsity)
    if not 0 <= initial_sparsity <= sparsity:
        raise InvalidValueError("initial_sparsity", f"between 0 and sparsity={sparsity}", initial_sparsity)


def check_schedule(schedule: str, begin: float, end: float, num_updates: int) -> None:
    """Raises what is wrong with a schedule.

    Raises:
        InvalidValueError: a value out of range.
    """
    if not 0 <= begin < 1:
        raise InvalidValueError("begin", "at least 0 and below 1", begin)
    if not begin <= end <= 1:
        raise InvalidValueError("end", f"between begin={begin} and 1", end)
    if schedule not in ("polynomial", "constant"):
        raise InvalidValueError("schedule", "polynomial or constant", schedule)
    if num_updates < 1:
        raise InvalidValueError("num_updates", "at least 1", num_updates)


def mask_steps(begin: float, end: float, num_updates: int, num_steps: int) -> tuple[int, int, int]:
    """Returns `(begin, end, frequency)` in steps; a mask is due at both ends.

    Args:
        begin: share of the training steps before the first mask.
        end: share of the training steps after which masks stay as they are.
        num_updates: masks computed between both.
        num_steps: training steps.
    """
    first = min(int(begin * num_steps), num_steps - 1)
    last = max(first, min(int(end * num_steps), num_steps - 1))
    frequency = max(1, (last - first) // num_updates)
    return first, first + (last - first) // frequency * frequency, frequency
