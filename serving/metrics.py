"""Counts and latencies of requests, as Prometheus reads them.

With several worker processes the values lie in files of one directory (`PROMETHEUS_MULTIPROC_DIR`), so that any of the
processes answers for all.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import grpc
import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Histogram, multiprocess

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE = prometheus_client.CONTENT_TYPE_LATEST
MULTIPROCESS_DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
_BUCKETS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class Metrics:
    """One server's."""

    def __init__(self) -> None:
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
        children = self._children.get(key)
        if children is None:
            children = self._children[key] = (
                self._requests.labels(model, method, transport, code.name),
                self._seconds.labels(model, method, transport),
            )
        children[0].inc()
        children[1].observe(seconds)

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
