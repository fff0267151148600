"""What only shows in time: version swaps under load, and memory."""

from __future__ import annotations

import contextlib
import pathlib
import shutil
import sys
import tempfile
import time
from typing import Any

import numpy as np

from serving.bench.load import Load, measure_timed, random_inputs
from serving.bench.running import Running, our_server
from serving.client.client import Client
from serving.errors import RequestError, ServingError, UsageError

__all__ = ["measure_memory", "measure_swaps"]

POLL_S = 0.05
SWAP_TIMEOUT_S = 60.0
SAMPLE_S = 5.0
SETTLED_S = 60.0
LOOKS = 12  # more in a row for each further process: connections reach one of the kernel's choice


def measure_swaps(root: pathlib.Path, name: str, *, swaps: int, clients: int, processes: int) -> dict[str, Any]:
    """Replace the newest version by a copy of itself again and again, under load.

    Args:
        root: the directory of models; not touched, the copies lie elsewhere.
        name: the model.
        swaps: how often.
        clients: of a closed loop, each a process.
        processes: of the server.

    Returns:
        `swaps`, `requests`, `errors` by code, `p50_ms` and `p99_ms` of all requests and `p99_in_swap_ms` of those that
        ran between the new version's appearance and the old one's end.

    Raises:
        ServingError: a new version was not served in time.
    """
    with _copied(root, name) as (copy, version):
        options = ("--poll-seconds", str(POLL_S), "--processes", str(processes), "--versions", "latest")
        with our_server(copy, options) as running, Client(running.address) as client:
            load = _load(client, running, name)
            windows: list[tuple[float, float]] = []
            progress = _Progress(swaps, "swaps")

            def swap_all() -> None:
                for number in range(version + 1, version + 1 + swaps):
                    windows.append(_swap(running.address, copy / name, name, number, processes))
                    progress.show(len(windows))

            times, errors = measure_timed(load, clients=clients, while_running=swap_all)
    started, seconds = times[:, 0], times[:, 1]
    in_swap = np.zeros(len(times), np.bool_)
    for begun, ended in windows:
        in_swap |= (started < ended) & (started + seconds > begun)
    return {
        "swaps": len(windows),
        "clients": clients,
        "processes": processes,
        "requests": len(times),
        "errors": errors,
        "p50_ms": _percentile_ms(seconds, 50),
        "p99_ms": _percentile_ms(seconds, 99),
        "requests_in_swap": int(in_swap.sum()),
        "p99_in_swap_ms": _percentile_ms(seconds[in_swap], 99),
        "swap_s": round(float(np.mean([ended - begun for begun, ended in windows])), 3),
    }


def measure_memory(root: pathlib.Path, name: str, *, minutes: float, clients: int, processes: int) -> dict[str, Any]:
    """Memory of a server under load; arguments as for `measure_swaps`.

    Returns:
        `first_bytes` (after the first minute), `last_bytes`, `max_bytes`, `growth` of the last above the first as a
        share, `requests` and `errors`.
    """
    samples: list[tuple[float, int]] = []
    with our_server(root, ("--processes", str(processes))) as running, Client(running.address) as client:
        load = _load(client, running, name)
        progress = _Progress(minutes * 60, "s")

        def watch() -> None:
            started = time.monotonic()
            while (elapsed := time.monotonic() - started) < minutes * 60:
                samples.append((elapsed, running.memory_bytes()))
                progress.show(elapsed)
                time.sleep(SAMPLE_S)

        times, errors = measure_timed(load, clients=clients, while_running=watch)
    settled = [size for elapsed, size in samples if elapsed >= min(SETTLED_S, minutes * 30)]
    first, last = (float(np.median(part)) for part in (settled[:6], settled[-6:]))
    return {
        "minutes": minutes,
        "clients": clients,
        "processes": processes,
        "requests": len(times),
        "errors": errors,
        "first_bytes": int(first),
        "last_bytes": int(last),
        "max_bytes": max(settled),
        "growth": round(last / first - 1, 4),
    }


@contextlib.contextmanager
def _copied(root: pathlib.Path, name: str) -> Any:
    """A root of one version, in files of its own, and its number."""
    versions = [int(path.name) for path in (root / name).iterdir() if path.name.isdigit()]
    if not versions:
        raise UsageError(f"{root / name} must hold version directories <integer>/. Received: none.")
    with tempfile.TemporaryDirectory() as directory:
        copy = pathlib.Path(directory)
        (copy / name).mkdir()
        shutil.copytree(root / name / str(max(versions)), copy / name / str(max(versions)))
        yield copy, max(versions)


def _swap(address: str, base: pathlib.Path, name: str, number: int, processes: int) -> tuple[float, float]:
    """Publish version `number`, wait until it alone is served, and take the old files away; from when to when."""
    temporary = base / f".{number}.tmp"
    shutil.copytree(base / str(number - 1), temporary)
    begun = time.perf_counter()
    temporary.rename(base / str(number))
    deadline = time.monotonic() + SWAP_TIMEOUT_S
    seen = 0
    while seen < 1 + LOOKS * (processes - 1):
        if time.monotonic() > deadline:
            raise ServingError(f"Version {number} was not served {SWAP_TIMEOUT_S:g} s after it appeared.")
        states = _states(address, name)
        served = states.get(number) == "AVAILABLE" and states.get(number - 1) in (None, "END")
        seen = seen + 1 if served else 0
        if not served:
            time.sleep(0.01)
    ended = time.perf_counter()
    shutil.rmtree(base / str(number - 1))
    return begun, ended


def _states(address: str, name: str) -> dict[int, str]:
    try:
        with Client(address) as client:
            return {status.version: status.state for status in client.status(name)}
    except RequestError:
        return {}


def _load(client: Client, running: Running, name: str) -> Load:
    signature = client.metadata(name).signatures["serving_default"]
    return Load(
        address=running.address,
        name=name,
        version=None,
        signature="serving_default",
        inputs=random_inputs(signature, 1),
        seconds=float("inf"),
        raw=True,
    )


class _Progress:
    """A line on standard error at each tenth of the way, with the time left."""

    def __init__(self, wanted: float, unit: str):
        self._wanted = wanted
        self._unit = unit
        self._started = time.monotonic()
        self._tenths = 0

    def show(self, done: float) -> None:
        tenths = int(10 * done / self._wanted)
        if tenths <= self._tenths:
            return
        self._tenths = tenths
        left_s = (time.monotonic() - self._started) * (self._wanted / done - 1)
        print(f"serving: {done:.0f} of {self._wanted:.0f} {self._unit}, {left_s:.0f} s left", file=sys.stderr)


def _percentile_ms(seconds: np.ndarray, percentile: float) -> float | None:
    return round(float(np.percentile(seconds, percentile)) * 1e3, 3) if len(seconds) else None
