"""One version: its state as `GetModelStatus` shows it, and its predictor from first to last request."""

from __future__ import annotations

import dataclasses
import enum
import threading
from typing import Self

import grpc

from serving.engines.abstract import AbstractPredictor
from serving.repository.disk import Fingerprint

__all__ = ["LoadedVersion", "State", "VersionStatus"]


class State(enum.IntEnum):
    """`ModelVersionStatus.State` of TensorFlow Serving."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclasses.dataclass(frozen=True, slots=True)
class VersionStatus:
    """What is known of one version; `code` and `message` tell why a version that ended did."""

    version: int
    state: State
    code: grpc.StatusCode = grpc.StatusCode.OK
    message: str = ""


class LoadedVersion:
    """A predictor that is closed after it was retired and its last request left."""

    def __init__(self, number: int, predictor: AbstractPredictor, fingerprint: Fingerprint):
        self.number = number
        self.predictor = predictor
        self.fingerprint = fingerprint
        self._lock = threading.Lock()
        self._running = 0
        self._retired = False
        self._freed = threading.Event()

    def enter(self) -> bool:
        """Count one request in; false when the version is retired."""
        with self._lock:
            if self._retired:
                return False
            self._running += 1
            return True

    def __enter__(self) -> Self:
        """The context of a request that `enter` let in."""
        return self

    def __exit__(self, *exception: object) -> None:
        self.leave()

    def leave(self) -> None:
        """Count one request out."""
        with self._lock:
            self._running -= 1
            last = self._retired and self._running == 0
        if last:
            self._free()

    def retire(self) -> None:
        """Let nobody else in; freed here or by the last request."""
        with self._lock:
            idle = not self._retired and self._running == 0
            self._retired = True
        if idle:
            self._free()

    @property
    def in_use(self) -> bool:
        """Whether a request runs in it."""
        return self._running > 0

    def wait_freed(self, timeout_s: float = 0.0) -> bool:
        """Whether it is retired, empty and closed within `timeout_s` seconds."""
        return self._freed.wait(timeout_s)

    def _free(self) -> None:
        try:
            self.predictor.close()
        finally:
            self._freed.set()
