# pyright: reportAttributeAccessIssue=false, reportCallIssue=false
"""What must not hold up a server: idle streams, probes, abandoned requests, a load that takes long."""

import concurrent.futures
import contextlib
import gc
import pathlib
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any, cast

import grpc
import numpy as np
import pytest
import tensorflow as tf
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from serving import Client, process
from serving import server as server_module
from serving.errors import DeadlineError
from serving.options import ServerOptions
from serving.server import REFLECTION_STREAMS, Server

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture
def small_root(tmp_path: pathlib.Path, publish) -> pathlib.Path:
    (tmp_path / "root" / "m").mkdir(parents=True)
    publish("double", tmp_path / "root" / "m" / "1")
    return tmp_path / "root"


@contextlib.contextmanager
def started(root: pathlib.Path, **options) -> Iterator[tuple[Server, str]]:
    server = Server(root, ServerOptions(**{"port": 0, "poll_seconds": 0, **options}))
    server.start()
    yield server, f"127.0.0.1:{server.port}"
    server.stop(0)


def spin(address: str, seconds: float, timeout_s: float = 30) -> None:
    with Client(address) as client:
        client.predict("m", signature="spin", seconds=np.float32(seconds), timeout_s=timeout_s)


def check(address: str, service: str = "", timeout_s: float = 5) -> int:
    with grpc.insecure_channel(address) as channel:
        request = health_pb2.HealthCheckRequest(service=service)
        return health_pb2_grpc.HealthStub(channel).Check(request, timeout=timeout_s).status


def idle_reflection(channel: grpc.Channel) -> Any:
    """A stream that asks once and is then left open."""
    requests: queue.SimpleQueue = queue.SimpleQueue()
    requests.put(reflection_pb2.ServerReflectionRequest(list_services=""))
    return reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter(requests.get, None))


def test_idle_reflection_streams_hold_up_nobody(small_root):
    with started(small_root, workers=1) as (server, address), grpc.insecure_channel(address) as channel:
        streams = [idle_reflection(channel) for _ in range(REFLECTION_STREAMS + 2)]
        assert next(streams[0]).list_services_response.service
        spin(address, 0.0, timeout_s=5)
        assert check(address) == SERVING
        before = time.monotonic()
        assert server.stop(20) is True
        assert time.monotonic() - before < 10
        # UNAVAILABLE where the closing of the connection overtakes the end of the stream.
        assert streams[0].code() in (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE)


def test_health_answers_under_full_load(small_root):
    with started(small_root, workers=1) as (_, address), concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(spin, address, 2.0)
        time.sleep(0.5)
        assert check(address, timeout_s=1) == SERVING
        assert not running.done()


def test_health_follows_the_models(small_root, publish):
    with started(small_root, poll_seconds=0.05) as (_, address):
        assert check(address, "m") == SERVING
        (small_root / "broken" / "1").mkdir(parents=True)
        (small_root / "m").rename(small_root / ".hidden")
        deadline = time.monotonic() + 15
        while check(address, "m") == SERVING:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert check(address, "m") == NOT_SERVING
        assert check(address, "broken") == NOT_SERVING
        assert check(address) == SERVING


def test_a_server_is_healthy_only_once_it_answers(small_root):
    server = Server(small_root, ServerOptions(port=0, poll_seconds=0))
    request = health_pb2.HealthCheckRequest()
    assert server._health.Check(request, cast(Any, None)).status == NOT_SERVING
    server.start()
    assert server._health.Check(request, cast(Any, None)).status == SERVING
    server.stop(0)


@pytest.mark.parametrize(("grace_s", "in_time"), [(20.0, True), (0.1, False)], ids=["in time", "cut off"])
def test_a_request_whose_client_gave_up_is_waited_for(small_root, grace_s, in_time):
    with started(small_root) as (server, address):
        with pytest.raises(DeadlineError):
            spin(address, 2.0, timeout_s=0.5)
        before = time.monotonic()
        assert server.stop(grace_s) is in_time
        assert time.monotonic() - before < 10


def test_stop_during_the_start(small_root, monkeypatch):
    server = Server(small_root, ServerOptions(port=0))
    loading, go_on = threading.Event(), threading.Event()
    original = server.repository._load

    def load(path: pathlib.Path):
        loading.set()
        assert go_on.wait(30)
        return original(path)

    server.repository._load = load
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        starting = pool.submit(server.start)
        assert loading.wait(10)
        before = time.monotonic()
        assert server.stop(0.2) is True
        assert time.monotonic() - before < 5
        go_on.set()
        starting.result()
    assert server.repository.served() == {}


def test_a_signal_during_the_start_ends_the_process_within_its_grace(small_root, publish, tmp_path):
    slow = publish("double", tmp_path / "root" / "m" / "2")
    message = predict_pb2.PredictRequest()
    message.model_spec.signature_name = "spin"
    message.inputs["seconds"].CopyFrom(tf.make_tensor_proto(np.float32(60)))
    log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=message))
    (slow / "assets.extra").mkdir()
    with tf.io.TFRecordWriter(str(slow / "assets.extra" / "tf_serving_warmup_requests")) as writer:
        writer.write(log.SerializeToString())
    server = subprocess.Popen(
        [str(pathlib.Path(sys.executable).parent / "serving"), "serve", str(small_root), "--port", "0", "--grace", "1"],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stderr is not None
        for line in server.stderr:
            if "event=loaded model=m version=1" in line:
                break
        time.sleep(0.5)
        before = time.monotonic()
        server.send_signal(signal.SIGTERM)
        _, log_text = server.communicate(timeout=30)
    finally:
        server.kill()
    assert time.monotonic() - before < 10
    assert server.returncode == 0, log_text
    assert "still loading was given up" in log_text


class FakeServer:
    """Records what was frozen when it was made and started; a signal follows the start."""

    seen: list[int]

    def __init__(self, *_: object, **__: object):
        self.port = 1
        self.rest_port = None
        self.repository = self
        self.refreshing = False
        FakeServer.seen = [gc.get_freeze_count()]

    def served(self) -> dict[str, list[int]]:
        return {}

    def start(self) -> None:
        FakeServer.seen.append(gc.get_freeze_count())

    def stop(self, grace_s: float) -> bool:
        FakeServer.seen.append(gc.get_freeze_count())
        return True


def test_nothing_loaded_is_frozen_for_ever(small_root, monkeypatch):
    """The first versions' graphs must be collectable: freezing comes after the imports, before the first load."""
    monkeypatch.setattr(server_module, "Server", FakeServer)
    for name in ("_keep_keras_out", "log_to_stderr", "_check_port"):
        monkeypatch.setattr(process, name, lambda *_: None)
    monkeypatch.setattr("serving.engines.tensorflow.set_threads", lambda **_: None)
    monkeypatch.setattr(process, "_on_signals", lambda report: threading.Timer(0.2, report, [15]).start())
    try:
        assert process.run(small_root, ServerOptions(port=0), process.ProcessOptions()) == 0
        assert FakeServer.seen[0] > 0
        assert FakeServer.seen == sorted(FakeServer.seen, reverse=True)  # what was frozen may end, no more is added
    finally:
        gc.unfreeze()


def test_an_ipv6_address(small_root):
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6")
    with started(small_root, host="::1") as (server, _), Client(f"[::1]:{server.port}") as client:
        assert client.predict("m", x=[1.0])["y"].tolist() == [2.0]
