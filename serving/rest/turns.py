"""Threads for calls, shared so that requests for one slow model leave some to those for others."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable, Collection
from typing import TypeVar

from serving.errors import DeadlineError

__all__ = ["Turns"]

MAX_THREADS = 128  # calls at a time: nearly all of them wait for their model
MAX_PER_MODEL = 48

T = TypeVar("T")


class Turns:
    """Runs functions that block, from one event loop.

    Args:
        known_names: the models that have threads of their own to ask for; a caller can make up any other name.
    """

    def __init__(self, known_names: Callable[[], Collection[str]]):
        self._known_names = known_names
        self._threads = concurrent.futures.ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="rest")
        self._free: dict[str, asyncio.Semaphore] = {}

    async def run(self, model: str, timeout_s: float, function: Callable[..., T], *arguments: object) -> T:
        """`function(*arguments)` in a thread, when the model has one.

        Args:
            model: the model that it asks; "" for none.
            timeout_s: seconds to wait for the thread.
            function: any.
            *arguments: its arguments.

        Raises:
            DeadlineError: no thread came free in time.
            Exception: what the function raises.
        """
        name = model if model in self._known_names() else ""
        free = self._free.setdefault(name, asyncio.Semaphore(MAX_PER_MODEL))
        try:
            async with asyncio.timeout(timeout_s):
                await free.acquire()
        except TimeoutError:
            raise DeadlineError(
                f"{MAX_PER_MODEL} requests for {name or 'the server'} were being worked on for {timeout_s:g} s, and "
                f"this one was not begun. Try again later."
            ) from None
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)
        finally:
            free.release()

    def close(self) -> None:
        """Begin nothing more; what runs goes on."""
        self._threads.shutdown(wait=False, cancel_futures=True)
