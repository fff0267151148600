"""What passes between supervisor and workers, without processes."""

import multiprocessing
import queue
import types
from typing import Any

import pytest

from serving.options import ServerOptions
from serving.process import ProcessOptions
from serving.supervisor import Supervisor
from serving.worker import Ready, Worked, _listen


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
    _listen(Server(), Pipe("bad", "good"), events)
    assert done == ["good"]
    assert events.get_nowait() == "gone"
    assert events.empty()


def test_a_reload_before_all_are_ready_reaches_the_others(tmp_path):
    supervisor = Supervisor(tmp_path, ServerOptions(port=0), ProcessOptions(processes=2))
    with supervisor._held:
        theirs = []
        for worker in supervisor._workers:
            worker.process = types.SimpleNamespace(pid=1)
            worker.pipe, other = multiprocessing.Pipe()
            theirs.append(other)
        theirs[0].send(Worked("the reload"))
        for pipe in theirs:
            pipe.send(Ready({}))
        wakeup, _ = multiprocessing.Pipe()
        assert supervisor._await_ready(wakeup)
    assert theirs[1].poll(10)
    assert theirs[1].recv() == "the reload"
    assert supervisor._reload == "the reload"  # for those started later
    assert not theirs[0].poll(0)
