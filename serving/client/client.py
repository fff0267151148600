"""A client for TensorFlow Serving's gRPC API, numpy in and out, without TensorFlow."""

from __future__ import annotations

import collections
import concurrent.futures
import functools
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Concatenate, ParamSpec, TypeVar

import grpc

from serving.client.abstract import AbstractClient
from serving.client.answers import ModelMetadata, VersionState
from serving.client.calls import Calls
from serving.client.steps import Many, Pause, Send, Steps

__all__ = ["Client", "ModelMetadata", "VersionState"]

Parameters = ParamSpec("Parameters")
Answer = TypeVar("Answer")


def _blocking(
    call: Callable[Concatenate[Calls, Parameters], Steps[Answer]],
) -> Callable[Concatenate[Client, Parameters], Answer]:
    """The method of `Client` that makes a call and waits for its answer."""

    @functools.wraps(call)
    def method(self: Client, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Answer:
        return self._run(call(self._calls, *args, **kwargs))

    return method


def _iterating(
    calls: Callable[Concatenate[Calls, Parameters], Many[Answer]],
) -> Callable[Concatenate[Client, Parameters], Iterator[Answer]]:
    """The method of `Client` that makes many calls and gives their answers in order."""

    @functools.wraps(calls)
    def method(self: Client, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Iterator[Answer]:
        return self._iterate(calls(self._calls, *args, **kwargs))

    return method


class Client(AbstractClient):
    """A connection to one server. Threads may share it; close it, or use it in a `with` block.

    Arguments, errors and the conversion of inputs are those of `AbstractClient`.

    Example:
        >>> import serving
        >>> client = serving.Client("localhost:8500")  # connects on the first call
        >>> client.close()
        >>> with serving.Client("localhost:8500") as client:  # doctest: +SKIP
        ...     client.predict("digits", image=images)["probabilities"]
    """

    _transport = grpc

    predict = _blocking(Calls.predict)
    predict_many = _iterating(Calls.predict_many)
    classify = _blocking(Calls.classify)
    regress = _blocking(Calls.regress)
    multi_inference = _blocking(Calls.multi_inference)
    metadata = _blocking(Calls.metadata)
    status = _blocking(Calls.status)
    reload = _blocking(Calls.reload)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; calls after this raise `UsageError`."""
        self._channel.close()

    def _run(self, steps: Steps[Answer]) -> Answer:
        return _drive(steps, self._perform)

    def _perform(self, step: Send | Pause) -> Any:
        if isinstance(step, Pause):
            return time.sleep(step.seconds)
        try:
            return self._methods[step.path](step.request, timeout=step.timeout_s, metadata=self._connection.metadata())
        except ValueError as error:  # grpc's answer to a call on a closed channel
            raise self._closed_error() from error

    def _iterate(self, many: Many[Answer]) -> Iterator[Answer]:
        flight = _Flight(self)
        waiting: collections.deque[concurrent.futures.Future[Answer]] = collections.deque()
        pool = concurrent.futures.ThreadPoolExecutor(many.in_flight, thread_name_prefix="serving-client")
        try:
            for steps in many.calls:
                waiting.append(pool.submit(_drive, steps, flight.perform))
                if len(waiting) == many.in_flight:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:  # done, failed, or not wanted any more
            flight.cancel()
            pool.shutdown(cancel_futures=True)


def _drive(steps: Steps[Answer], perform: Callable[[Send | Pause], Any]) -> Answer:
    try:
        step = next(steps)
        while True:
            try:
                answer = perform(step)
            except grpc.RpcError as error:
                step = steps.throw(error)
            else:
                step = steps.send(answer)
    except StopIteration as done:
        return done.value


class _Flight:
    """Calls of several threads that can be cancelled together."""

    def __init__(self, client: Client):
        self._client = client
        self._lock = threading.Lock()
        self._calls: set[Any] = set()
        self._cancelled = threading.Event()

    def perform(self, step: Send | Pause) -> Any:
        if isinstance(step, Pause):
            self._cancelled.wait(step.seconds)
            return None
        with self._lock:
            call = self._start(step)
            self._calls.add(call)
        try:
            return call.result()
        finally:
            with self._lock:
                self._calls.discard(call)

    def _start(self, step: Send) -> Any:
        if self._cancelled.is_set():
            raise concurrent.futures.CancelledError
        client = self._client
        method, metadata = client._methods[step.path], client._connection.metadata()
        try:
            return method.future(step.request, timeout=step.timeout_s, metadata=metadata)
        except ValueError as error:
            raise client._closed_error() from error

    def cancel(self) -> None:
        self._cancelled.set()
        with self._lock:
            calls = list(self._calls)
        for call in calls:
            call.cancel()
