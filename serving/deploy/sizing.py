"""Memory, processors, threads and the server's flags, from what the models hold."""

from __future__ import annotations

import dataclasses

from serving.deploy.options import GRPC_PORT, REST_PORT, DeployOptions
from serving.deploy.root import Root, Version

__all__ = ["CONFIG_DIR", "Memory", "batching_file", "grpc_threads", "memory_of", "monitoring_file", "server_flags"]

CONFIG_DIR = "/etc/serving"
METRICS_PATH = "/monitoring/prometheus/metrics"
_MIB = 1 << 20
_BASE_MIB = 512
_STEP_MIB = 64
_MAX_BATCH_SIZE = 32


@dataclasses.dataclass(frozen=True, kw_only=True)
class Memory:
    """What one server needs, in MiB: `request` while it serves, `limit` at the worst."""

    request_mib: int
    limit_mib: int


def memory_of(versions: list[Version], *, max_body_mb: int) -> Memory:
    """The memory of a server of these versions.

    request = 512 MiB (TensorFlow and its threads) + 2 x the weights of all versions (the file's and the kernels' own
    layout); limit = request + 2 x the largest version, which is loaded beside the old one during a swap, + 4 requests
    of the largest size. Both rounded up to 64 MiB. An estimate: watch the working set, and mend it.
    """
    loaded = [version.loaded_bytes / _MIB for version in versions]
    request = _BASE_MIB + 2 * sum(loaded)
    limit = request + 2 * max(loaded, default=0) + 4 * max_body_mb
    return Memory(request_mib=_rounded(request), limit_mib=_rounded(limit))


def _rounded(mib: float) -> int:
    return -(-int(mib + 0.999) // _STEP_MIB) * _STEP_MIB


def grpc_threads(options: DeployOptions) -> int:
    """Threads for gRPC: a call beyond them is not queued but refused with RESOURCE_EXHAUSTED, so they are many."""
    return max(64, 16 * options.cpus, 2 * options.concurrency)


def server_flags(root: Root, options: DeployOptions) -> list[str]:
    """The flags of `tensorflow_model_server`.

    One thread inside an operation gave 2 times the requests of the default on small models; the threads between
    operations are what all requests share, so they are as many as the processors of the container, which the server,
    left alone, would take for those of the whole machine.
    """
    flags = [
        f"--port={GRPC_PORT}",
        f"--rest_api_port={REST_PORT}",
        f"--rest_api_timeout_in_ms={1000 * options.timeout_s}",
        f"--rest_api_num_threads={max(16, 4 * options.cpus)}",
        f"--grpc_max_threads={grpc_threads(options)}",
        "--tensorflow_intra_op_parallelism=1",
        f"--tensorflow_inter_op_parallelism={options.cpus}",
        f"--model_config_file={CONFIG_DIR}/models.config",
        "--model_config_file_poll_wait_seconds=60",
        f"--file_system_poll_wait_seconds={options.poll_seconds}",
        f"--monitoring_config_file={CONFIG_DIR}/monitoring.config",
    ]
    if root.has_labels:  # labels are read before the first version is loaded
        flags.append("--allow_version_labels_for_unavailable_models=true")
    if options.batching:
        flags += ["--enable_batching=true", f"--batching_parameters_file={CONFIG_DIR}/batching.config"]
    return flags


def monitoring_file() -> str:
    """Text of `--monitoring_config_file`."""
    return f'prometheus_config {{\n  enable: true\n  path: "{METRICS_PATH}"\n}}\n'


def batching_file(options: DeployOptions) -> str:
    """Text of `--batching_parameters_file`: take what waits when a thread is free, and never wait for more.

    A wait of 1 ms to fill a batch halved what one client got.
    """
    return (
        f"max_batch_size {{ value: {_MAX_BATCH_SIZE} }}\n"
        "batch_timeout_micros { value: 0 }\n"
        f"max_enqueued_batches {{ value: {max(16, 8 * options.cpus)} }}\n"
        f"num_batch_threads {{ value: {options.cpus} }}\n"
    )
