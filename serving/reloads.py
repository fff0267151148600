"""Reloads that must hold in every process of a server: one order for all, answered when the last is done.

Two reloads at once that each process took in its own order would leave the processes with different models; one that is
answered by the process it came to alone would let its caller ask another, which has not loaded the models yet.

The process that a reload comes to sends the supervisor `Asked`; all processes receive `Do`, in the same order, and send
`Done`; when no process is left that has not, the one that asked receives `Answer`.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import itertools
import logging
import threading
from collections.abc import Callable, Collection, Hashable
from typing import Any, NamedTuple

import grpc

from serving.errors import RequestError, UnavailableError, error_for

__all__ = ["Answer", "Asked", "Do", "Done", "Reload", "ReloadOrder", "ReloadTurns", "going_down"]

logger = logging.getLogger("serving")

Failure = tuple[
    int, str
]  # gRPC's number of the code, and the details: errors do not pass between processes by themselves


class Reload(NamedTuple):
    """A HandleReloadConfigRequest on its way between processes.

    Args:
        config: the serialised ModelServerConfig.
        stamp: the state of `models.config` when it came; the reload holds until that changes.
    """

    config: bytes
    stamp: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Asked:
    """To the supervisor: a reload came here, known by `ticket` to this process."""

    ticket: int
    reload: Any


@dataclasses.dataclass(frozen=True)
class Do:
    """To every process: carry it out."""

    number: int
    reload: Any


@dataclasses.dataclass(frozen=True)
class Done:
    """To the supervisor: carried out, or not."""

    number: int
    failure: Failure | None


@dataclasses.dataclass(frozen=True)
class Answer:
    """To the process that asked: all have done it, with the first failure."""

    ticket: int
    failure: Failure | None


@dataclasses.dataclass
class _Open:
    asker: Hashable
    ticket: int
    missing: set[Hashable]
    failure: Failure | None = None


class ReloadOrder:
    """The supervisor's book of reloads.

    Args:
        send: gives a message to a member; a member that cannot be reached is soon said to have `left`.
    """

    def __init__(self, send: Callable[[Any, Do | Answer], None]):
        self._send = send
        self._numbers = itertools.count(1)
        self._open: dict[int, _Open] = {}
        self.latest: Any = None  # for members that begin later

    def asked(self, asker: Hashable, message: Asked, members: Collection[Hashable]) -> None:
        """A reload came to `asker`: all `members` are to carry it out."""
        number = next(self._numbers)
        self.latest = message.reload
        self._open[number] = _Open(asker, message.ticket, set(members))
        for member in members:
            self._send(member, Do(number, message.reload))

    def done(self, member: Hashable, message: Done) -> None:
        """`member` has carried out a reload."""
        opened = self._open.get(message.number)
        if opened is not None:
            opened.missing.discard(member)
            opened.failure = opened.failure or message.failure
            self._close(message.number)

    def left(self, member: Hashable) -> None:
        """`member` has ended: nobody waits for it; its successor begins with the latest reload."""
        for number, opened in list(self._open.items()):
            opened.missing.discard(member)
            if opened.asker == member:
                opened.asker = None
            self._close(number)

    def _close(self, number: int) -> None:
        opened = self._open[number]
        if not opened.missing:
            del self._open[number]
            if opened.asker is not None:
                self._send(opened.asker, Answer(opened.ticket, opened.failure))


class ReloadTurns:
    """A process's side: asks for a reload everywhere, and carries out what it is told. Safe from many threads.

    Args:
        send: gives a message to the supervisor.
    """

    def __init__(self, send: Callable[[Asked | Done], None]):
        self._send = send
        self._tickets = itertools.count(1)
        self._lock = threading.Lock()
        self._waiting: dict[int, concurrent.futures.Future[Failure | None]] = {}
        self._closed = False

    def everywhere(self, reload: Any) -> None:
        """Have all processes carry out `reload`; returns when they have.

        Raises:
            RequestError: the first failure of a process; UNAVAILABLE if this one is going down.
        """
        answer: concurrent.futures.Future[Failure | None] = concurrent.futures.Future()
        ticket = next(self._tickets)
        with self._lock:
            if self._closed:
                raise going_down()
            self._waiting[ticket] = answer
        self._send(Asked(ticket, reload))
        if (failure := answer.result()) is not None:
            number, details = failure
            raise error_for(_CODES[number], details)

    def carry_out(self, order: Do, carry_out: Callable[[Any], None]) -> None:
        """Do a reload by `carry_out`, and say how it went; one that is going down has no say."""
        failure = _failure_of(carry_out, order.reload)
        self._send(Done(order.number, None if self._closed else failure))

    def answer(self, message: Answer) -> None:
        """All have done what this process asked for."""
        with self._lock:
            answer = self._waiting.pop(message.ticket, None)
        if answer is not None:
            answer.set_result(message.failure)

    def close(self) -> None:
        """Nobody answers any more: who waits is told that this process is going down."""
        with self._lock:
            self._closed = True
            waiting, self._waiting = self._waiting, {}
        for answer in waiting.values():
            answer.set_exception(going_down())


_CODES = {code.value[0]: code for code in grpc.StatusCode}


def _failure_of(carry_out: Callable[[Any], None], reload: Any) -> Failure | None:
    try:
        carry_out(reload)
    except RequestError as error:
        return error.code.value[0], error.details
    except Exception as error:  # what is served stays, and the next one may succeed
        logger.exception("event=reload_failed")
        return grpc.StatusCode.INTERNAL.value[0], f"{type(error).__name__} in a reload; see the server's log"
    return None


def going_down() -> UnavailableError:
    """For who asks a process that is ending."""
    return UnavailableError("The server is going down; the reload may not have been carried out.")
