"""Big arrays and streams in batches: in order, with a bounded number on their way, ended by the first error."""

import asyncio
import itertools
import time

import grpc
import numpy as np
import pytest

from serving import AsyncClient, Client
from serving.errors import RequestError, UsageError
from serving.protocol import messages as wire

from .conftest import echo, slow_echo


def test_an_array_is_cut(connect, scripted):
    x = np.arange(10, dtype=np.float32)
    answers = connect(scripted.address).predict_many("m", {"x": x, "y": x.reshape(10, 1)}, batch_size=4)
    assert [len(answer["x"]) for answer in answers] == [4, 4, 2]
    assert np.concatenate([answer["x"] for answer in answers]).tolist() == x.tolist()
    assert answers[2]["y"].shape == (2, 1)


@pytest.mark.parametrize(
    ("batch_size", "want"), [(2, [[0, 1], [2, 3], [4]]), (None, [0, 1, 2, 3, 4])], ids=["rows", "batches"]
)
def test_a_stream(connect, scripted, batch_size, want):
    rows = ({"x": np.float32(index)} for index in range(5))
    answers = connect(scripted.address).predict_many("m", rows, batch_size=batch_size)
    assert [answer["x"].tolist() for answer in answers] == want


def test_order_holds_and_flight_is_bounded(connect, scripted):
    scripted.scripts["Predict"] = [slow_echo]
    x = np.arange(24)
    answers = connect(scripted.address).predict_many("m", {"x": x}, batch_size=1, in_flight=3)
    assert [int(answer["x"][0]) for answer in answers] == x.tolist()
    assert scripted.most_running == 3


def test_the_first_error_ends_it(connect, scripted):
    scripted.scripts["Predict"] = [echo, grpc.StatusCode.INTERNAL, slow_echo]
    with pytest.raises(RequestError, match="scripted INTERNAL"):
        connect(scripted.address).predict_many("m", {"x": np.arange(1000)}, batch_size=1, in_flight=2)
    time.sleep(0.2)
    assert scripted.asked["Predict"] <= 5


def endless():
    for index in itertools.count():
        yield {"x": [float(index)]}


def test_a_stream_is_read_as_far_as_answers_are_taken(scripted):
    taken = []
    stream = (taken.append(one["x"]) or one for one in endless())
    with Client(scripted.address) as client:
        answers = client.predict_many("m", stream, batch_size=None, in_flight=4)
        assert not taken
        assert [next(answers)["x"].tolist() for _ in range(3)] == [[0.0], [1.0], [2.0]]
        assert len(taken) == 6  # three taken, three on their way
        answers.close()  # pyright: ignore[reportAttributeAccessIssue]
        assert len(taken) == 6


def stuck(request: bytes) -> bytes:
    """Answers the first batch of a stream, and no other for three seconds."""
    if wire.PredictRequest.FromString(request).inputs["x"].tensor_content != np.float64(0).tobytes():
        time.sleep(3)
    return echo(request)


def test_what_is_on_its_way_is_cancelled(scripted):
    scripted.scripts["Predict"] = [stuck]
    with Client(scripted.address) as client:
        answers = client.predict_many("m", endless(), batch_size=None, in_flight=2)
        next(answers)
        started = time.monotonic()
        answers.close()  # pyright: ignore[reportAttributeAccessIssue]
        assert time.monotonic() - started < 2.0


def test_what_is_on_its_way_is_cancelled_in_asyncio(scripted):
    scripted.scripts["Predict"] = [stuck]

    async def ask() -> float:
        async with AsyncClient(scripted.address) as client:
            answers = client.predict_many("m", endless(), batch_size=None, in_flight=2)
            await anext(answers)
            started = time.monotonic()
            await answers.aclose()  # pyright: ignore[reportAttributeAccessIssue]
            assert len(asyncio.all_tasks()) == 1, "a task is left behind"
            return time.monotonic() - started

    assert asyncio.run(ask()) < 2.0


@pytest.mark.parametrize(
    ("inputs", "options", "text"),
    [
        ({"x": [1], "y": [1, 2]}, {}, "same number of rows"),
        ({"x": 1}, {}, "same number of rows"),
        ({}, {}, "same number of rows"),
        ({"x": [1]}, {"batch_size": 0}, "`batch_size`"),
        ({"x": [1]}, {"in_flight": 0}, "`in_flight`"),
        ([{"x": 1}, {"y": 1}], {}, "same inputs"),
    ],
    ids=["rows", "scalar", "none", "batch size", "flight", "names"],
)
def test_what_cannot_be_cut_is_refused(connect, scripted, inputs, options, text):
    with pytest.raises(UsageError, match=text):
        connect(scripted.address).predict_many("m", inputs, **options)
    assert not scripted.asked
