"""A benchmark from its arguments to its report."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from typing import Any

from serving.bench.load import Load, measure, random_inputs
from serving.client import input_files
from serving.client.client import Client
from serving.client.connection import is_loopback
from serving.errors import ServingError, UsageError

__all__ = ["run_bench"]


def run_bench(  # noqa: PLR0913 - the options of the command
    address: str,
    name: str,
    *,
    version: int | None,
    signature: str,
    clients: Sequence[int],
    batch_size: int,
    seconds: float,
    inputs: Sequence[str],
    allow_remote: bool,
) -> dict[str, Any]:
    """Measure each number of `clients` in turn; the document that `serving bench --json` prints.

    Raises:
        UsageError: wrong inputs, an unknown signature, or a server elsewhere without `allow_remote`.
        ServingError: no server, no such model, or no request was answered.
    """
    if not (allow_remote or is_loopback(address)):
        raise UsageError(
            f"The benchmark puts full load on a server, so HOST must be this machine. Received: {address}. "
            f"Give `--allow-remote` if that server is yours."
        )
    arrays = input_files.read_inputs(inputs)
    with Client(address) as client:
        found = client.metadata(name, version=version)
    if signature not in found.signatures:
        raise UsageError(f"{name} has no signature {signature!r}. Known: {', '.join(found.signatures)}.")
    arrays = arrays or random_inputs(found.signatures[signature], batch_size)
    load = Load(address=address, name=name, version=found.version, signature=signature, inputs=arrays, seconds=seconds)
    results = []
    for count in clients:
        print(f"serving: {count} client(s) for {seconds:g} s", file=sys.stderr)
        results.append(measure(load, clients=count))
    if not any(result.requests for result in results):
        raise ServingError(f"No request was answered. Errors: {results[0].errors}.")
    return {
        "address": address,
        "model": name,
        "version": found.version,
        "batch_size": next((array.shape[0] for array in arrays.values() if array.ndim), 1),
        "seconds": seconds,
        "results": [dataclasses.asdict(result) for result in results],
    }
