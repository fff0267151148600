"""The life of a server process: quick checks, TensorFlow without Keras, ready line, signals, drain, exit."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import json
import logging
import os
import pathlib
import queue
import signal
import socket
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from serving.errors import ServerStartError, UsageError
from serving.options import ServerOptions, join_host_port

if TYPE_CHECKING:
    from serving.server import Server

__all__ = ["ProcessOptions", "run"]

logger = logging.getLogger("serving")

_STARTED = "started"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProcessOptions:
    """How the process runs, beside how the server serves.

    Args:
        grace_s: seconds that running requests get after SIGTERM or SIGINT.
        intra_op: TensorFlow's threads inside one operation.
        inter_op: TensorFlow's threads between operations.
        as_json: announce readiness as one JSON document on standard output too.
    """

    grace_s: float = 10.0
    intra_op: int = 1
    inter_op: int = 1
    as_json: bool = False


def run(root: pathlib.Path, options: ServerOptions, process: ProcessOptions) -> int:
    """Serve `root` until SIGTERM or SIGINT; the exit status (0, or 1 if requests had to be cut off).

    The server starts in a thread, so that a signal is heard while TensorFlow loads.

    Raises:
        UsageError: `root` or its `models.config` is wrong.
        ServerStartError: the port cannot be bound.
    """
    if not root.is_dir():
        raise UsageError(f"ROOT must be a directory that holds <name>/<version>/. Received: {root}.")
    _check_port(options.host, options.port)
    _log_to_stderr()
    _keep_keras_out()
    from serving.engines.tensorflow import set_threads
    from serving.server import Server

    set_threads(intra_op=process.intra_op, inter_op=process.inter_op)
    gc.collect()
    gc.freeze()  # TensorFlow's half a million objects live on; collections need not look at them. Models come after.
    server = Server(root, options)
    events: queue.SimpleQueue[object] = queue.SimpleQueue()
    _on_signals(events.put)
    threading.Thread(target=_start, args=(server, events.put), name="start", daemon=True).start()
    event = events.get()
    if isinstance(event, BaseException):
        raise event
    if event is _STARTED:
        _announce(root, options.host, server.port, server.repository.served(), as_json=process.as_json)
        events.get()
    return _stop(server, process.grace_s)


def _start(server: Server, report: Callable[[object], None]) -> None:
    try:
        server.start()
    except BaseException as error:
        report(error)
    else:
        report(_STARTED)


def _stop(server: Server, grace_s: float) -> int:
    logger.info("event=draining grace_s=%g", grace_s)
    finished = server.stop(grace_s)
    loading = server.repository.refreshing
    if finished:
        logger.info("event=stopped%s", " reason=a version that was still loading was given up" if loading else "")
    else:
        logger.error("event=stopped reason=requests still running after grace_s=%g were cut off", grace_s)
    if loading or not finished:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0 if finished else 1)  # a thread inside TensorFlow cannot be interrupted; a normal exit waits for it
    return 0


def _log_to_stderr() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False


def _check_port(host: str, port: int) -> None:
    """Say that a port is taken before the seconds that importing TensorFlow costs; binding decides later."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with contextlib.closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as gRPC binds: a closed socket's rest is no bar
        try:
            probe.bind((host.strip("[]"), port))
        except OSError as error:
            raise ServerStartError(
                f"Cannot listen on {join_host_port(host, port)}: {error.strerror or error}. "
                f"Stop the program that holds port {port}, or choose another `--port` (0 takes a free one)."
            ) from error


def _keep_keras_out() -> None:
    """Let TensorFlow's import skip Keras, which a SavedModel does not need.

    `import tensorflow` tries to import Keras and does without where that fails. Measured with TensorFlow 2.21:
    8 to 10 s in place of 14 to 18, 574 MB in place of 663. Only in a process that does nothing but serve.
    """
    for name in ("keras", "tf_keras"):
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]


def _on_signals(report: Callable[[object], None]) -> None:
    def handle(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_DFL)  # a second one ends the process at once
        report(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)


def _announce(root: pathlib.Path, host: str, port: int, models: dict[str, list[int]], *, as_json: bool) -> None:
    shown = " ".join(f"{name}:{','.join(map(str, versions))}" for name, versions in models.items())
    if not shown:
        shown = f"(none yet; the server follows {root})"
    if host not in ("127.0.0.1", "localhost", "::1", "[::1]"):
        logger.warning("event=exposed host=%s reason=every machine that reaches this address may ask the models", host)
    logger.info("event=ready address=%s pid=%d models=%s", join_host_port(host, port), os.getpid(), shown)
    if as_json:
        ready = {"event": "ready", "host": host, "port": port, "pid": os.getpid(), "models": models}
        print(json.dumps(ready), flush=True)
