"""Closed-loop load on a server: each client a process of its own that sends its next request on the last answer."""

from __future__ import annotations

import collections
import dataclasses
import multiprocessing
import queue
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from serving.client.client import Client
from serving.errors import RequestError, ServingError, UsageError
from serving.protocol.signature import Signature, TensorSpec

__all__ = ["Load", "Result", "measure", "random_inputs"]

OPEN_SIZE = 16  # of an open dimension after the batch: the length of a sequence, the same for all inputs
WARM_UP_REQUESTS = 20
START_TIMEOUT_S = 120.0
REQUEST_TIMEOUT_S = 30.0


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
    """

    address: str
    name: str
    version: int | None
    signature: str
    inputs: Mapping[str, np.ndarray]
    seconds: float


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
    context = multiprocessing.get_context("spawn")  # gRPC does not survive a fork
    reports, start = context.Queue(), context.Event()
    processes = [context.Process(target=_client, args=(load, reports, start), daemon=True) for _ in range(clients)]
    try:
        for process in processes:
            process.start()
        _gather(reports, processes, START_TIMEOUT_S)
        start.set()
        answers = _gather(reports, processes, load.seconds + REQUEST_TIMEOUT_S + 10.0)
    finally:
        for process in processes:
            if process.pid is not None:
                process.join(timeout=5)
                process.kill()
    return _result(load, answers)


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


def _client(load: Load, reports: Any, start: Any) -> None:
    """The body of a client process: warm up, report, wait, send, report."""
    try:
        with Client(load.address) as client:
            for _ in range(WARM_UP_REQUESTS):
                _ask(client, load)
            reports.put(())
            start.wait(START_TIMEOUT_S)
            reports.put(_send(client, load))
    except Exception as error:
        reports.put(str(error))


def _send(client: Client, load: Load) -> tuple[np.ndarray, dict[str, int], float]:
    latencies, errors = [], collections.Counter()
    started = now = time.perf_counter()
    while now - started < load.seconds:
        try:
            _ask(client, load)
        except RequestError as error:
            errors[error.code.name] += 1
            now = time.perf_counter()
            continue
        after = time.perf_counter()
        latencies.append(after - now)
        now = after
    return np.array(latencies), dict(errors), now - started


def _ask(client: Client, load: Load) -> None:
    client.predict(
        load.name,
        version=load.version,
        signature=load.signature,
        timeout_s=REQUEST_TIMEOUT_S,
        inputs=load.inputs,
    )


def _result(load: Load, answers: list[tuple[np.ndarray, dict[str, int], float]]) -> Result:
    latencies_ms = np.concatenate([latencies for latencies, _, _ in answers]) * 1e3
    errors = collections.Counter()
    for _, counted, _ in answers:
        errors.update(counted)
    rate = sum(len(latencies) / seconds for latencies, _, seconds in answers)
    batch = next((array.shape[0] for array in load.inputs.values() if array.ndim), 1)
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
