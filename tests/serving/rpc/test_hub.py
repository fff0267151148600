"""The hub: requests share a thread and wait for one another's models only."""

import concurrent.futures
import threading
import time

import numpy as np
import pytest

from serving import Client
from serving.batching.waiting import current_host, new_waiter
from serving.options import ServerOptions
from serving.rpc.hub import Hub
from serving.server import Server


@pytest.fixture
def hub():
    opened = Hub()
    yield opened
    opened.shutdown()


def test_it_runs_what_it_is_given(hub):
    assert hub.submit(pow, 2, 5).result(10) == 32
    with pytest.raises(ZeroDivisionError):
        hub.submit(lambda: 1 / 0).result(10)
    assert hub.submit(threading.get_ident).result(10) == hub._thread.ident


def test_a_waiting_request_holds_up_nobody(hub):
    waiters = []

    def wait() -> str:
        waiter = new_waiter(current_host())
        waiters.append(waiter)
        waiter.wait()
        return "told"

    waiting = [hub.submit(wait) for _ in range(50)]
    assert hub.submit(lambda: "at once").result(10) == "at once"
    assert len(waiters) == 50
    assert not any(future.done() for future in waiting)
    for waiter in waiters:  # from another thread
        waiter.notify()
    assert [future.result(10) for future in waiting] == ["told"] * 50


def test_what_was_gathered_is_worked_on_once_everybody_waits(hub):
    class Work:
        def __init__(self):
            self.waiters, self.seen = [], []

        def work_inline(self) -> None:
            self.seen.append(len(self.waiters))
            waiters, self.waiters = self.waiters, []
            for waiter in waiters:
                waiter.notify()

    work = Work()

    def ask() -> None:
        host = current_host()
        assert host is not None
        assert host is hub
        waiter = new_waiter(host)
        work.waiters.append(waiter)
        host.when_gathered(work)
        waiter.wait()

    blocked = threading.Event()
    hub.submit(blocked.wait, 10)
    futures = [hub.submit(ask) for _ in range(9)]
    blocked.set()
    for future in futures:
        future.result(10)
    assert work.seen == [9]


def test_nothing_is_taken_after_shutdown():
    hub = Hub()
    last = hub.submit(lambda: "done")
    hub.shutdown()
    assert last.result(10) == "done"
    with pytest.raises(RuntimeError, match="after shutdown"):
        hub.submit(print)


@pytest.fixture
def two_models(tmp_path, publish):
    for name in ("slow", "fast"):
        (tmp_path / name).mkdir()
        publish("double", tmp_path / name / "1")
    server = Server(tmp_path, ServerOptions(port=0, poll_seconds=0, workers=1))
    server.start()
    yield f"127.0.0.1:{server.port}"
    server.stop(5)


def test_a_slow_model_starves_no_other(two_models):
    """More slow requests than the server has threads for them; the fast model answers meanwhile."""
    with concurrent.futures.ThreadPoolExecutor(12) as pool, Client(two_models) as client:
        client.predict("fast", x=[1.0])

        def spin() -> float:
            with Client(two_models) as own:
                own.predict("slow", signature="spin", seconds=np.float32(0.25), timeout_s=60)
            return time.monotonic()

        slow = [pool.submit(spin) for _ in range(8)]
        time.sleep(0.3)
        waits = []
        for _ in range(20):
            started = time.monotonic()
            assert client.predict("fast", x=[2.0])["y"].tolist() == [4.0]
            waits.append(time.monotonic() - started)
        answered = time.monotonic()
        ends = sorted(future.result(60) for future in slow)
    assert ends[-1] > answered  # they were not over before
    assert max(waits) < 0.25 * 4


def test_requests_of_many_clients_share_calls_and_get_their_own_answers(two_models):
    def ask(value: int) -> bool:
        return client.predict("fast", x=[float(value % 90), 1.0])["y"].tolist() == [2.0 * (value % 90), 2.0]

    with concurrent.futures.ThreadPoolExecutor(16) as pool, Client(two_models) as client:
        assert all(pool.map(ask, range(800)))


def test_a_bad_request_among_good_ones_fails_alone(two_models):
    def ask(value: float) -> object:
        try:
            return client.predict("fast", x=[value])["y"].tolist()
        except Exception as error:
            return str(error)

    with concurrent.futures.ThreadPoolExecutor(16) as pool, Client(two_models) as client:
        answers = list(pool.map(ask, [100.0 if index % 5 == 0 else 1.0 for index in range(200)]))
    assert answers[1::5] + answers[2::5] + answers[3::5] + answers[4::5] == [[2.0]] * 160
    assert all("`x` must be below 100" in str(answer) for answer in answers[::5])
