"""A running server: gRPC, health, reflection, and the thread that follows the disk."""

from __future__ import annotations

import concurrent.futures
import functools
import logging
import pathlib
import threading
import time

import grpc
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2_grpc

from serving.api import health, reflection
from serving.api.inference import warm_up
from serving.api.pools import PooledServicer
from serving.api.servicers import ModelServicer, PredictionServicer, add_to_server
from serving.engines.abstract import AbstractPredictor
from serving.engines.tensorflow import TensorFlowPredictor
from serving.errors import ServerStartError, UsageError
from serving.options import Limits, ServerOptions, join_host_port
from serving.published import MODEL_SERVICE, PREDICTION_SERVICE, SERVICE_NAMES
from serving.repository import model_config
from serving.repository.manifest import verify_version
from serving.repository.repository import Repository

__all__ = ["Server", "load_version"]

logger = logging.getLogger("serving")

HEALTH_THREADS = 2
REFLECTION_STREAMS = 4  # at a time; more wait


class Server:
    """Serves a root until `stop`.

    Args:
        root: the directory of models.
        options: how to serve.

    Raises:
        UsageError: `root` is no directory, or its `models.config` cannot be read.
        ServerStartError: the port cannot be bound.
    """

    def __init__(self, root: pathlib.Path, options: ServerOptions):
        if not root.is_dir():
            raise UsageError(f"ROOT must be a directory that holds <name>/<version>/. Received: {root}.")
        self._options = options
        default = model_config.all_versions if options.versions == "all" else model_config.latest(1)
        read_models = model_config.ModelsReader(root, default=default)
        read_models()  # a wrong models.config stops the start; later on, the last good one holds
        self.repository = Repository(read_models, functools.partial(load_version, limits=options.limits))
        self._health = health.DrainableHealth()
        shown = (*SERVICE_NAMES, health.SERVICE_NAME, reflection.SERVICE_NAME)
        self._reflection = reflection.DrainableReflection(shown)
        self._reported: dict[str, int] = {}
        self._grpc = self._build()
        self.port = self._bind()
        self._stopping = threading.Event()
        self._starting = threading.Lock()  # between the last load and the first answer
        self._poller = threading.Thread(target=self._poll, name="repository", daemon=True)

    def start(self) -> None:
        """Load what is there, then answer; returns without answering if `stop` comes first, from another thread."""
        self.repository.refresh()
        with self._starting:
            if self._stopping.is_set():
                return
            self._report_health()
            self._grpc.start()
            for service in ("", *SERVICE_NAMES):
                self._health.set(service, health.SERVING)
            if self._options.poll_seconds > 0:
                self._poller.start()

    def stop(self, grace_s: float) -> bool:
        """Drain: not healthy, nothing new, what runs gets `grace_s` seconds; whether all of it was finished."""
        deadline = time.monotonic() + grace_s
        self._stopping.set()
        self.repository.stop_loading()
        with self._starting:
            stopped = self._grpc.stop(grace_s)  # from here on new calls are refused
        self._health.drain()
        self._reflection.drain()
        stopped.wait()
        # A request whose client has given up is over for gRPC and may still run in TensorFlow.
        return self.repository.close(max(deadline - time.monotonic(), 0.0))

    def _build(self) -> grpc.Server:
        server = grpc.server(
            concurrent.futures.ThreadPoolExecutor(self._options.workers, thread_name_prefix="request"),
            options=[
                ("grpc.so_reuseport", 0),  # a second server on the port must fail, not take half the requests
                ("grpc.max_receive_message_length", self._options.max_message_bytes),
                ("grpc.max_send_message_length", -1),
            ],
        )
        add_to_server(PredictionServicer(self.repository, limits=self._options.limits), PREDICTION_SERVICE, server)
        add_to_server(ModelServicer(self.repository), MODEL_SERVICE, server)
        # Pools of their own: probes are answered under full load, and idle reflection streams hold up nobody.
        pool = concurrent.futures.ThreadPoolExecutor(HEALTH_THREADS, thread_name_prefix="health")
        health_pb2_grpc.add_HealthServicer_to_server(PooledServicer(self._health, pool), server)
        pool = concurrent.futures.ThreadPoolExecutor(REFLECTION_STREAMS, thread_name_prefix="reflection")
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(PooledServicer(self._reflection, pool), server)
        return server

    def _bind(self) -> int:
        address = join_host_port(self._options.host, self._options.port)
        try:
            port = self._grpc.add_insecure_port(address)
        except RuntimeError as error:
            raise ServerStartError(
                f"Cannot listen on {address}: port {self._options.port} is in use, or the host is not this machine's. "
                f"Choose another `--port`; 0 takes a free one."
            ) from error
        return port

    def _poll(self) -> None:
        while not self._stopping.wait(self._options.poll_seconds):
            try:
                self.repository.refresh()
                self._report_health()
            except Exception:  # the next look may succeed; what is served stays
                logger.exception("event=refresh_failed")

    def _report_health(self) -> None:
        """A model is SERVING with a version to answer; NOT_SERVING while it has none, and after it has left."""
        served = self.repository.served()
        for name in {*self.repository.model_names(), *served, *self._reported}:
            status = health.SERVING if served.get(name) else health.NOT_SERVING
            if self._reported.get(name) != status:
                self._reported[name] = status
                self._health.set(name, status)


def load_version(path: pathlib.Path, *, limits: Limits) -> AbstractPredictor:
    """Check, load and warm up one version directory; `ModelLoadError` if any of the three fails."""
    verify_version(path)
    predictor = TensorFlowPredictor(path)
    try:
        warm_up(predictor, path, limits=limits)
    except BaseException:
        predictor.close()
        raise
    return predictor
