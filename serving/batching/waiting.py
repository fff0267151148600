"""How a request waits for its batch: a thread blocks; a greenlet of the gRPC hub lets the hub go on with others."""

from __future__ import annotations

import abc
import threading
from typing import Protocol

__all__ = ["AbstractWaiter", "Inline", "InlineHost", "ThreadWaiter", "current_host", "host_here", "new_waiter"]


class AbstractWaiter(abc.ABC):
    """Waits once, for one notice; the notice may come first."""

    @abc.abstractmethod
    def wait(self) -> None:
        """Return when `notify` was called."""

    @abc.abstractmethod
    def notify(self) -> None:
        """Let the waiting one go on; from any thread."""


class ThreadWaiter(AbstractWaiter):
    """Blocks its thread."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def wait(self) -> None:
        self._lock.acquire()

    def notify(self) -> None:
        self._lock.release()


class Inline(Protocol):
    """Work that a host does itself when it has gathered all that waits."""

    def work_inline(self) -> None:
        """Do what waits, or hand it on."""


class InlineHost(Protocol):
    """A thread that runs many requests, each until it waits."""

    def waiter(self) -> AbstractWaiter:
        """For the request that runs now."""
        ...

    def when_gathered(self, inline: Inline) -> None:
        """Call `inline.work_inline()` when every request that is there has come to wait."""


_local = threading.local()


def host_here(host: InlineHost) -> None:
    """This thread is run by `host` from now on."""
    _local.host = host


def current_host() -> InlineHost | None:
    """The host of this thread; None in an ordinary one."""
    return getattr(_local, "host", None)


def new_waiter(host: InlineHost | None) -> AbstractWaiter:
    """For the request that runs now, in a thread of `host` or in one of its own."""
    return ThreadWaiter() if host is None else host.waiter()
