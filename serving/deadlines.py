"""Until when the request of this thread (or greenlet) is waited for, told to whoever queues it further down."""

from __future__ import annotations

import contextlib
import contextvars
import time
from collections.abc import Iterator

__all__ = ["current", "within"]

_deadline: contextvars.ContextVar[float | None] = contextvars.ContextVar("deadline", default=None)


@contextlib.contextmanager
def within(seconds: float | None) -> Iterator[None]:
    """The request is waited for `seconds` more; None for ever."""
    token = _deadline.set(None if seconds is None else time.monotonic() + seconds)
    try:
        yield
    finally:
        _deadline.reset(token)


def current() -> float | None:
    """The monotonic time after which nobody waits; None if somebody always does."""
    return _deadline.get()
