"""How often a request that found no server is sent again, and after what pauses."""

from __future__ import annotations

import dataclasses
import random

from serving.errors import UsageError

__all__ = ["Retries"]

GROWTH = 2.0  # of each pause over the one before


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Retries:
    """When a request is sent again: after `UNAVAILABLE` (no server, or a full queue), and after nothing else.

    The pauses double up to a limit, and each is shortened by a random part of up to a half, so that many clients of a
    server that comes back do not arrive together. All attempts together stay within the `timeout_s` of the call.

    Args:
        attempts: how often a request is sent at most; 1 never repeats it.
        first_contact_attempts: the same as long as no server has answered this client: fewer, for a wrong address is
            then likelier than a server that starts again. Raise it for a client that starts before its server.
        first_pause_s: seconds before the second attempt.
        max_pause_s: longest pause.

    Raises:
        UsageError: a number is out of range.

    Example:
        >>> Retries(attempts=3).attempts
        3
    """

    attempts: int = 10
    first_contact_attempts: int = 3
    first_pause_s: float = 0.1
    max_pause_s: float = 1.0

    def __post_init__(self) -> None:
        for name in ("attempts", "first_contact_attempts"):
            if getattr(self, name) < 1:
                raise UsageError(f"`{name}` must be at least 1. Received: {name}={getattr(self, name)}.")
        if not 0 < self.first_pause_s <= self.max_pause_s:
            raise UsageError(
                f"`first_pause_s` must be above 0 and at most `max_pause_s`. "
                f"Received: first_pause_s={self.first_pause_s}, max_pause_s={self.max_pause_s}."
            )

    def pause_s(self, sent: int, *, reached: bool) -> float | None:
        """Seconds to wait after `sent` attempts; None to give up.

        Args:
            sent: attempts made.
            reached: whether a server has answered this client before.
        """
        allowed = self.attempts if reached else min(self.attempts, self.first_contact_attempts)
        if sent >= allowed:
            return None
        longest = min(self.first_pause_s * GROWTH ** (sent - 1), self.max_pause_s)
        return longest * random.uniform(0.5, 1.0)
