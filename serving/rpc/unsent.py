"""How many bytes of answers may wait for clients that do not read them.

gRPC keeps an answer until its client has taken it. A client that asks and never reads sends some 200 bytes to keep
8 MB of answer: 300 such requests held 6 GB. So large answers are counted until they are sent, and beyond a limit others
are refused; those that wait longest are then given up, if they waited long.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import grpc

from serving.security.limits import BUSY_RETRY_S, LimitError

__all__ = ["UnsentAnswers"]

logger = logging.getLogger("serving")

MAX_UNSENT_BYTES = 256 << 20
PATIENCE_S = 10.0
SMALL_BYTES = 16 << 10  # is not counted: the call itself takes as much


class UnsentAnswers:
    """Counts the bytes of answers that are not sent. Safe from many threads.

    Args:
        max_bytes: answers that may wait; a single larger one is let through.
        patience_s: seconds after which an answer is given up when another needs the place.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        *,
        max_bytes: int = MAX_UNSENT_BYTES,
        patience_s: float = PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._max_bytes = max_bytes
        self._patience_s = patience_s
        self._clock = clock
        self._lock = threading.Lock()
        self._held: dict[object, tuple[int, float, Any]] = {}  # oldest first
        self._bytes = 0

    @property
    def held_bytes(self) -> int:
        """Bytes that wait now."""
        return self._bytes

    def hold(self, size: int, context: Any) -> None:
        """Count an answer of `size` bytes until the call of `context` (a `grpc.ServicerContext`) is over.

        Raises:
            LimitError: UNAVAILABLE, too many bytes wait already; nothing was counted.
        """
        if size < SMALL_BYTES:
            return
        key, now = object(), self._clock()
        with self._lock:
            full = bool(self._held) and self._bytes + size > self._max_bytes
            if not full:
                self._held[key] = (size, now, context)
                self._bytes += size
        if full:
            self._give_up(now)
            raise _too_many(self._bytes)
        if not context.add_callback(lambda: self._release(key)):  # the call is over already: its client has gone
            self._release(key)

    def _release(self, key: object) -> None:
        with self._lock:
            size, _, _ = self._held.pop(key, (0, 0.0, None))
            self._bytes -= size

    def _give_up(self, now: float) -> None:
        """End the calls that have waited too long; each then releases its bytes."""
        with self._lock:
            stale = [context for _, since, context in self._held.values() if now - since > self._patience_s]
        for context in stale:
            context.cancel()
        if stale:
            logger.warning("event=unread_answers_given_up count=%d seconds=%d", len(stale), self._patience_s)


def _too_many(held: int) -> LimitError:
    return LimitError(
        grpc.StatusCode.UNAVAILABLE,
        f"Answers of {held} bytes wait for clients that do not read them, as many as this server keeps. Try again, "
        f"waiting longer each time.",
        BUSY_RETRY_S,
    )
