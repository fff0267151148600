"""The client for asyncio: the methods of `Client`, to be awaited."""

from __future__ import annotations

import asyncio
import collections
import functools
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar

import grpc
import grpc.aio

from serving.client.abstract import AbstractClient
from serving.client.calls import Calls
from serving.client.steps import Many, Pause, Send, Steps

__all__ = ["AsyncClient"]

Parameters = ParamSpec("Parameters")
Answer = TypeVar("Answer")


def _awaited(
    call: Callable[Concatenate[Calls, Parameters], Steps[Answer]],
) -> Callable[Concatenate[AsyncClient, Parameters], Coroutine[Any, Any, Answer]]:
    """The method of `AsyncClient` that makes a call."""

    @functools.wraps(call)
    async def method(self: AsyncClient, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Answer:
        return await self._run(call(self._calls, *args, **kwargs))

    return method


def _iterating(
    calls: Callable[Concatenate[Calls, Parameters], Many[Answer]],
) -> Callable[Concatenate[AsyncClient, Parameters], AsyncIterator[Answer]]:
    """The method of `AsyncClient` that makes many calls and gives their answers in order."""

    @functools.wraps(calls)
    def method(self: AsyncClient, *args: Parameters.args, **kwargs: Parameters.kwargs) -> AsyncIterator[Answer]:
        return self._iterate(calls(self._calls, *args, **kwargs))

    return method


class AsyncClient(AbstractClient):
    """A connection to one server for the tasks of one event loop, in which it must be opened; use it in `async with`.

    Arguments, errors and the conversion of inputs are those of `AbstractClient`. A task that is cancelled cancels its
    request.

    Example:
        >>> async def ask(images):
        ...     async with serving.AsyncClient("localhost:8500") as client:
        ...         return (await client.predict("digits", image=images))["probabilities"]
    """

    _transport = grpc.aio
    _closed = False

    predict = _awaited(Calls.predict)
    predict_many = _iterating(Calls.predict_many)
    classify = _awaited(Calls.classify)
    regress = _awaited(Calls.regress)
    multi_inference = _awaited(Calls.multi_inference)
    metadata = _awaited(Calls.metadata)
    status = _awaited(Calls.status)
    reload = _awaited(Calls.reload)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection and cancel what is on its way; calls after this raise `UsageError`."""
        self._closed = True
        await self._channel.close()

    async def _run(self, steps: Steps[Answer]) -> Answer:
        try:
            step = next(steps)
            while True:
                try:
                    answer = await self._perform(step)
                except grpc.RpcError as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(answer)
        except StopIteration as done:
            return done.value

    async def _perform(self, step: Send | Pause) -> Any:
        if isinstance(step, Pause):
            return await asyncio.sleep(step.seconds)
        if self._closed:
            raise self._closed_error()
        return await self._methods[step.path](
            step.request, timeout=step.timeout_s, metadata=self._connection.metadata()
        )

    async def _iterate(self, many: Many[Answer]) -> AsyncIterator[Answer]:
        waiting: collections.deque[asyncio.Task[Answer]] = collections.deque()
        try:
            for steps in many.calls:
                waiting.append(asyncio.create_task(self._run(steps)))
                if len(waiting) == many.in_flight:
                    yield await waiting.popleft()
            while waiting:
                yield await waiting.popleft()
        finally:  # done, failed, or not wanted any more
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
