"""A running server: gRPC, health, reflection, and the thread that follows the disk."""

from __future__ import annotations

import concurrent.futures
import functools
import logging
import pathlib
import threading

import grpc
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

from serving import health, model_config
from serving.errors import ServerStartError, UsageError
from serving.inference import warm_up
from serving.manifest import verify_version
from serving.options import ServerOptions
from serving.predictor import AbstractPredictor, TensorFlowPredictor
from serving.published import SERVICE_NAMES
from serving.repository import Repository
from serving.servicer import ModelServicer, PredictionServicer

__all__ = ["Server", "load_version"]

logger = logging.getLogger("serving")


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
        read_models = functools.partial(model_config.read_models, root, default=default)
        read_models()  # a wrong models.config stops the start; later on, the last good one holds
        self.repository = Repository(read_models, functools.partial(load_version, max_bytes=options.max_message_bytes))
        self._health = health.DrainableHealth()
        self._grpc = self._build()
        self.port = self._bind()
        self._stopping = threading.Event()
        self._poller = threading.Thread(target=self._poll, name="repository", daemon=True)

    def start(self) -> None:
        """Load what is there, then answer."""
        self.repository.refresh()
        self._report_health()
        self._grpc.start()
        for service in ("", *SERVICE_NAMES):
            self._health.set(service, health.SERVING)
        if self._options.poll_seconds > 0:
            self._poller.start()

    def stop(self, grace_s: float) -> bool:
        """Drain: not healthy, nothing new, what runs gets `grace_s` seconds; whether all of it was finished."""
        self._stopping.set()
        stopped = self._grpc.stop(grace_s)  # from here on new calls are refused
        self._health.drain()
        stopped.wait()
        if self._poller.is_alive():
            self._poller.join(timeout=grace_s)
        return self.repository.close()

    def _build(self) -> grpc.Server:
        limit = self._options.max_message_bytes
        server = grpc.server(
            concurrent.futures.ThreadPoolExecutor(self._options.workers, thread_name_prefix="request"),
            options=[
                ("grpc.so_reuseport", 0),  # a second server on the port must fail, not take half the requests
                ("grpc.max_receive_message_length", limit),
                ("grpc.max_send_message_length", -1),
            ],
        )
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
            PredictionServicer(self.repository, max_bytes=limit), server
        )
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelServicer(self.repository), server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        reflection.enable_server_reflection((*SERVICE_NAMES, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
        return server

    def _bind(self) -> int:
        address = f"{self._options.host}:{self._options.port}"
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
                if self.repository.refresh():
                    self._report_health()
            except Exception:  # the next look may succeed; what is served stays
                logger.exception("event=refresh_failed")

    def _report_health(self) -> None:
        served = self.repository.served()
        for name in self.repository.model_names():
            self._health.set(name, health.SERVING if served.get(name) else health.NOT_SERVING)


def load_version(path: pathlib.Path, *, max_bytes: int) -> AbstractPredictor:
    """Check, load and warm up one version directory; `ModelLoadError` if any of the three fails."""
    verify_version(path)
    predictor = TensorFlowPredictor(path)
    try:
        warm_up(predictor, path, max_bytes=max_bytes)
    except BaseException:
        predictor.close()
        raise
    return predictor
