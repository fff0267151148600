"""A running server: gRPC, health, reflection, REST, and the thread that follows the disk."""

from __future__ import annotations

import concurrent.futures
import functools
import logging
import pathlib
import threading
import time
from collections.abc import Callable
from typing import Any, cast

import grpc
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2_grpc

from serving.api.service import Service
from serving.engines.abstract import AbstractPredictor
from serving.errors import ServerStartError, UsageError
from serving.loading import Loader
from serving.metrics import Metrics
from serving.options import ServerOptions, join_host_port
from serving.published import SERVICE_NAMES, ModelServerConfig
from serving.reloads import Reload, going_down
from serving.repository import model_config
from serving.repository.repository import Repository
from serving.rpc import health, reflection
from serving.rpc.hub import Hub
from serving.rpc.pools import PooledServicer
from serving.rpc.servicers import add_services
from serving.security.gate import Gate
from serving.security.tls import TLSOptions, check_exposure

__all__ = ["Server", "load_version"]

logger = logging.getLogger("serving")

HEALTH_THREADS = 2
REFLECTION_STREAMS = 4  # at a time; more wait
RELOAD_THREADS = 1
PING_EVERY_MS = 60_000
PING_TIMEOUT_MS = 60_000  # a client that does not answer pings for so long has gone, and its connection is closed


class Server:
    """Serves a root until `stop`.

    Args:
        root: the directory of models.
        options: how to serve.
        loader: how versions are loaded; by default with the limits and workers of `options`.
        gate: who may ask; anybody by default.
        tls: the certificate, for gRPC and REST.
        reuse_port: other processes listen on the same ports.
        everywhere: carries a reload that came here out in all processes, by the `reload` of each; here alone without.

    Raises:
        UsageError: `root` is no directory, its `models.config` cannot be read, or others would reach the server in
            clear text.
        ServerStartError: a port cannot be bound.
    """

    def __init__(
        self,
        root: pathlib.Path,
        options: ServerOptions,
        *,
        loader: Loader | None = None,
        gate: Gate | None = None,
        tls: TLSOptions | None = None,
        reuse_port: bool = False,
        everywhere: Callable[[Reload], None] | None = None,
    ):
        if not root.is_dir():
            raise UsageError(f"ROOT must be a directory that holds <name>/<version>/. Received: {root}.")
        check_exposure(options.host, tls, options.allow_insecure)
        self._root = root
        self._options = options
        self._tls = tls
        self._reuse_port = reuse_port
        self._everywhere = everywhere or self.reload
        default = model_config.all_versions if options.versions == "all" else model_config.latest(1)
        self._reader = model_config.ModelsReader(root, default=default)
        self._reader()  # a wrong models.config stops the start; later on, the last good one holds
        loader = loader or Loader(limits=options.limits, workers=options.workers)
        self.repository = Repository(self._reader, functools.partial(load_version, loader=loader))
        self.service = Service(
            self.repository,
            limits=options.limits,
            reload=self._reload,
            gate=gate,
            metrics=Metrics(),
            secure=tls is not None,
        )
        self._health = health.DrainableHealth()
        shown = (*SERVICE_NAMES, health.SERVICE_NAME, reflection.SERVICE_NAME)
        self._reflection = reflection.DrainableReflection(shown)
        self._reported: dict[str, int] = {}
        self._hub = Hub()
        self._grpc = self._build()
        self.port = self._bind()
        self.rest = self._build_rest()
        self._loading = False
        self._reloading = threading.Lock()
        self._stopping = threading.Event()
        self._starting = threading.Lock()  # between the last load and the first answer
        self._poller = threading.Thread(target=self._poll, name="repository", daemon=True)

    @property
    def rest_port(self) -> int | None:
        """The port of REST; None where it is not served."""
        return None if self.rest is None else self.rest.port

    def start(self) -> None:
        """Load what is there, then answer; returns without answering if `stop` comes first, from another thread."""
        self._loading = True
        self.repository.refresh()
        with self._starting:
            if self._stopping.is_set():
                return
            self._report_health()
            self._grpc.start()
            if self.rest is not None:
                self.rest.start()
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
        if self.rest is not None:
            self.rest.stop(max(deadline - time.monotonic(), 0.0))
        self._health.drain()
        self._reflection.drain()
        stopped.wait()
        # A request whose client has given up is over for gRPC and may still run in TensorFlow.
        finished = self.repository.close(max(deadline - time.monotonic(), 0.0))
        self._hub.shutdown(wait=False)
        return finished

    def reload(self, reload: Reload) -> None:
        """Carry out a reload in this process, after those before it; before `start`, `start` does it.

        Raises:
            RequestError: as `Repository.require`, and the models that load are served; UNAVAILABLE while it drains.
        """
        models = model_config.parse_reload(self._root, ModelServerConfig.FromString(reload.config))
        with self._reloading:
            self._reader.override(models, stamp=reload.stamp)
            if self._loading:
                self._refresh()
                if self._stopping.is_set():
                    raise going_down()
                self.repository.require(models)

    def _reload(self, config: Any) -> None:
        model_config.parse_reload(self._root, config)  # a wrong one goes no further
        self._everywhere(Reload(config.SerializeToString(), self._reader.stamp()))

    def _refresh(self) -> None:
        self.repository.refresh()
        self._report_health()

    def _build(self) -> grpc.Server:
        server = grpc.server(
            cast(Any, self._hub),  # any executor will do
            options=[
                # Without other processes, a second server on the port must fail, not take half the requests.
                ("grpc.so_reuseport", int(self._reuse_port)),
                ("grpc.max_receive_message_length", self._options.max_message_bytes),
                ("grpc.max_send_message_length", -1),
                ("grpc.max_allowed_incoming_connections", self._options.max_connections),
                ("grpc.max_connection_idle_ms", int(self._options.max_connection_idle_s * 1e3)),
                ("grpc.keepalive_time_ms", PING_EVERY_MS),
                ("grpc.keepalive_timeout_ms", PING_TIMEOUT_MS),
                ("grpc.http2.ping_timeout_ms", PING_TIMEOUT_MS),
                ("grpc.http2.min_ping_interval_without_data_ms", 10_000),  # clients that keep idle connections alive
                ("grpc.keepalive_permit_without_calls", 1),
            ],
        )
        # Pools of their own: a reload takes seconds, probes are answered under full load, and idle reflection streams
        # hold up nobody.
        add_services(self.service, server, slow=_pool(RELOAD_THREADS, "reload"))
        health_pb2_grpc.add_HealthServicer_to_server(
            PooledServicer(self._health, _pool(HEALTH_THREADS, "health")), server
        )
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(
            PooledServicer(self._reflection, _pool(REFLECTION_STREAMS, "reflection")), server
        )
        return server

    def _bind(self) -> int:
        address = join_host_port(self._options.host, self._options.port)
        try:
            if self._tls is not None:
                return self._grpc.add_secure_port(address, self._tls.grpc_credentials())
            return self._grpc.add_insecure_port(address)
        except RuntimeError as error:
            raise ServerStartError(
                f"Cannot listen on {address}: port {self._options.port} is in use, or the host is not this machine's. "
                f"Choose another `--port`; 0 takes a free one."
            ) from error

    def _build_rest(self) -> Any:
        if self._options.rest_port is None:
            return None
        from serving.rest.server import RestServer

        return RestServer(
            self.service,
            host=self._options.host,
            port=self._options.rest_port,
            tls=self._tls,
            reuse_port=self._reuse_port,
            max_connections=self._options.max_connections,
            max_request_bytes=self._options.max_message_bytes,
        )

    def _poll(self) -> None:
        while not self._stopping.wait(self._options.poll_seconds):
            try:
                self._refresh()
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


def load_version(path: pathlib.Path, *, loader: Loader) -> AbstractPredictor:
    """Load one version directory; a name of its own, so that tests can stand in for it."""
    return loader(path)


def _pool(threads: int, name: str) -> concurrent.futures.ThreadPoolExecutor:
    return concurrent.futures.ThreadPoolExecutor(threads, thread_name_prefix=name)
