"""Several server processes on the same ports: started, watched, started again, drained.

Each process listens by SO_REUSEPORT, so that the kernel shares connections out, and follows the disk by itself. A
reload that comes to one is carried out by all, also by those started later.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import multiprocessing
import multiprocessing.connection
import os
import pathlib
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from typing import Any

from serving.errors import ServerStartError, ServingError
from serving.metrics import MULTIPROCESS_DIRECTORY
from serving.options import ServerOptions
from serving.process import ProcessOptions, announce, hangup_held
from serving.reloads import Asked, Done, ReloadOrder
from serving.worker import Ready, work

__all__ = ["Supervisor"]

logger = logging.getLogger("serving")

FIRST_PAUSE_S = 0.5
MAX_PAUSE_S = 30.0
STEADY_S = 60.0  # a worker that lived so long has its pause forgotten
KILL_AFTER_S = 5.0  # beyond the grace period


class _Worker:
    """One place among the processes, and who fills it."""

    def __init__(self, index: int):
        self.index = index
        self.process: Any = None
        self.pipe: Any = None
        self.started_at = 0.0
        self.start_again_at = 0.0
        self.pause_s = 0.0
        self.ready = False


class Supervisor:
    """Runs `process.processes` servers until a signal; arguments as for `process.run`."""

    def __init__(self, root: pathlib.Path, options: ServerOptions, process: ProcessOptions):
        self._root = root
        self._process = process
        self._context = multiprocessing.get_context("spawn")  # neither gRPC nor TensorFlow survives a fork
        self._workers = [_Worker(index) for index in range(process.processes)]
        self._reloads = ReloadOrder(_send)
        self._signalled = 0
        self._held = contextlib.ExitStack()
        self._options = self._hold_ports(options)

    def run(self) -> int:
        """Serve; the exit status: 0, or 1 if requests had to be cut off.

        Raises:
            ServingError: a worker could not start; its own error.
        """
        with self._held, _metrics_directory(), self._listening() as wakeup:
            try:
                for worker in self._workers:
                    self._start(worker)
                if self._await_ready(wakeup):
                    self._watch(wakeup)
            finally:
                status = self._drain()
        return status

    def _hold_ports(self, options: ServerOptions) -> ServerOptions:
        """Bind the ports without listening: a free one is chosen once, and no other program takes it."""
        port = self._hold(options.host, options.port)
        rest_port = None if options.rest_port is None else self._hold(options.host, options.rest_port)
        return dataclasses.replace(options, port=port, rest_port=rest_port)

    def _hold(self, host: str, port: int) -> int:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        held = self._held.enter_context(contextlib.closing(socket.socket(family, socket.SOCK_STREAM)))
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind((host.strip("[]"), port))
        return held.getsockname()[1]

    @contextlib.contextmanager
    def _listening(self) -> Iterator[Any]:
        """Signals wake whoever waits for the pipe given."""
        reader, writer = self._context.Pipe(duplex=False)

        def handle(number: int, _: object) -> None:
            self._signalled = number
            signal.signal(number, signal.SIG_DFL)
            writer.send(number)

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, handle)
        signal.signal(signal.SIGHUP, lambda *_: self._signal_all(signal.SIGHUP))
        with reader, writer:
            yield reader

    def _start(self, worker: _Worker) -> None:
        worker.pipe, theirs = self._context.Pipe()
        worker.process = self._context.Process(
            target=work,
            args=(self._root, self._options, self._process, theirs, self._reloads.latest),
            name=f"serving-{worker.index}",
        )
        with hangup_held():
            worker.process.start()
        theirs.close()
        worker.ready = False
        worker.started_at = time.monotonic()

    def _await_ready(self, wakeup: Any) -> bool:
        """Whether all are ready; false after a signal."""
        waiting = set(self._workers)
        models: dict[str, list[int]] = {}
        while waiting and not self._signalled:
            by_pipe = {worker.pipe: worker for worker in waiting}
            for pipe in multiprocessing.connection.wait([wakeup, *by_pipe]):
                if pipe is wakeup:
                    break
                worker = by_pipe[pipe]
                message = self._receive(worker)
                if isinstance(message, Ready):
                    worker.ready = True
                    models = message.models
                    waiting.discard(worker)
                elif message is None:
                    raise ServerStartError(f"Server process {worker.process.pid} ended while it started.")
                elif isinstance(message, ServingError):
                    raise message
                else:
                    self._hear_of_reload(worker, message)
        if self._signalled:
            return False
        options = self._options
        announce(self._root, options, options.port, options.rest_port, models, as_json=self._process.as_json)
        return True

    def _watch(self, wakeup: Any) -> None:
        """Pass reloads on and start again what dies, until a signal."""
        while not self._signalled:
            now = time.monotonic()
            for worker in self._workers:
                if worker.process is None and worker.start_again_at <= now:
                    self._start(worker)
            by_pipe = {worker.pipe: worker for worker in self._workers if worker.process is not None}
            due = [worker.start_again_at - now for worker in self._workers if worker.process is None]
            for pipe in multiprocessing.connection.wait([wakeup, *by_pipe], max(min(due), 0.0) if due else None):
                if pipe is not wakeup:
                    self._hear(by_pipe[pipe])

    def _hear(self, worker: _Worker) -> None:
        message = self._receive(worker)
        if message is None:
            self._bury(worker)
        elif isinstance(message, ServingError):
            logger.error("event=worker_failed pid=%d reason=%s", worker.process.pid, message)
        elif isinstance(message, Ready):
            worker.ready = True
        else:
            self._hear_of_reload(worker, message)

    def _hear_of_reload(self, worker: _Worker, message: Asked | Done) -> None:
        if isinstance(message, Asked):
            self._reloads.asked(worker, message, [one for one in self._workers if one.process is not None])
        else:
            self._reloads.done(worker, message)

    def _receive(self, worker: _Worker) -> Any:
        try:
            return worker.pipe.recv()
        except (EOFError, OSError):
            return None

    def _bury(self, worker: _Worker) -> None:
        worker.process.join()
        worker.pipe.close()
        lived_s = time.monotonic() - worker.started_at
        worker.pause_s = (
            FIRST_PAUSE_S if lived_s > STEADY_S else min(max(2 * worker.pause_s, FIRST_PAUSE_S), MAX_PAUSE_S)
        )
        worker.start_again_at = time.monotonic() + worker.pause_s
        logger.error(
            "event=worker_ended pid=%d exit=%s lived_s=%.1f started_again_in_s=%.1f",
            worker.process.pid,
            worker.process.exitcode,
            lived_s,
            worker.pause_s,
        )
        worker.process = None
        self._reloads.left(worker)

    def _signal_all(self, number: int) -> None:
        for worker in self._workers:
            if worker.process is not None and worker.process.is_alive():
                os.kill(worker.process.pid, number)

    def _drain(self) -> int:
        deadline = time.monotonic() + self._process.grace_s + KILL_AFTER_S
        self._signal_all(signal.SIGTERM)
        status = 0
        for worker in self._workers:
            if worker.process is None:
                continue
            worker.process.join(max(deadline - time.monotonic(), 0.0))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            # One that had not begun to answer ends by the signal itself, and cuts nobody off.
            status = max(status, int(worker.process.exitcode != 0 and worker.ready))
        return status


def _send(worker: _Worker, message: Any) -> None:
    with contextlib.suppress(OSError):  # it died, and is buried in its turn
        worker.pipe.send(message)


@contextlib.contextmanager
def _metrics_directory() -> Iterator[None]:
    """A directory where the workers' counts lie; it ends with this process."""
    directory = tempfile.mkdtemp(prefix="serving-metrics-")
    os.environ[MULTIPROCESS_DIRECTORY] = directory
    try:
        yield
    finally:
        os.environ.pop(MULTIPROCESS_DIRECTORY, None)
        shutil.rmtree(directory, ignore_errors=True)
