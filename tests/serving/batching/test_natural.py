# pyright: reportAttributeAccessIssue=false, reportArgumentType=false
"""Natural batching: who waits together is answered together, and nobody for another's mistake."""

import concurrent.futures
import gc
import threading
import time
import weakref

import numpy as np
import pytest
from fake_engine import FakeEngine, rows

from serving import deadlines
from serving.batching.predictor import MAX_ROWS, BatchingPredictor
from serving.errors import DeadlineError, InvalidInputError
from serving.rpc.hub import Hub

KEY = "serving_default"


@pytest.fixture
def pool():
    with concurrent.futures.ThreadPoolExecutor(32) as opened:
        yield opened


def gathering(engine: FakeEngine, *, mergeable: bool = True, **given: int) -> BatchingPredictor:
    return BatchingPredictor(engine, mergeable=frozenset({KEY} if mergeable else ()), **{"workers": 1, **given})


def wait_for(condition) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def held_up(engine: FakeEngine, predictor: BatchingPredictor, pool, requests) -> list:
    """Start one request that holds the only worker, let `requests` queue up behind it, then let all go."""
    engine.gate.clear()
    first = pool.submit(predictor.run, KEY, rows(1))
    wait_for(lambda: engine.running == 1)
    queue = predictor._queues[KEY]
    futures = []
    for request in requests:
        futures.append(pool.submit(predictor.run, KEY, request))
        wait_for(lambda: len(queue._waiting) == len(futures))
    engine.gate.set()
    return [first, *futures]


def test_one_request_alone_is_one_call(pool):
    engine = FakeEngine()
    predictor = gathering(engine)
    assert predictor.run(KEY, rows(1, 2))["y"].tolist() == [[2], [4]]
    assert engine.calls == [(2, 1)]
    predictor.close()
    assert engine.closed


def test_what_waits_goes_together_and_each_gets_its_own(pool):
    engine = FakeEngine()
    futures = held_up(engine, gathering(engine), pool, [rows(value, value + 0.5) for value in range(2, 7)])
    answers = [future.result(10)["y"][:, 0].tolist() for future in futures]
    assert answers == [[2], *([2 * value, 2 * value + 1] for value in range(2, 7))]
    assert engine.calls == [(1, 1), (10, 1)]


def test_rows_that_do_not_fit_together_go_apart(pool):
    engine = FakeEngine()
    requests = [rows(1, length=2), rows(2, length=3), rows(3, length=3)]
    for future in held_up(engine, gathering(engine), pool, requests):
        future.result(10)
    assert engine.calls == [(1, 1), (1, 2), (2, 3)]


def test_a_batch_has_a_limit(pool):
    engine = FakeEngine()
    half = rows(*[1.0] * (MAX_ROWS // 2 + 1))
    for future in held_up(engine, gathering(engine), pool, [half, half]):
        future.result(10)
    assert engine.calls == [(1, 1), half[0].shape, half[0].shape]


def test_signatures_whose_rows_depend_on_one_another_are_asked_one_by_one(pool):
    engine = FakeEngine()
    for future in held_up(engine, gathering(engine, mergeable=False), pool, [rows(1), rows(2)]):
        future.result(10)
    assert engine.calls == [(1, 1)] * 3


def test_a_bad_request_fails_alone(pool):
    engine = FakeEngine()
    first, good, bad, other = held_up(engine, gathering(engine), pool, [rows(2), rows(-1), rows(3)])
    assert [future.result(10)["y"].item() for future in (first, good, other)] == [2, 4, 6]
    with pytest.raises(InvalidInputError, match="must not be negative"):
        bad.result(10)
    assert engine.calls == [(1, 1), (3, 1), (1, 1), (1, 1), (1, 1)]


def test_a_request_whose_deadline_passed_is_not_worked_on(pool):
    engine = FakeEngine()
    predictor = gathering(engine)

    def late() -> None:
        with deadlines.within(0.01):
            predictor.run(KEY, rows(5))

    engine.gate.clear()
    first = pool.submit(predictor.run, KEY, rows(1))
    wait_for(lambda: engine.running == 1)
    waiting = pool.submit(late)
    wait_for(lambda: len(predictor._queues[KEY]._waiting) == 1)
    time.sleep(0.02)
    engine.gate.set()
    assert first.result(10)["y"].item() == 2
    with pytest.raises(DeadlineError, match="while the request waited"):
        waiting.result(10)
    assert engine.calls == [(1, 1)]


def test_workers_are_the_calls_at_a_time(pool):
    engine = FakeEngine(slow_s=0.05)
    predictor = gathering(engine, workers=2, mergeable=False)
    list(pool.map(lambda _: predictor.run(KEY, rows(99)), range(8)))
    assert engine.most_running == 2
    assert len(engine.calls) == 8


@pytest.mark.parametrize("together", [1, 2], ids=["alone", "in company"])
def test_a_failed_request_keeps_nothing_alive(pool, together):
    """Without a garbage collection: an error, its traceback and its job must not keep one another, nor their inputs."""
    predictor = gathering(FakeEngine())
    bad = [rows(-1) for _ in range(together)]
    inputs = [weakref.ref(one[0]) for one in bad]
    gc.disable()
    try:
        futures = held_up(predictor._engine, predictor, pool, bad)
        errors = [future.exception(10) for future in futures[1:]]
        assert all(isinstance(error, InvalidInputError) and error.__context__ is None for error in errors)
        del futures, errors, bad
        wait_for(lambda: not any(one() is not None for one in inputs))
    finally:
        gc.enable()


def test_where_no_thread_can_be_started_the_hub_does_the_work(monkeypatch):
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    predictor, hub = gathering(FakeEngine()), Hub()
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        assert hub.submit(predictor.run, KEY, rows(1)).result(10)["y"].item() == 2
    predictor._queues[KEY]._mean_s = 1.0  # for the threads again
    assert [hub.submit(predictor.run, KEY, rows(value)).result(10)["y"].item() for value in (2, 3)] == [4, 6]
    wait_for(lambda: len(predictor._queues[KEY]._places) == 0)
    hub.shutdown()
    predictor.close()


def test_the_hub_begins_no_call_beyond_the_workers():
    engine, hub = FakeEngine(), Hub()
    predictor = gathering(engine)
    queue = predictor._queues[KEY]
    engine.gate.clear()
    futures = [hub.submit(predictor.run, KEY, rows(1))]
    wait_for(lambda: engine.running == 1)
    queue._mean_s = 1e-4  # short enough for the hub itself, were a place free
    futures.append(hub.submit(predictor.run, KEY, rows(2)))
    wait_for(lambda: len(queue._waiting) == 1 or engine.running == 2)
    time.sleep(0.05)  # the hub comes to it after the request does
    engine.gate.set()
    assert [future.result(10)["y"].item() for future in futures] == [2, 4]
    assert engine.most_running == 1
    hub.shutdown()
    predictor.close()


@pytest.mark.parametrize(
    ("mean_s", "first", "second", "together"),
    [
        pytest.param(1e-3, 1, 1, 1, id="short after short waits"),
        pytest.param(2e-2, 1, 1, 2, id="long after long"),
        pytest.param(1e-3, 60, 1, 2, id="short beside one of many rows"),
        pytest.param(1e-3, 1, 60, 2, id="many rows beside a short one"),
    ],
)
@pytest.mark.parametrize("hosted", [True, False], ids=["hub", "thread"])
def test_calls_at_a_time_by_their_length(pool, hosted, mean_s, first, second, together):
    engine, hub = FakeEngine(), Hub()
    predictor = gathering(engine, workers=2, quick_workers=1)
    queue = predictor._queues[KEY]
    queue._mean_s = mean_s
    queue._places._clock = lambda: 0.0  # however slow this machine is, no call is overdue
    engine.gate.clear()
    futures = []
    for begun, size in enumerate((first, second)):
        futures.append((hub if hosted else pool).submit(predictor.run, KEY, rows(*[1.0] * size)))
        wait_for(lambda begun=begun: engine.running + len(queue._waiting) == begun + 1)
    time.sleep(0.05)  # the hub comes to the second after the request does
    running = engine.running
    engine.gate.set()
    assert [len(future.result(10)["y"]) for future in futures] == [first, second]
    assert running == together
    wait_for(lambda: len(queue._places) == 0)
    hub.shutdown()
    predictor.close()


def test_a_short_request_behind_a_long_call_goes_beside_it(pool):
    engine = FakeEngine()
    predictor = gathering(engine, workers=2, quick_workers=1)
    queue = predictor._queues[KEY]
    queue._mean_s = 1e-3
    queue._places._clock = lambda: 0.0
    engine.gate.clear()
    requests = [rows(1), rows(2, length=2), rows(*[3.0] * 60), rows(4, length=3)]  # none fits another's batch
    futures = []
    for request in requests:
        futures.append(pool.submit(predictor.run, KEY, request))
        wait_for(lambda: engine.running + len(queue._waiting) == len(futures))
    assert engine.running == 1
    long, release = threading.Event(), threading.Event()
    run = engine.run

    def hold(key, inputs):
        if len(inputs[0]) == 60:
            long.set()
            assert release.wait(10)
        return run(key, inputs)

    engine.run = hold
    engine.gate.set()
    assert long.wait(10)
    assert futures[3].result(10)["y"].tolist() == [[8.0] * 3]  # while the long call runs
    assert not futures[2].done()
    release.set()
    assert [len(future.result(10)["y"]) for future in futures] == [1, 1, 60, 1]


def test_a_call_that_was_thought_short_holds_up_nobody_for_long(pool):
    engine, now = FakeEngine(), [0.0]
    predictor = gathering(engine, workers=2, quick_workers=1)
    queue = predictor._queues[KEY]
    queue._mean_s = 1e-3
    queue._places._clock = lambda: now[0]
    engine.gate.clear()
    first = pool.submit(predictor.run, KEY, rows(1))
    wait_for(lambda: engine.running == 1)
    now[0] = 1.0
    second = pool.submit(predictor.run, KEY, rows(2))
    wait_for(lambda: engine.running == 2)
    engine.gate.set()
    assert [one.result(10)["y"].item() for one in (first, second)] == [2, 4]


def test_calls_of_unknown_length_do_not_leave_two_at_a_time_for_ever(pool):
    engine = FakeEngine(slow_s=0.002)
    predictor = gathering(engine, workers=2, quick_workers=1, mergeable=False)
    queue = predictor._queues[KEY]
    queue._places._clock = lambda: 0.0

    queue._note = lambda *_: None  # whatever this machine's clock says

    def ask(count: int) -> None:
        for _ in range(count):
            predictor.run(KEY, rows(99))

    futures = [pool.submit(ask, 40) for _ in range(8)]
    wait_for(lambda: engine.most_running == 2)  # nothing is known yet
    queue._mean_s, seen = 2e-3, len(engine.calls)
    wait_for(lambda: len(engine.calls) > seen + 8)  # by then each worker has asked for its place again
    engine.most_running = 0
    for future in futures:
        future.result(30)
    assert engine.most_running == 1


def test_two_long_requests_that_come_at_once_go_side_by_side():
    engine, hub = FakeEngine(), Hub()
    predictor = gathering(engine, workers=2, quick_workers=1, mergeable=False)
    engine.gate.clear()
    block = threading.Event()
    hub.submit(block.wait, 10)
    futures = [hub.submit(predictor.run, KEY, rows(value)) for value in (1, 2)]
    block.set()  # the hub comes to both in one go
    wait_for(lambda: engine.running == 2)
    engine.gate.set()
    assert [future.result(10)["y"].item() for future in futures] == [2, 4]
    hub.shutdown()
    predictor.close()


@pytest.mark.parametrize("mergeable", [True, False])
@pytest.mark.parametrize("shape", [(5000, 1), (1, 5000)], ids=["rows", "length"])
def test_a_large_request_to_a_fast_model_does_not_hold_up_the_hub(mergeable, shape):
    class Linear(FakeEngine):
        def run(self, key, inputs):
            if inputs[0].size > 1:
                began.set()
            time.sleep(inputs[0].size * 1e-4)
            return super().run(key, inputs)

    began = threading.Event()
    predictor = gathering(Linear(), mergeable=mergeable)
    hub = Hub()
    for _ in range(20):
        hub.submit(predictor.run, KEY, rows(1)).result(10)
    predictor._queues[KEY]._mean_s = 1e-4  # whatever this machine's clock made of it
    large = hub.submit(predictor.run, KEY, [np.ones(shape, np.float32)])
    assert began.wait(10)
    hub.submit(print, end="").result(10)
    assert not large.done()
    assert large.result(10)["y"].shape == shape
    hub.shutdown()
    predictor.close()


@pytest.mark.parametrize("workers", [1, 3])
def test_under_load_every_request_gets_its_own_answer(pool, workers):
    engine = FakeEngine()
    predictor = gathering(engine, workers=workers)

    def ask(value: int) -> bool:
        return predictor.run(KEY, rows(value, value + 0.25))["y"][:, 0].tolist() == [2 * value, 2 * value + 0.5]

    assert all(pool.map(ask, range(2000)))
    assert len(predictor._queues[KEY]._places) == 0


def test_answers_are_arrays_of_their_own_rows(pool):
    engine = FakeEngine()
    futures = held_up(engine, gathering(engine), pool, [rows(1), rows(2, 3)])
    assert [future.result(10)["y"].shape for future in futures] == [(1, 1), (1, 1), (2, 1)]
    assert all(isinstance(future.result()["y"], np.ndarray) for future in futures)
