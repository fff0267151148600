"""One of several server processes, as its supervisor starts it."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import queue
import signal
import threading
from typing import Any

from serving.errors import ServerStartError, ServingError, UsageError
from serving.options import ServerOptions
from serving.process import ProcessOptions, build_server, log_to_stderr, stop
from serving.reloads import Do, ReloadTurns

__all__ = ["Ready", "work"]

_GONE = "gone"


@dataclasses.dataclass(frozen=True)
class Ready:
    """Sent when the worker answers: what it serves."""

    models: dict[str, list[int]]


def work(root: pathlib.Path, options: ServerOptions, process: ProcessOptions, pipe: Any, reload: Any) -> None:
    """Serve until SIGTERM, or until the supervisor is gone; the body of a worker process.

    Args:
        root: as for `process.run`, like the next two.
        options: with ports that are known.
        process: how.
        pipe: to the supervisor: `Ready`, an error or `serving.reloads`' messages there, the latter from there, too.
        reload: one that came before this worker was started.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    log_to_stderr()
    events: queue.SimpleQueue[str] = queue.SimpleQueue()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the supervisor decides
    signal.signal(signal.SIGTERM, lambda *_: events.put("signal"))
    sending = threading.Lock()

    def send(message: Any) -> None:
        with sending, contextlib.suppress(OSError):  # without a supervisor, `_listen` ends this process
            pipe.send(message)

    turns = ReloadTurns(send)
    try:
        server = build_server(root, options, process, reuse_port=True, everywhere=turns.everywhere)
        signal.signal(signal.SIGHUP, lambda *_: server.service.gate.reopen())
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})  # held since the supervisor started this process
        if reload is not None:
            server.reload(reload)
        threading.Thread(target=_listen, args=(server, pipe, turns, events), name="supervisor", daemon=True).start()
        threading.Thread(target=_start, args=(server, send, events), name="start", daemon=True).start()
    except ServingError as error:
        send(_plain(error))
        raise SystemExit(1) from None
    events.get()
    turns.close()
    raise SystemExit(stop(server, process.grace_s))


def _start(server: Any, send: Any, events: queue.SimpleQueue[str]) -> None:
    try:
        server.start()
        send(Ready(server.repository.served()))
    except Exception as error:
        send(_plain(error))
        events.put("failed")


def _listen(server: Any, pipe: Any, turns: ReloadTurns, events: queue.SimpleQueue[str]) -> None:
    """Do what the supervisor says; without it, end.

    Nothing but reading happens here: a supervisor that has to wait for a full pipe watches over nobody.
    """
    orders: queue.SimpleQueue[Do | None] = queue.SimpleQueue()
    working = threading.Thread(target=_carry_out, args=(server, turns, orders), name="reloads", daemon=True)
    working.start()
    while True:
        try:
            message = pipe.recv()
        except (EOFError, OSError):
            orders.put(None)
            events.put(_GONE)
            return
        if isinstance(message, Do):
            orders.put(message)
        else:
            turns.answer(message)


def _carry_out(server: Any, turns: ReloadTurns, orders: queue.SimpleQueue[Do | None]) -> None:
    """One order after the other."""
    while (order := orders.get()) is not None:
        turns.carry_out(order, server.reload)


def _plain(error: Exception) -> ServingError:
    """The error in a form that passes between processes."""
    kind = UsageError if isinstance(error, UsageError) else ServerStartError
    return kind(str(error))
