"""A running REST server: its socket, its thread, its end."""

from __future__ import annotations

import logging
import socket
import threading

import uvicorn

from serving.api.service import Service
from serving.errors import ServerStartError
from serving.options import join_host_port
from serving.rest.app import build_app
from serving.rest.connections import Connection
from serving.rest.monitoring import Readiness
from serving.rest.turns import Turns
from serving.security.tls import Renewal, TLSOptions

__all__ = ["RestServer"]

logger = logging.getLogger("serving")

KEEP_ALIVE_S = 60
RENEWAL_TICKS = 100  # of a tenth of a second
BACKLOG = 2048
STOP_S = 0.3  # uvicorn's own pauses when it stops


class RestServer:
    """REST, probes, metrics and the web page on one port.

    Args:
        service: answers.
        host: the address to bind.
        port: 0 takes a free one.
        tls: the certificate; None serves clear text.
        reuse_port: other processes listen on the same port.
        max_connections: at a time; requests on more are answered 503.
        max_request_bytes: largest body.

    Attributes:
        port: the port that was bound.

    Raises:
        ServerStartError: the port cannot be bound.
        UsageError: the certificate cannot be used.
    """

    def __init__(
        self,
        service: Service,
        *,
        host: str,
        port: int,
        tls: TLSOptions | None = None,
        reuse_port: bool = False,
        max_connections: int = 1024,
        max_request_bytes: int = 256 << 20,
    ):
        self._host = host
        self._readiness = Readiness()
        self._turns = Turns(service.repository.known_names)
        app = build_app(service, self._readiness, turns=self._turns, max_request_bytes=max_request_bytes)
        config = uvicorn.Config(
            app,
            http=Connection,
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            log_level="critical",  # whatever a client sends wrong is answered; errors of ours are logged by the app
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=max_connections,
            timeout_keep_alive=KEEP_ALIVE_S,
            backlog=BACKLOG,
            **(tls.uvicorn_arguments() if tls else {}),
        )
        self._server = _Uvicorn(config, tls)
        self._socket = _bound(host, port, reuse_port)
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._run, name="rest", daemon=True)

    def start(self) -> None:
        """Answer from now on.

        Raises:
            ServerStartError: another program listens on the port since.
        """
        try:
            self._socket.listen(BACKLOG)
        except OSError as error:
            raise _cannot_listen(self._host, self.port, error) from error
        self._thread.start()
        self._server.answering.wait()

    def stop(self, grace_s: float) -> None:
        """Not ready, no new connections; requests that run get `grace_s` seconds, then are answered 503."""
        self._readiness.draining = True
        if self._thread.ident is None:
            self._socket.close()
        else:
            self._server.config.timeout_graceful_shutdown = max(grace_s - STOP_S, 0.0)  # type: ignore[assignment]
            self._server.should_exit = True
            self._thread.join(max(grace_s, STOP_S))
        self._turns.close()

    def _run(self) -> None:
        try:
            self._server.run(sockets=[self._socket])
        except BaseException:
            logger.exception("event=rest_failed port=%d", self.port)
        finally:
            self._server.answering.set()


class _Uvicorn(uvicorn.Server):
    """Tells when it answers, and takes renewed certificates."""

    def __init__(self, config: uvicorn.Config, tls: TLSOptions | None):
        super().__init__(config)
        self.answering = threading.Event()
        self._tls = tls
        self._renewal = Renewal(tls) if tls else None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.answering.set()

    async def on_tick(self, counter: int) -> bool:
        if self._tls and self._renewal and self.config.ssl and counter % RENEWAL_TICKS == 0 and self._renewal.due():
            self._tls.renew(self.config.ssl)
        return await super().on_tick(counter)


def _bound(host: str, port: int, reuse_port: bool) -> socket.socket:
    """A socket that holds the port and does not listen yet."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a closed socket's rest is no bar
            if reuse_port:
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            bound.bind(address)
        except OSError:
            bound.close()
            raise
    except OSError as error:
        raise _cannot_listen(host, port, error) from error
    return bound


def _cannot_listen(host: str, port: int, error: OSError) -> ServerStartError:
    return ServerStartError(
        f"Cannot listen on {join_host_port(host, port)}: {error.strerror or error}. Stop the program that holds port "
        f"{port}, or choose another `--rest-port` (0 takes a free one)."
    )
