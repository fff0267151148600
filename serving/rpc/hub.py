"""One thread for all gRPC requests, each a greenlet that runs until it waits for its model.

grpcio's own way is a thread for each request. Many threads that run Python at once contend for the interpreter's lock
(measured with 8 clients: 8 threads took 537 to 700 us of CPU where 2 threads took 330), and two threads alone let two
slow requests hold up all others. Here every request that is there is parsed in one go, those for the same model are
answered by one call, and while a slow model works, in a thread of its own, the others go on.
"""

from __future__ import annotations

import concurrent.futures
import logging
import queue
import threading
from collections.abc import Callable
from typing import Any

from greenlet import getcurrent, greenlet

from serving.batching.waiting import AbstractWaiter, Inline, host_here

__all__ = ["Hub"]

logger = logging.getLogger("serving")

MAX_GATHERED = 64  # requests begun before those that wait are worked on


class Hub(concurrent.futures.Executor):
    """The executor that a gRPC server is given."""

    def __init__(self) -> None:
        self._inbox: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._gathered: list[Inline] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="hub", daemon=True)
        self._thread.start()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> concurrent.futures.Future:
        """Run `fn(*args, **kwargs)` in a greenlet of the hub's thread."""
        if self._ended.is_set():
            raise RuntimeError("cannot schedule new futures after shutdown")
        future: concurrent.futures.Future = concurrent.futures.Future()

        def run() -> None:
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as error:
                future.set_exception(error)

        self._inbox.put(lambda: greenlet(run).switch())
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take nothing more and end the thread when what is there is done."""
        self._ended.set()
        self._inbox.put(None)
        if wait and threading.current_thread() is not self._thread:
            self._thread.join()

    def waiter(self) -> AbstractWaiter:
        """For the greenlet that runs now."""
        return _GreenletWaiter(self._inbox)

    def when_gathered(self, inline: Inline) -> None:
        """Call `inline.work_inline()` when every request that is there has come to wait."""
        if inline not in self._gathered:
            self._gathered.append(inline)

    def _loop(self) -> None:
        host_here(self)
        while (step := self._inbox.get()) is not None:
            self._run(step)
            try:
                for _ in range(MAX_GATHERED):
                    step = self._inbox.get_nowait()
                    if step is None:
                        self._inbox.put(None)  # the end, after what is gathered
                        break
                    self._run(step)
            except queue.Empty:
                pass
            while self._gathered:
                self._run(self._gathered.pop().work_inline)

    def _run(self, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception:  # a request's own errors are its future's; whatever else it is, the others go on
            logger.exception("event=hub_step_failed")


class _GreenletWaiter(AbstractWaiter):
    """Parks its greenlet; the hub goes on."""

    __slots__ = ("_greenlet", "_hub", "_inbox", "_thread")

    def __init__(self, inbox: queue.SimpleQueue):
        self._inbox = inbox
        self._greenlet = getcurrent()
        self._hub = self._greenlet.parent
        self._thread = threading.get_ident()

    def wait(self) -> None:
        assert self._hub is not None  # `Hub.waiter` is asked for by requests only
        self._hub.switch()

    def notify(self) -> None:
        if threading.get_ident() == self._thread and getcurrent() is self._hub:
            self._greenlet.switch()  # called by the hub itself: go on at once
        else:
            self._inbox.put(self._greenlet.switch)
