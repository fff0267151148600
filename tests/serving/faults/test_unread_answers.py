# pyright: reportAttributeAccessIssue=false
"""A client that asks and never reads: others are served, memory stays bounded, and the server drains in time."""

import functools
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import grpc
import harness
import numpy as np
import psutil
import pytest
import raw_http2
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

from serving import Client
from serving import server as server_module
from serving.errors import UnavailableError
from serving.options import ServerOptions
from serving.rpc import servicers
from serving.rpc.unsent import UnsentAnswers
from serving.security.limits import LimitError
from serving.server import Server

PREDICT = "/tensorflow.serving.PredictionService/Predict"
FLOATS = 1_000_000
ANSWER = 4 * FLOATS  # bytes, and a few more
MIB = 1 << 20


class Flood(tf.Module):
    """A long answer to a short question."""

    @tf.function(input_signature=[tf.TensorSpec([], tf.int32, name="n")])
    def serve(self, n):
        return {"y": tf.cast(tf.range(n), tf.float32)}


@pytest.fixture(scope="module")
def root(tmp_path_factory, publish) -> Any:
    path = tmp_path_factory.mktemp("unread")
    module = Flood()
    tf.saved_model.save(module, str(harness.model(path, "flood") / "1"), signatures={"serving_default": module.serve})
    publish("double", harness.model(path, "double") / "1")
    return path


@pytest.fixture(params=[server_module.PING_EVERY_MS])
def server(root, monkeypatch, request) -> Iterator[tuple[Server, UnsentAnswers]]:
    """Keeps 10 answers of the flood; gives one up after a second when another needs its place."""
    unsent = UnsentAnswers(max_bytes=10 * ANSWER + MIB, patience_s=1.0)
    monkeypatch.setattr(servicers, "UnsentAnswers", lambda: unsent)
    monkeypatch.setattr(server_module, "PING_EVERY_MS", request.param)
    monkeypatch.setattr(server_module, "PING_TIMEOUT_MS", request.param)
    running = Server(root, ServerOptions(port=0, poll_seconds=0))
    running.start()
    yield running, unsent
    running.stop(0)


def flood() -> bytes:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "flood"
    request.inputs["n"].CopyFrom(tf.make_tensor_proto(np.int32(FLOATS)))
    return request.SerializeToString()


@pytest.fixture
def unreading(server) -> Iterator[raw_http2.UnreadingClient]:
    client = raw_http2.UnreadingClient(server[0].port, window=0)
    yield client
    client.close()


def test_others_are_served_and_memory_is_bounded(server, unreading, caplog):
    running, unsent = server
    with Client(f"127.0.0.1:{running.port}") as client:
        client.predict("flood", n=np.int32(FLOATS))
        before = psutil.Process().memory_info().rss
        for _ in range(120):
            unreading.ask(PREDICT, flood())
        harness.wait_for(lambda: unsent.held_bytes > 9 * ANSWER)
        for _ in range(20):
            assert client.predict("double", x=[1.0], timeout_s=5)["y"].tolist() == [2.0]
        assert unsent.held_bytes <= 10 * ANSWER + MIB
        assert psutil.Process().memory_info().rss - before < 90 * ANSWER  # 120 answers took 300
        with caplog.at_level(logging.WARNING):
            time.sleep(1.1)
            harness.wait_for(functools.partial(_is_answered, client))  # the unread ones are given up for it
    assert "event=unread_answers_given_up" in caplog.text


def _is_answered(client: Client) -> bool:
    try:
        return len(client.predict("flood", n=np.int32(FLOATS), timeout_s=0.5)["y"]) == FLOATS
    except UnavailableError:
        return False


def test_a_client_that_leaves_frees_its_answers(server, unreading):
    _, unsent = server
    for _ in range(4):
        unreading.ask(PREDICT, flood())
    harness.wait_for(lambda: unsent.held_bytes >= 4 * ANSWER)
    unreading.close()
    harness.wait_for(lambda: unsent.held_bytes == 0)


@pytest.mark.parametrize("server", [1000], indirect=True, ids=["pinged every second"])
def test_a_client_that_is_gone_without_a_word_frees_its_answers(server, unreading):
    """Its machine lost power, say: the connection is open, and nobody answers pings."""
    _, unsent = server
    unreading.ask(PREDICT, flood())
    harness.wait_for(lambda: unsent.held_bytes >= ANSWER)
    harness.wait_for(lambda: unsent.held_bytes == 0, seconds=15)


def test_answers_that_are_read_are_not_held(server):
    running, unsent = server
    with Client(f"127.0.0.1:{running.port}") as client:
        for _ in range(30):  # three times what may be held
            assert len(client.predict("flood", n=np.int32(FLOATS))["y"]) == FLOATS
    harness.wait_for(lambda: unsent.held_bytes == 0)


def test_the_server_drains_in_its_grace(server, unreading):
    running, unsent = server
    for _ in range(3):
        unreading.ask(PREDICT, flood())
    harness.wait_for(lambda: unsent.held_bytes >= 3 * ANSWER)
    started = time.monotonic()
    running.stop(1.0)
    assert time.monotonic() - started < 5


class Context:
    """A call whose answer waits until it is ended."""

    def __init__(self, *, over: bool = False):
        self.over = over
        self.cancelled = False
        self.end: Any = None

    def add_callback(self, callback: Any) -> bool:
        self.end = callback
        return not self.over

    def cancel(self) -> None:
        self.cancelled = True


def test_what_is_over_already_or_small_is_not_counted():
    unsent = UnsentAnswers(max_bytes=100_000)
    unsent.hold(90_000, Context(over=True))
    unsent.hold(1_000, Context())
    assert unsent.held_bytes == 0
    unsent.hold(200_000, Context())  # alone, it passes at any size
    assert unsent.held_bytes == 200_000


def test_only_the_patience_makes_room():
    now = [0.0]
    unsent = UnsentAnswers(max_bytes=100_000, patience_s=10, clock=lambda: now[0])
    first, second = Context(), Context()
    unsent.hold(60_000, first)
    now[0] = 5
    unsent.hold(40_000, second)
    for now[0], given_up in ((10, False), (11, True)):
        with pytest.raises(LimitError, match="Answers of 100000 bytes wait for clients") as raised:
            unsent.hold(20_000, Context())
        assert raised.value.code is grpc.StatusCode.UNAVAILABLE
        assert first.cancelled is given_up
    assert not second.cancelled
    first.end()
    assert unsent.held_bytes == 40_000
    unsent.hold(60_000, Context())


def test_many_threads_leave_nothing_behind():
    unsent = UnsentAnswers(max_bytes=1 << 30)

    def work() -> None:
        for _ in range(500):
            context = Context()
            unsent.hold(20_000, context)
            context.end()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert unsent.held_bytes == 0
