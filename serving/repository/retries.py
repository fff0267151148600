"""Which failed loads are tried again, and when."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Collection

import grpc

from serving.errors import ModelLoadError
from serving.repository.disk import Fingerprint

__all__ = ["LoadRetries"]

FIRST_PAUSE_S = 5.0
MAX_PAUSE_S = 300.0
_PASSING_CODES = (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE)


@dataclasses.dataclass(frozen=True, slots=True)
class _Failed:
    fingerprint: Fingerprint
    pause_s: float
    retry_at: float


class LoadRetries:
    """Remembers failed loads.

    A version whose files are wrong (`ModelLoadError`) is tried again when they change. Anything else (no memory, too
    many open files, a disk error) may pass: the same files are tried again after a pause that doubles each time.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._failed: dict[tuple[str, int], _Failed] = {}

    def may_load(self, name: str, version: int, fingerprint: Fingerprint) -> bool:
        """Whether to try these files now."""
        failed = self._failed.get((name, version))
        return failed is None or failed.fingerprint != fingerprint or self._clock() >= failed.retry_at

    def failed(self, name: str, version: int, fingerprint: Fingerprint, error: Exception) -> None:
        """These files could not be loaded."""
        passing = not isinstance(error, ModelLoadError) or error.code in _PASSING_CODES
        before = self._failed.get((name, version))
        pause_s = FIRST_PAUSE_S if passing else math.inf
        if passing and before is not None and before.fingerprint == fingerprint:
            pause_s = min(2 * before.pause_s, MAX_PAUSE_S)
        self._failed[name, version] = _Failed(fingerprint, pause_s, self._clock() + pause_s)

    def loaded(self, name: str, version: int) -> None:
        """The version loads now."""
        self._failed.pop((name, version), None)

    def keep_only(self, name: str, versions: Collection[int]) -> None:
        """Forget the versions that are no longer on disk."""
        for key in [key for key in self._failed if key[0] == name and key[1] not in versions]:
            del self._failed[key]
