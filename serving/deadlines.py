"""Until when the request of this thread (or greenlet) is waited for, told to whoever queues it further down."""

from __future__ import annotations

import contextvars
import time

__all__ = ["current", "within"]

_deadline: contextvars.ContextVar[float | None] = contextvars.ContextVar("deadline", default=None)


class within:  # noqa: N801 - reads as a function; a generator would cost three times as much
    """While this context lasts, the request is waited for `seconds` more; None for ever."""

    __slots__ = ("_deadline", "_token")

    def __init__(self, seconds: float | None):
        self._deadline = None if seconds is None else time.monotonic() + seconds

    def __enter__(self) -> None:
        self._token = _deadline.set(self._deadline)

    def __exit__(self, *exception: object) -> None:
        _deadline.reset(self._token)


def current() -> float | None:
    """The monotonic time after which nobody waits; None if somebody always does."""
    return _deadline.get()
