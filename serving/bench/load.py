"""Closed-loop load on a server: each client a process of its own that sends its next request on the last answer."""

from __future__ import annotations

import array
import collections
import contextlib
import dataclasses
import multiprocessing
import queue
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import grpc
import numpy as np

from serving.client.client import Client
from serving.client.requests import predict_request
from serving.client.retries import Retries
from serving.errors import RequestError, ServingError, UsageError
from serving.protocol.signature import Signature, TensorSpec

__all__ = ["Load", "Result", "measure", "measure_timed", "random_inputs"]

OPEN_SIZE = 16  # of an open dimension after the batch: the length of a sequence, the same for all inputs
WARM_UP_REQUESTS = 20
START_TIMEOUT_S = 120.0
REQUEST_TIMEOUT_S = 30.0
_Answer = tuple[np.ndarray, dict[str, int], float]  # start and seconds of each, errors, seconds in all
_PREDICT = "/tensorflow.serving.PredictionService/Predict"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Load:
    """What each client sends, and for how long.

    Args:
        address: "host:port".
        name: the model.
        version: its version.
        signature: the signature to call.
        inputs: arrays by name, sent again and again.
        seconds: how long each client sends.
        raw: send the same bytes again and again and do not look into the answers, so that the servers are compared and
            not the clients; the server needs no more than Predict.
    """

    address: str
    name: str
    version: int | None
    signature: str
    inputs: Mapping[str, np.ndarray]
    seconds: float
    raw: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """What one number of clients reached; latencies are of answered requests, the client's own work included."""

    clients: int
    requests: int
    requests_per_s: float
    examples_per_s: float
    p50_ms: float | None
    p90_ms: float | None
    p99_ms: float | None
    errors: dict[str, int]


def random_inputs(signature: Signature, batch_size: int, *, seed: int = 0) -> dict[str, np.ndarray]:
    """Arrays that fit a signature: whole uint8 range, floats in [0, 1), other integers 0 or 1, masks all true."""
    generator = np.random.default_rng(seed)
    return {name: _random_array(spec, batch_size, generator) for name, spec in signature.inputs.items()}


def _random_array(spec: TensorSpec, batch_size: int, generator: np.random.Generator) -> np.ndarray:
    if spec.shape is None:
        raise UsageError(f"Input `{spec.name}` has no known rank; give an example: --input {spec.name}=FILE.npy")
    shape = tuple(
        size if size is not None else batch_size if axis == 0 else OPEN_SIZE for axis, size in enumerate(spec.shape)
    )
    dtype = spec.dtype.numpy
    if spec.dtype.is_string:
        return np.full(shape, b"text", object)
    if dtype == np.bool_:
        return np.ones(shape, np.bool_)
    if dtype.kind in "iu":
        return generator.integers(0, 256 if dtype == np.uint8 else 2, shape).astype(dtype)
    return generator.random(shape).astype(dtype)


def measure(load: Load, *, clients: int) -> Result:
    """Run `clients` processes for `load.seconds` and put their figures together.

    Raises:
        ServingError: a client could not start, or ended before it reported.
    """
    return _result(load, _run(load, clients, None))


def measure_timed(
    load: Load, *, clients: int, while_running: Callable[[], object]
) -> tuple[np.ndarray, dict[str, int]]:
    """Run `clients` processes for as long as `while_running` takes; errors as for `measure`.

    Returns:
        The time of each answered request's start on `time.perf_counter` and its seconds, float64 `[N, 2]`, and the
        errors by code.
    """
    answers = _run(load, clients, while_running)
    errors = collections.Counter()
    for _, counted, _ in answers:
        errors.update(counted)
    return np.concatenate([times for times, _, _ in answers]), dict(errors)


def _run(load: Load, clients: int, while_running: Callable[[], object] | None) -> list[_Answer]:
    context = multiprocessing.get_context("spawn")  # gRPC does not survive a fork
    reports, start, stop = context.Queue(), context.Event(), context.Event()
    processes = [
        context.Process(target=_client, args=(load, reports, start, stop), daemon=True) for _ in range(clients)
    ]
    try:
        for process in processes:
            process.start()
        _gather(reports, processes, START_TIMEOUT_S)
        start.set()
        if while_running is not None:
            while_running()
            stop.set()
        seconds = load.seconds if while_running is None else 0.0
        return _gather(reports, processes, seconds + REQUEST_TIMEOUT_S + 10.0)
    finally:
        stop.set()
        for process in processes:
            if process.pid is not None:
                process.join(timeout=5)
                process.kill()


def _gather(reports: Any, processes: list[Any], timeout_s: float) -> list[Any]:
    """One report of each process, or the first failure."""
    deadline = time.monotonic() + timeout_s
    gathered = []
    while len(gathered) < len(processes):
        try:
            report = reports.get(timeout=0.5)
        except queue.Empty:
            if any(process.exitcode for process in processes) or time.monotonic() > deadline:
                raise ServingError(
                    f"A client process of the benchmark ended or hung: {len(gathered)} of {len(processes)} reported."
                ) from None
            continue
        if isinstance(report, str):
            raise ServingError(f"A client of the benchmark failed: {report}")
        gathered.append(report)
    return gathered


def _client(load: Load, reports: Any, start: Any, stop: Any) -> None:
    """The body of a client process: warm up, report, wait, send, report."""
    try:
        with _asking(load) as ask:
            for _ in range(WARM_UP_REQUESTS):
                ask()
            reports.put(())
            start.wait(START_TIMEOUT_S)
            reports.put(_send(ask, load.seconds, stop))
    except Exception as error:
        reports.put(str(error))


def _send(ask: Callable[[], object], seconds: float, stop: Any) -> _Answer:
    times, errors = array.array("d"), collections.Counter()
    started = now = time.perf_counter()
    while now - started < seconds and not stop.is_set():
        try:
            ask()
        except (RequestError, grpc.RpcError) as error:
            errors[_code(error).name] += 1
            now = time.perf_counter()
            continue
        after = time.perf_counter()
        times.extend((now, after - now))
        now = after
    return np.array(times).reshape(-1, 2), dict(errors), now - started


def _code(error: Any) -> grpc.StatusCode:
    return error.code if isinstance(error, RequestError) else error.code()


@contextlib.contextmanager
def _asking(load: Load) -> Iterator[Callable[[], object]]:
    """A function that sends one request and waits for its answer."""
    if load.raw:
        body = predict_request((load.name, load.version, None), load.signature, (), {}, load.inputs)
        with grpc.insecure_channel(load.address) as channel:
            method = channel.unary_unary(_PREDICT)
            yield lambda: method(body, timeout=REQUEST_TIMEOUT_S)
        return
    with Client(load.address, retries=Retries(attempts=1)) as client:
        yield lambda: client.predict(
            load.name,
            version=load.version,
            signature=load.signature,
            timeout_s=REQUEST_TIMEOUT_S,
            inputs=load.inputs,
        )


def _result(load: Load, answers: list[_Answer]) -> Result:
    latencies_ms = np.concatenate([times[:, 1] for times, _, _ in answers]) * 1e3
    errors = collections.Counter()
    for _, counted, _ in answers:
        errors.update(counted)
    rate = sum(len(times) / seconds for times, _, seconds in answers)
    batch = next((one.shape[0] for one in load.inputs.values() if one.ndim), 1)
    percentiles = (
        [round(float(value), 3) for value in np.percentile(latencies_ms, (50, 90, 99))] if rate else [None] * 3
    )
    return Result(
        clients=len(answers),
        requests=len(latencies_ms),
        requests_per_s=round(rate, 1),
        examples_per_s=round(rate * batch, 1),
        p50_ms=percentiles[0],
        p90_ms=percentiles[1],
        p99_ms=percentiles[2],
        errors=dict(errors),
    )
