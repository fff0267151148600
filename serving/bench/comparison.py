"""This server beside a naive one, on the same model, machine and clients, in one run."""

from __future__ import annotations

import dataclasses
import pathlib
import statistics
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from serving.bench.client_cost import client_cost
from serving.bench.decode_cost import decode_cost
from serving.bench.load import Load, measure, random_inputs
from serving.bench.running import Running, naive_server, our_server
from serving.client.client import Client
from serving.engines.choice import SAVED_MODEL_FILES
from serving.errors import UsageError

__all__ = ["compare"]

NAIVE = "naive"
CELLS = ((1, 1), (1, 8), (32, 8))  # batch size, clients


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Contestant:
    engine: str
    processes: int

    @property
    def name(self) -> str:
        return f"{self.engine}, {self.processes} process{'es' if self.processes > 1 else ''}"


def compare(root: pathlib.Path, name: str, *, seconds: float, rounds: int, with_clients: bool) -> dict[str, Any]:
    """Measure the naive server and this one with each engine that the newest version has files for.

    Servers take turns, each round anew, because machines are shared and noisy; medians over the rounds are compared.

    Args:
        root: the directory of models.
        name: the model.
        seconds: of load, for each cell of each round.
        rounds: turns.
        with_clients: measure what a client costs, too (`client_cost`, `decode_cost`).

    Returns:
        `cells`: for each batch size and number of clients, requests a second, p50 in ms and the ratio to the naive
        server, by server; `client_alone`: p50 of one `serving.Client`; `client` and `decode`.

    Raises:
        UsageError: no version, or one without a SavedModel.
        ServingError: a server did not start, or did not answer.
    """
    version = _newest(root / name)
    contestants = _contestants(version)
    servers: dict[str, Callable[[], AbstractContextManager[Running]]] = {NAIVE: lambda: naive_server(version)}
    for one in contestants:
        options = ("--engine", one.engine, "--processes", str(one.processes), "--poll-seconds", "0")
        servers[one.name] = lambda options=options: our_server(root, options)
    inputs = _inputs(servers[contestants[0].name], name)
    seen: dict[str, list[dict[str, Any]]] = {}
    for turn in range(rounds):
        for server, start in servers.items():
            print(f"serving: round {turn + 1} of {rounds}: {server}", file=sys.stderr)
            with start() as running:
                seen.setdefault(server, []).append(_measure(running, name, inputs, seconds, ours=server != NAIVE))
    report: dict[str, Any] = {
        "model": name,
        "version": version.name,
        "seconds": seconds,
        "rounds": rounds,
        "cells": [_cell(seen, batch, clients) for batch, clients in CELLS],
        "client_alone": {
            server: {"p50_ms": _median([turn["client_p50_ms"] for turn in turns])}
            for server, turns in seen.items()
            if server != NAIVE
        },
    }
    if with_clients:
        with servers[contestants[0].name]() as running:
            report["client"] = client_cost(running.address, name)
        report["decode"] = decode_cost(rows=32, columns=10)
    return report


def _newest(base: pathlib.Path) -> pathlib.Path:
    versions = [path for path in base.iterdir() if path.is_dir() and path.name.isdigit()] if base.is_dir() else []
    if not versions:
        raise UsageError(f"{base} must hold version directories <integer>/. Received: none.")
    newest = max(versions, key=lambda path: int(path.name))
    if not any((newest / graph).is_file() for graph in SAVED_MODEL_FILES):
        raise UsageError(
            f"{newest} must hold a SavedModel, for the naive server can load nothing else. Export LiteRT with "
            f"`--beside plain` to have both."
        )
    return newest


def _contestants(version: pathlib.Path) -> list[_Contestant]:
    engines = ["tensorflow", *(["litert"] if (version / "model.tflite").is_file() else [])]
    return [_Contestant(engine=engine, processes=processes) for engine in engines for processes in (1, 2)]


def _inputs(start: Callable[[], AbstractContextManager[Running]], name: str) -> Mapping[int, Mapping[str, np.ndarray]]:
    """Arrays by batch size."""
    with start() as running, Client(running.address) as client:
        signature = client.metadata(name).signatures["serving_default"]
    return {batch: random_inputs(signature, batch) for batch, _ in CELLS}


def _measure(
    running: Running, name: str, inputs: Mapping[int, Mapping[str, np.ndarray]], seconds: float, *, ours: bool
) -> dict[str, Any]:
    load = Load(
        address=running.address,
        name=name,
        version=None,
        signature="serving_default",
        inputs=inputs[1],
        seconds=seconds,
        raw=True,
    )
    turn: dict[str, Any] = {
        "cells": {
            (batch, clients): measure(dataclasses.replace(load, inputs=inputs[batch]), clients=clients)
            for batch, clients in CELLS
        }
    }
    if ours:
        turn["client_p50_ms"] = measure(dataclasses.replace(load, raw=False), clients=1).p50_ms
    return turn


def _cell(seen: Mapping[str, list[dict[str, Any]]], batch: int, clients: int) -> dict[str, Any]:
    rates = {
        server: _median([turn["cells"][batch, clients].requests_per_s for turn in turns])
        for server, turns in seen.items()
    }
    return {
        "batch_size": batch,
        "clients": clients,
        "servers": {
            server: {
                "requests_per_s": rates[server],
                "p50_ms": _median([turn["cells"][batch, clients].p50_ms for turn in turns]),
                "by_naive": round(rates[server] / rates[NAIVE], 2),
                "errors": sum(sum(turn["cells"][batch, clients].errors.values()) for turn in turns),
            }
            for server, turns in seen.items()
        },
    }


def _median(values: list[float]) -> float:
    return round(statistics.median(values), 3)
