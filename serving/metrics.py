"""Counts and latencies of requests, as Prometheus reads them.

With several worker processes the values lie in files of one directory (`PROMETHEUS_MULTIPROC_DIR`), so that any of the
processes answers for all.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import time
from collections.abc import Mapping
from typing import Any

import grpc
import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Histogram, multiprocess
from prometheus_client import values as prometheus_values
from prometheus_client.mmap_dict import MmapedDict

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE = prometheus_client.CONTENT_TYPE_LATEST
MULTIPROCESS_DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
RETRY_S = 30.0
_FIRST_BYTES = 1 << 16  # of a file of values; it doubles when it is full
_BUCKETS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


logger = logging.getLogger("serving")


class Metrics:
    """One server's. A count that a full disk has no room for is dropped; the request it tells of does not fail."""

    def __init__(self) -> None:
        if os.environ.get(MULTIPROCESS_DIRECTORY):
            prometheus_values.MmapedDict = _ReservedFile
        self._failed_at = -math.inf
        self._registry = CollectorRegistry()
        labels = ("model", "method", "transport")
        self._requests = Counter("serving_requests", "Requests by answer.", (*labels, "code"), registry=self._registry)
        self._seconds = Histogram(
            "serving_request_seconds",
            "Seconds from the parsed request to its answer.",
            labels,
            buckets=_BUCKETS_S,
            registry=self._registry,
        )
        self._children: dict[tuple[str, str, str, grpc.StatusCode], tuple[Counter, Histogram]] = {}

    def count(self, model: str, method: str, transport: str, code: grpc.StatusCode, seconds: float) -> None:
        """One request was answered."""
        key = (model, method, transport, code)
        if key not in self._children and time.monotonic() - self._failed_at < RETRY_S:
            return  # each try that fails leaves something behind in the library
        try:
            requests, duration = self._of(key)
        except OSError as error:
            logger.error("event=metrics_failed model=%s method=%s reason=%s", model, method, error.strerror)
            self._failed_at = time.monotonic()
            return
        requests.inc()
        duration.observe(seconds)

    def _of(self, key: tuple[str, str, str, grpc.StatusCode]) -> tuple[Counter, Histogram]:
        children = self._children.get(key)
        if children is None:
            *labels, code = key
            made = (self._requests.labels(*labels, code.name), self._seconds.labels(*labels))
            children = self._children[key] = made
        return children

    def text(self) -> bytes:
        """Prometheus's text format, of all worker processes."""
        return prometheus_client.generate_latest(self._collected())

    def totals(self) -> list[Mapping[str, Any]]:
        """Requests and seconds by model, method and transport, for the web page: one mapping a line.

        Each holds `model`, `method`, `transport`, `code` and `requests`, or `seconds` and `count` in place of the last
        two, or `le` (the bucket's upper bound in seconds, "+Inf" for the last) and `count`.
        """
        shown = []
        for family in self._collected().collect():
            for sample in family.samples:
                if sample.name == "serving_requests_total":
                    shown.append({**sample.labels, "requests": int(sample.value)})
                elif sample.name == "serving_request_seconds_bucket":
                    shown.append({**sample.labels, "count": int(sample.value)})
                elif sample.name == "serving_request_seconds_sum":
                    shown.append({**sample.labels, "seconds": sample.value})
        return shown

    def _collected(self) -> CollectorRegistry:
        if not os.environ.get(MULTIPROCESS_DIRECTORY):
            return self._registry
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)
        return registry


class _ReservedFile(MmapedDict):
    """Values in a file whose space on the disk is taken before it is written to.

    The file is mapped into memory: where a full disk has no room for a page, the kernel ends the process (SIGBUS).
    """

    def __init__(self, filename: str, read_mode: bool = False):
        if not read_mode:
            _reserve(filename)
        super().__init__(filename, read_mode)

    def _init_value(self, key: str) -> None:
        largest = self._used + len(key.encode()) + 32  # with its length, its padding and two numbers
        size = self._capacity
        while size < largest:
            size *= 2
        if size > self._capacity:
            file: Any = self._f
            os.posix_fallocate(file.fileno(), 0, size)
        super()._init_value(key)


def _reserve(filename: str) -> None:
    """Make a file of the first size; of one that is there, nothing. No empty file is left, which nobody could read."""
    file = os.open(filename, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if os.fstat(file).st_size == 0:
            os.posix_fallocate(file, 0, _FIRST_BYTES)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(filename)
        raise
    finally:
        os.close(file)
