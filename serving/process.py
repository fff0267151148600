"""The life of a server: quick checks, one process or several, ready line, signals, drain, exit."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import json
import logging
import os
import pathlib
import queue
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from serving.errors import ServerStartError, UsageError
from serving.options import LoaderOptions, ServerOptions, join_host_port
from serving.security.gate import Gate, GateOptions
from serving.security.tls import TLSOptions, check_exposure, is_loopback

if TYPE_CHECKING:
    from serving.reloads import Reload
    from serving.server import Server

__all__ = [
    "ProcessOptions",
    "announce",
    "build_server",
    "check_setup",
    "hangup_held",
    "log_to_stderr",
    "raise_open_files",
    "run",
]

logger = logging.getLogger("serving")

MAX_OPEN_FILES = 65_536
# How long gRPC's thread waits for the interpreter while the hub computes. With Python's own 5 ms, 8 clients got 1,226
# answers a second where they now get 1,427 (medians of four turns each).
SWITCH_INTERVAL_S = 0.0005
_STARTED = "started"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProcessOptions:
    """How the server runs, beside how it serves.

    Args:
        grace_s: seconds that running requests get after SIGTERM or SIGINT.
        processes: server processes that share the ports; more than one where the answers themselves keep Python busy.
        intra_op: TensorFlow's threads inside one operation.
        inter_op: TensorFlow's threads between operations.
        loader: how versions are loaded.
        gate: who may ask.
        tls: the certificate.
        as_json: announce readiness as one JSON document on standard output too.
    """

    grace_s: float = 10.0
    processes: int = 1
    intra_op: int = 1
    inter_op: int = 1
    loader: LoaderOptions = dataclasses.field(default_factory=LoaderOptions)
    gate: GateOptions = dataclasses.field(default_factory=GateOptions)
    tls: TLSOptions | None = None
    as_json: bool = False


def run(root: pathlib.Path, options: ServerOptions, process: ProcessOptions) -> int:
    """Serve `root` until SIGTERM or SIGINT; the exit status (0, or 1 if requests had to be cut off).

    Raises:
        UsageError: `root`, its `models.config` or an option is wrong.
        ServerStartError: a port cannot be bound.
    """
    check_setup(root, options, process)
    log_to_stderr()
    raise_open_files()
    if process.processes > 1:
        from serving.supervisor import Supervisor

        return Supervisor(root, options, process).run()
    return _run_here(root, options, process)


def raise_open_files() -> None:
    """Allow this process, and those it starts, as many open files as it may ask for.

    Each connection is one: with the 1,024 that many systems begin with, connections would use them up before the
    limit of connections refuses any, and no version could be loaded.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def check_setup(root: pathlib.Path, options: ServerOptions, process: ProcessOptions) -> None:
    """What can be said to be wrong before the seconds that importing TensorFlow costs; errors as `run`'s."""
    if not root.is_dir():
        raise UsageError(f"ROOT must be a directory that holds <name>/<version>/. Received: {root}.")
    check_exposure(options.host, process.tls, options.allow_insecure)
    if process.tls is not None:
        process.tls.check()
    _check_port(options.host, options.port, "--port")
    if options.rest_port is not None:
        _check_port(options.host, options.rest_port, "--rest-port")


def build_server(
    root: pathlib.Path,
    options: ServerOptions,
    process: ProcessOptions,
    *,
    reuse_port: bool = False,
    everywhere: Callable[[Reload], None] | None = None,
) -> Server:
    """The server of this process; imports TensorFlow. Errors as `run`'s."""
    _keep_keras_out()
    from serving.engines.tensorflow import set_threads
    from serving.loading import Loader
    from serving.server import Server

    set_threads(intra_op=process.intra_op, inter_op=process.inter_op)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.collect()
    gc.freeze()  # TensorFlow's half a million objects live on; collections need not look at them. Models come after.
    return Server(
        root,
        options,
        loader=Loader(process.loader, limits=options.limits, workers=options.workers, processes=process.processes),
        gate=Gate.open(process.gate),
        tls=process.tls,
        reuse_port=reuse_port,
        everywhere=everywhere,
    )


def _run_here(root: pathlib.Path, options: ServerOptions, process: ProcessOptions) -> int:
    """The server starts in a thread, so that a signal is heard while TensorFlow loads."""
    events: queue.SimpleQueue[object] = queue.SimpleQueue()
    with hangup_held():
        server = build_server(root, options, process)
        signal.signal(signal.SIGHUP, lambda *_: server.service.gate.reopen())
    _on_signals(events.put)
    threading.Thread(target=_start, args=(server, events.put), name="start", daemon=True).start()
    event = events.get()
    if isinstance(event, BaseException):
        raise event
    if event is _STARTED:
        announce(root, options, server.port, server.rest_port, server.repository.served(), as_json=process.as_json)
        events.get()
    return stop(server, process.grace_s)


@contextlib.contextmanager
def hangup_held() -> Iterator[None]:
    """A SIGHUP waits meanwhile, for it would end a process that cannot hear it yet.

    A process started meanwhile inherits that, and lets it through when it can.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start(server: Server, report: Callable[[object], None]) -> None:
    try:
        server.start()
    except BaseException as error:
        report(error)
    else:
        report(_STARTED)


def stop(server: Server, grace_s: float) -> int:
    """Drain and say so; the exit status."""
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


def log_to_stderr() -> None:
    """Write this server's log, and nobody else's, to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False


def _check_port(host: str, port: int, option: str) -> None:
    """Say that a port is taken; binding decides later."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with contextlib.closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as gRPC binds: a closed socket's rest is no bar
        try:
            probe.bind((host.strip("[]"), port))
        except OSError as error:
            raise ServerStartError(
                f"Cannot listen on {join_host_port(host, port)}: {error.strerror or error}. "
                f"Stop the program that holds port {port}, or choose another `{option}` (0 takes a free one)."
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


def announce(
    root: pathlib.Path,
    options: ServerOptions,
    port: int,
    rest_port: int | None,
    models: dict[str, list[int]],
    *,
    as_json: bool,
) -> None:
    """Say where the server answers, and what."""
    shown = " ".join(f"{name}:{','.join(map(str, versions))}" for name, versions in models.items())
    if not shown:
        shown = f"(none yet; the server follows {root})"
    if not is_loopback(options.host):
        logger.warning(
            "event=exposed host=%s reason=every machine that reaches this address may ask, as far as tokens allow",
            options.host,
        )
    rest = "" if rest_port is None else f" rest={join_host_port(options.host, rest_port)}"
    address = join_host_port(options.host, port)
    logger.info("event=ready address=%s%s pid=%d models=%s", address, rest, os.getpid(), shown)
    if as_json:
        ready = {"event": "ready", "host": options.host, "port": port, "pid": os.getpid(), "models": models}
        print(json.dumps(ready if rest_port is None else {**ready, "rest_port": rest_port}), flush=True)
