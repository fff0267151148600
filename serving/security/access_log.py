"""One JSON line for each request: who asked what and how it ended. Never a token, an input or an output."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from serving.errors import UsageError

if TYPE_CHECKING:
    import grpc

    from serving.security.gate import Call

__all__ = ["STDERR", "AccessLog"]

logger = logging.getLogger("serving")

STDERR = "-"
MAX_NAME_CHARACTERS = 200
CHECK_EVERY_S = 1.0
_STDERR_FD = 2
_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


class AccessLog:
    """Appends lines to a file, which may be rotated away, or to standard error. A line is one write.

    A line that cannot be written (a full disk) is dropped and counted: the request it tells of does not fail. The
    server's log says so once, and once more with the number dropped when lines can be written again.

    Args:
        path: the file; "-" is standard error.
        clock: seconds that never go back.
        wall_clock: seconds since 1970.
        write: as `os.write`.

    Raises:
        UsageError: the file cannot be opened.
    """

    def __init__(
        self,
        path: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        write: Callable[[int, bytes], int] = os.write,
    ):
        self._path = path
        self._clock = clock
        self._wall_clock = wall_clock
        self._os_write = write
        self._lock = threading.Lock()
        self._torn = False
        self._unreported = 0
        self._failing = False
        self.dropped = 0
        self._checked_at = clock()
        try:
            self._fd, self._identity = self._open()
        except OSError as error:
            raise UsageError(
                f"The access log {path} cannot be opened: {error.strerror}. Give a file in a directory that the server "
                f"may write to, or '-' for standard error."
            ) from error

    def write(
        self,
        call: Call,
        *,
        caller: str,
        code: grpc.StatusCode,
        seconds: float,
        version: int | None = None,
        response_bytes: int = 0,
    ) -> None:
        """Append the line of one request.

        Args:
            call: the request.
            caller: who asked; "" where that is not known.
            code: how it ended.
            seconds: how long it took.
            version: the version that answered.
            response_bytes: size of the answer's body.
        """
        entry: dict[str, Any] = {
            "time": _timestamp(self._wall_clock()),
            "transport": call.transport,
            "method": call.method,
            "model": call.model[:MAX_NAME_CHARACTERS],
            "caller": caller[:MAX_NAME_CHARACTERS],
            "peer": call.peer,
            "code": code.name,
            "ms": round(seconds * 1000, 3),
            "request_bytes": call.request_bytes,
            "response_bytes": response_bytes,
        }
        if version is not None:
            entry["version"] = version
        self._append(_encode(entry).encode() + b"\n")

    def reopen(self) -> None:
        """Open the file again by its name, after a rotation. Where that fails, the open one is kept."""
        if self._path == STDERR:
            return
        with self._lock:
            self._reopen()

    def close(self) -> None:
        """Close the file; lines written later are dropped."""
        with self._lock:
            if self._path != STDERR and self._fd >= 0:
                os.close(self._fd)
            self._fd = -1

    def _append(self, line: bytes) -> None:
        with self._lock:  # so that no other thread closes the file, or finishes a torn line, in between
            self._follow_rotation()
            try:
                written = self._os_write(self._fd, b"\n" + line if self._torn else line)
            except OSError as error:
                self._drop(error.strerror or str(error))
                return
            self._torn = written < len(line)  # a disk that fills up takes the beginning of a line
            if self._torn:
                self._drop("no space for the whole line")
            elif self._failing:
                logger.warning("event=access_log_resumed path=%s dropped=%d", self._path, self._unreported)
                self._failing, self._unreported = False, 0

    def _drop(self, reason: str) -> None:
        self.dropped += 1
        self._unreported += 1
        if not self._failing:
            self._failing = True
            logger.error("event=access_log_failed path=%s reason=%s", self._path, reason)

    def _open(self) -> tuple[int, tuple[int, int]]:
        if self._path == STDERR:
            return _STDERR_FD, (0, 0)
        fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        status = os.fstat(fd)
        return fd, (status.st_dev, status.st_ino)

    def _follow_rotation(self) -> None:
        if self._path == STDERR or (now := self._clock()) - self._checked_at < CHECK_EVERY_S:
            return
        self._checked_at = now
        with contextlib.suppress(OSError):
            status = os.stat(self._path)
            if (status.st_dev, status.st_ino) == self._identity:
                return
        self._reopen()

    def _reopen(self) -> None:
        try:
            fd, identity = self._open()
        except OSError as error:
            if not self._failing:
                logger.error("event=access_log_failed path=%s reason=%s", self._path, error.strerror)
            return
        old, self._fd, self._identity, self._torn = self._fd, fd, identity, False
        if old >= 0:
            os.close(old)


def _timestamp(seconds: float) -> str:
    milliseconds = int(seconds * 1000)
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(milliseconds // 1000))
    return f"{whole}.{milliseconds % 1000:03d}Z"
