# pyright: reportAttributeAccessIssue=false, reportArgumentType=false
"""Batches as TensorFlow Serving's batching file has them."""

import concurrent.futures
import dataclasses
import pathlib
import threading
import time

import numpy as np
import pytest
from fake_engine import FakeEngine, rows, spec

from serving import deadlines
from serving.batching.parameters import BatchingParameters, read_parameters
from serving.batching.predictor import BatchingPredictor
from serving.errors import InvalidInputError, UnavailableError, UsageError

KEY = "serving_default"
EVER = 60_000_000


@pytest.fixture
def pool():
    with concurrent.futures.ThreadPoolExecutor(16) as opened:
        yield opened


def timed(engine: FakeEngine, **parameters) -> BatchingPredictor:
    given = {"num_batch_threads": 1, **parameters}
    return BatchingPredictor(engine, workers=1, mergeable=frozenset({KEY}), parameters=BatchingParameters(**given))


def ask(predictor: BatchingPredictor, pool, *requests) -> list[np.ndarray]:
    return [future.result(20)["y"] for future in [pool.submit(predictor.run, KEY, one) for one in requests]]


def test_a_full_batch_goes_at_once(pool):
    engine = FakeEngine()
    predictor = timed(engine, max_batch_size=3, batch_timeout_micros=EVER)
    answers = ask(predictor, pool, rows(1), rows(2), rows(3))
    assert [answer.item() for answer in answers] == [2, 4, 6]
    assert engine.calls == [(3, 1)]
    predictor.close()


def test_a_batch_that_is_not_full_goes_after_the_timeout(pool):
    engine = FakeEngine()
    predictor = timed(engine, max_batch_size=10, batch_timeout_micros=200_000)
    started = time.monotonic()
    ask(predictor, pool, rows(1), rows(2))
    assert 0.15 < time.monotonic() - started < 5
    assert engine.calls == [(2, 1)]
    predictor.close()


def test_a_batch_is_padded_to_an_allowed_size_and_nobody_sees_it(pool):
    engine = FakeEngine()
    predictor = timed(engine, max_batch_size=8, batch_timeout_micros=100_000, allowed_batch_sizes=(4, 8))
    answers = ask(predictor, pool, rows(1, 2), rows(3))
    assert [answer[:, 0].tolist() for answer in answers] == [[2, 4], [6]]
    assert engine.calls == [(4, 1)]
    predictor.close()


def test_lengths_are_padded_on_request(pool):
    engine = FakeEngine()
    predictor = timed(engine, max_batch_size=2, batch_timeout_micros=EVER, pad_variable_length_inputs=True)
    short, long = ask(predictor, pool, rows(1, length=2), rows(2, length=3))
    assert (short.tolist(), long.tolist()) == ([[2, 2, 0]], [[4, 4, 4]])  # as TensorFlow Serving: answers keep it
    assert engine.calls == [(2, 3)]
    predictor.close()


def test_without_it_they_go_apart(pool):
    engine = FakeEngine()
    predictor = timed(engine, max_batch_size=2, batch_timeout_micros=50_000)
    ask(predictor, pool, rows(1, length=2), rows(2, length=3))
    assert sorted(engine.calls) == [(1, 2), (1, 3)]
    predictor.close()


def test_a_full_queue_is_unavailable(pool):
    engine = FakeEngine()
    engine.gate.clear()
    predictor = timed(engine, max_batch_size=1, max_enqueued_batches=2)
    futures = [pool.submit(predictor.run, KEY, rows(1))]
    while not engine.running:
        time.sleep(0.001)
    queue = predictor._queues[KEY]
    for waiting in (1, 2):
        futures.append(pool.submit(predictor.run, KEY, rows(1)))
        while len(queue._batches) < waiting:
            time.sleep(0.001)
    with pytest.raises(UnavailableError, match="The batch scheduling queue to which this task was submitted is full"):
        predictor.run(KEY, rows(1))
    engine.gate.set()
    assert [future.result(10)["y"].item() for future in futures] == [2, 2, 2]
    predictor.close()


def test_a_request_above_the_largest_batch_is_refused(pool):
    predictor = timed(FakeEngine(), max_batch_size=2)
    with pytest.raises(InvalidInputError, match="Task size 3 is larger than maximum input batch size 2"):
        predictor.run(KEY, rows(1, 2, 3))
    predictor.close()


def test_or_split_on_request(pool):
    engine = FakeEngine()
    predictor = timed(engine, max_batch_size=4, enable_large_batch_splitting=True, max_execution_batch_size=2)
    assert predictor.run(KEY, rows(1, 2, 3, 4, 5))["y"][:, 0].tolist() == [2, 4, 6, 8, 10]
    assert engine.calls == [(2, 1), (2, 1), (1, 1)]
    predictor.close()


def test_parts_of_several_requests_share_no_larger_call(pool):
    engine = FakeEngine()
    predictor = timed(
        engine,
        max_batch_size=4,
        batch_timeout_micros=100_000,
        enable_large_batch_splitting=True,
        max_execution_batch_size=2,
        allowed_batch_sizes=(2,),
    )
    answers = ask(predictor, pool, rows(1, 2), rows(3, 4), rows(5))
    assert [answer[:, 0].tolist() for answer in answers] == [[2, 4], [6, 8], [10]]
    assert engine.calls == [(2, 1)] * 3
    predictor.close()


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"allowed_batch_sizes": (4,)},
        {"enable_large_batch_splitting": True, "max_execution_batch_size": 2},
    ],
    ids=["plain", "padded", "split"],
)
def test_inputs_that_differ_in_rows_are_refused(parameters):
    class TwoInputs(FakeEngine):
        @property
        def signatures(self):
            (one,) = super().signatures.values()
            return {KEY: dataclasses.replace(one, inputs={"x": spec("x", None, None), "z": spec("z", None, None)})}

    engine = TwoInputs()
    predictor = timed(engine, max_batch_size=4, **parameters)
    with pytest.raises(InvalidInputError, match="must have equal 0th-dimension size"):
        predictor.run(KEY, [*rows(1, 2), *rows(1, 2, 3)])
    assert predictor.run(KEY, [*rows(1, 2), *rows(1, 2)])["y"][:, 0].tolist() == [2, 4]
    predictor.close()


def test_a_thread_that_cannot_start_holds_up_no_later_request(monkeypatch):
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    predictor = timed(FakeEngine(), max_batch_size=1)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start"):
            predictor.run(KEY, rows(1))
    with deadlines.within(5):
        assert predictor.run(KEY, rows(2))["y"].item() == 4
    predictor.close()


def test_a_bad_request_fails_alone(pool):
    engine = FakeEngine()
    predictor = timed(engine, max_batch_size=2, batch_timeout_micros=EVER)
    good, bad = pool.submit(predictor.run, KEY, rows(1)), pool.submit(predictor.run, KEY, rows(-1))
    assert good.result(10)["y"].item() == 2
    with pytest.raises(InvalidInputError, match="negative"):
        bad.result(10)
    predictor.close()


def test_closing_ends_the_threads():
    predictor = timed(FakeEngine(), max_batch_size=1)
    predictor.run(KEY, rows(1))
    threads = [thread for thread in threading.enumerate() if thread.name == "batch"]
    predictor.close()
    for thread in threads:
        thread.join(5)
        assert not thread.is_alive()


FILE = """
max_batch_size { value: 32 }
batch_timeout_micros { value: 1000 }
max_enqueued_batches { value: 100 }
num_batch_threads { value: 2 }
thread_pool_name { value: "shared" }
allowed_batch_sizes: 8
allowed_batch_sizes: 32
pad_variable_length_inputs: true
"""


def test_the_published_form_is_read(tmp_path: pathlib.Path):
    file = tmp_path / "batching.txt"
    file.write_text(FILE)
    assert read_parameters(file) == BatchingParameters(
        max_batch_size=32,
        batch_timeout_micros=1000,
        max_enqueued_batches=100,
        num_batch_threads=2,
        allowed_batch_sizes=(8, 32),
        pad_variable_length_inputs=True,
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max_batch_size: 32", "is no batching file"),
        ("max_size { value: 3 }", "is no batching file"),
        ("max_batch_size { value: 0 }", "`max_batch_size` must be at least 1. Received: 0."),
        ("max_batch_size { value: 8 } allowed_batch_sizes: 4", "the last being the largest batch, 8. Received: [4]."),
        ("max_batch_size { value: 8 } allowed_batch_sizes: 8 allowed_batch_sizes: 4", "must rise"),
        ("batch_timeout_micros { value: -1 }", "must not be negative"),
        ("max_batch_size { value: 8 } max_execution_batch_size { value: 9 }", "must not be above"),
    ],
    ids=["not wrapped", "unknown field", "zero", "last size", "order", "negative", "execution size"],
)
def test_a_wrong_file_is_refused(tmp_path, text, message):
    file = tmp_path / "batching.txt"
    file.write_text(text)
    with pytest.raises(UsageError) as raised:
        read_parameters(file)
    assert message in str(raised.value)
    assert str(file) in str(raised.value)


def test_no_file(tmp_path):
    with pytest.raises(UsageError, match="No such file"):
        read_parameters(tmp_path / "nosuch.txt")
