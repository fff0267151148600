"""What passes between supervisor and workers, without processes."""

import multiprocessing
import pickle
import queue
import subprocess
import sys
import threading
import time
import types
from typing import Any

import pytest

from serving.options import ServerOptions
from serving.process import ProcessOptions
from serving.reloads import Asked, Do, Done, Reload, ReloadTurns
from serving.supervisor import Supervisor
from serving.worker import Ready, _listen


class Pipe:
    """Gives what it was made of, then ends as if the supervisor were gone."""

    def __init__(self, *messages: Any):
        self.messages = list(messages)

    def recv(self) -> Any:
        if not self.messages:
            raise EOFError
        return self.messages.pop(0)


@pytest.mark.parametrize("error", [OSError("the disk is gone"), ValueError("odd")], ids=["disk", "other"])
def test_a_reload_that_fails_ends_neither_the_worker_nor_later_reloads(error):
    done = []

    class Server:
        def reload(self, reload: str) -> None:
            if reload == "bad":
                raise error
            done.append(reload)

    events: queue.SimpleQueue[str] = queue.SimpleQueue()
    sent = []
    _listen(Server(), Pipe(Do(1, "bad"), Do(2, "good")), ReloadTurns(sent.append), events)
    deadline = time.monotonic() + 10
    while len(sent) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)  # the orders are carried out beside the listening
    assert done == ["good"]
    assert [message.number for message in sent] == [1, 2]
    assert sent[0].failure == (13, f"{type(error).__name__} in a reload; see the server's log")
    assert sent[1].failure is None
    assert events.get_nowait() == "gone"
    assert events.empty()


def test_a_reload_before_all_are_ready_reaches_all(tmp_path):
    supervisor = Supervisor(tmp_path, ServerOptions(port=0), ProcessOptions(processes=2))
    with supervisor._held:
        theirs = []
        for worker in supervisor._workers:
            worker.process = types.SimpleNamespace(pid=1)
            worker.pipe, other = multiprocessing.Pipe()
            theirs.append(other)
        theirs[0].send(Asked(7, "the reload"))
        for pipe in theirs:
            pipe.send(Ready({}))
        wakeup, _ = multiprocessing.Pipe()
        assert supervisor._await_ready(wakeup)
        for pipe in theirs:
            assert pipe.poll(10)
            assert pipe.recv() == Do(1, "the reload")
        assert supervisor._reloads.latest == "the reload"  # for those started later
        for worker in supervisor._workers:
            assert not theirs[0].poll(0)
            supervisor._hear_of_reload(worker, Done(1, None))
        assert theirs[0].poll(10)


def test_a_reload_brings_no_tensorflow_into_the_supervisor():
    message = pickle.dumps(Asked(1, Reload(b"", ())))
    code = (
        f"import pickle, sys; pickle.loads({message!r}); import serving.supervisor; print('tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_orders_are_read_while_one_is_carried_out():
    """A supervisor that waits for a full pipe would watch over nobody."""
    begun, release, sent = threading.Event(), threading.Event(), []

    class Server:
        def reload(self, reload: str) -> None:
            begun.set()
            assert release.wait(10)

    pipe = Pipe(*(Do(number, "x") for number in range(100)))
    _listen(Server(), pipe, ReloadTurns(sent.append), queue.SimpleQueue())
    assert begun.wait(10)
    assert not pipe.messages
    assert not sent
    release.set()
