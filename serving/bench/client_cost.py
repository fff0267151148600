"""What a first answer costs a fresh Python process: seconds and memory, of this client and of the published stub.

The published stub is that of `tensorflow-serving-api`, used as its documentation shows: `tensorflow.make_tensor_proto`
for the request, `tensorflow.make_ndarray` for the answer.
"""

from __future__ import annotations

import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from serving.bench.load import random_inputs
from serving.client.client import Client
from serving.errors import ServingError, UsageError

__all__ = ["client_cost"]

PROCESS_TIMEOUT_S = 300.0

# Each is started with: address, model, version, signature, file of the inputs. Time runs from the first line.
_COMMON = """
import time
started = time.perf_counter()
import sys
address, name, version, signature, file = sys.argv[1:]
"""
_OURS = """
import numpy, serving
inputs = dict(numpy.load(file))
with serving.Client(address) as client:
    answers = client.predict(name, version=int(version), signature=signature, inputs=inputs, timeout_s=60)
assert answers
"""
_STUB = """
import grpc, numpy, tensorflow
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc
request = predict_pb2.PredictRequest()
request.model_spec.name, request.model_spec.version.value = name, int(version)
request.model_spec.signature_name = signature
for key, array in numpy.load(file).items():
    request.inputs[key].CopyFrom(tensorflow.make_tensor_proto(array))
with grpc.insecure_channel(address) as channel:
    response = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=60)
answers = {key: tensorflow.make_ndarray(proto) for key, proto in response.outputs.items()}
assert answers
"""
# `ru_maxrss` would count the parent's memory, too: it survives `exec`.
_REPORT = """
seconds = time.perf_counter() - started
import json, pathlib, resource
status = pathlib.Path("/proc/self/status")
if status.exists():
    peak = next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) * 1024
else:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(json.dumps({"seconds": seconds, "peak_bytes": peak}))
"""
_CODES = {"client": _COMMON + _OURS + _REPORT, "stub": _COMMON + _STUB + _REPORT}


def client_cost(
    address: str,
    name: str,
    *,
    version: int | None = None,
    signature: str = "serving_default",
    runs: int = 3,
    inputs: Mapping[str, np.ndarray] | None = None,
) -> dict[str, Any]:
    """Let fresh processes import, connect and ask once, in turns, this client and the stub.

    Args:
        address: "host:port" of a running server.
        name: the model.
        version: its version; the newest without.
        signature: the signature to call.
        runs: processes of each kind; medians are reported, after one run of each that is not counted.
        inputs: arrays to send; random ones of one row without.

    Returns:
        `client` and `stub`, each with `seconds` from the first import to the first answer and `peak_bytes` of memory;
        and how many times more the stub takes: `seconds_ratio`, `memory_ratio`.

    Raises:
        ServingError: no server, no such model, or a process failed (the stub's, without tensorflow-serving-api).
        UsageError: the model has no such signature.
    """
    with Client(address) as client:
        found = client.metadata(name, version=version)
    if signature not in found.signatures:
        raise UsageError(f"{name} has no signature {signature!r}. Known: {', '.join(found.signatures)}.")
    arrays = inputs or random_inputs(found.signatures[signature], 1)
    with tempfile.TemporaryDirectory() as directory:
        file = pathlib.Path(directory) / "inputs.npz"
        np.savez(file, **{key: _plain(array) for key, array in arrays.items()})  # pyright: ignore[reportArgumentType]
        arguments = (address, name, str(found.version), signature, str(file))
        measured: dict[str, list[dict[str, float]]] = {kind: [] for kind in _CODES}
        for _ in range(runs + 1):
            for kind in _CODES:
                measured[kind].append(_run(kind, arguments))
    report: dict[str, Any] = {kind: _median(rows[1:]) for kind, rows in measured.items()}
    ours, stub = report["client"], report["stub"]
    return {
        "runs": runs,
        **report,
        "seconds_ratio": round(stub["seconds"] / ours["seconds"], 2),
        "memory_ratio": round(stub["peak_bytes"] / ours["peak_bytes"], 2),
    }


def _plain(array: np.ndarray) -> np.ndarray:
    """Strings at a fixed width: neither process should have to read a pickle."""
    return array.astype(np.bytes_) if array.dtype == object else array


def _run(kind: str, arguments: tuple[str, ...]) -> dict[str, float]:
    command = (sys.executable, "-c", _CODES[kind], *arguments)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROCESS_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise ServingError(f"The process of the {kind} gave no answer in {PROCESS_TIMEOUT_S:g} s.") from error
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise ServingError(f"The process of the {kind} ended with status {done.returncode}: {last[0]}")
    return json.loads(done.stdout.splitlines()[-1])


def _median(rows: list[dict[str, float]]) -> dict[str, float]:
    return {
        "seconds": round(statistics.median(row["seconds"] for row in rows), 3),
        "peak_bytes": int(statistics.median(row["peak_bytes"] for row in rows)),
    }
