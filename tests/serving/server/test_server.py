# pyright: reportAttributeAccessIssue=false
"""A server's life: start, port in use, drain, signals."""

import concurrent.futures
import json
import os
import pathlib
import select
import signal
import subprocess
import sys
import time

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from serving import Client
from serving.errors import RequestError, ServerStartError, UnavailableError, UsageError
from serving.options import ServerOptions
from serving.server import Server

SERVING = pathlib.Path(sys.executable).parent / "serving"


@pytest.fixture
def small_root(tmp_path: pathlib.Path, publish) -> pathlib.Path:
    (tmp_path / "root" / "m").mkdir(parents=True)
    publish("double", tmp_path / "root" / "m" / "1")
    return tmp_path / "root"


def test_a_taken_port_is_named(server, small_root):
    with pytest.raises(ServerStartError, match=f"port {server.port} is in use"):
        Server(small_root, ServerOptions(port=server.port))


def test_root_must_exist(tmp_path):
    with pytest.raises(UsageError, match="ROOT must be a directory"):
        Server(tmp_path / "nosuch", ServerOptions(port=0))


def test_a_wrong_models_config_stops_the_start(small_root):
    (small_root / "models.config").write_text("model_config_list {")
    with pytest.raises(UsageError, match="no ModelServerConfig"):
        Server(small_root, ServerOptions(port=0))


@pytest.mark.parametrize("options", [{"workers": 0}, {"versions": "newest"}], ids=str)
def test_options_are_checked(options):
    with pytest.raises(UsageError, match=f"`{next(iter(options))}` must be"):
        ServerOptions(**options)


def test_only_the_latest_on_request(small_root, publish):
    publish("triple", small_root / "m" / "2")
    server = Server(small_root, ServerOptions(port=0, poll_seconds=0, versions="latest"))
    server.start()
    assert server.repository.served() == {"m": [2]}
    server.stop(1)


def test_an_empty_root_waits_for_models(tmp_path, publish):
    server = Server(tmp_path, ServerOptions(port=0, poll_seconds=0.05))
    server.start()
    with Client(f"127.0.0.1:{server.port}") as client:
        (tmp_path / "m").mkdir()
        publish("double", tmp_path / "m" / "1")
        deadline = time.monotonic() + 15
        while server.repository.served() != {"m": [1]}:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert client.predict("m", x=[1.0])["y"].tolist() == [2.0]
    server.stop(1)


def spin(address: str, seconds: float) -> int:
    with Client(address) as client:
        return int(client.predict("m", signature="spin", seconds=np.float32(seconds), timeout_s=30)["turns"])


def health_updates(address: str) -> list[int]:
    """What a watcher of the server's health is told until the server goes away."""
    seen = []
    with grpc.insecure_channel(address) as channel:
        try:
            for update in health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=30):
                seen.append(update.status)
        except grpc.RpcError:
            pass
    return seen


@pytest.mark.parametrize(("grace_s", "in_time"), [(10.0, True), (0.1, False)], ids=["in time", "cut off"])
def test_drain(small_root, grace_s, in_time):
    server = Server(small_root, ServerOptions(port=0, poll_seconds=0))
    server.start()
    address = f"127.0.0.1:{server.port}"
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        running = pool.submit(spin, address, 1.0)
        watched = pool.submit(health_updates, address)
        time.sleep(0.5)
        assert server.stop(grace_s) is in_time
        if in_time:
            assert running.result() > 0
        else:
            with pytest.raises(RequestError) as raised:  # UNAVAILABLE where the client tried again
                running.result()
            assert raised.value.code in (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE)
        updates = watched.result()
    assert updates[0] == health_pb2.HealthCheckResponse.SERVING
    assert updates[-1] == health_pb2.HealthCheckResponse.NOT_SERVING


def start(root: pathlib.Path, *options: str) -> tuple[subprocess.Popen[str], dict]:
    process = subprocess.Popen(
        [str(SERVING), "serve", str(root), "--port", "0", "--json", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], 120)
    line = process.stdout.readline() if readable else ""
    if not line:
        process.kill()
        pytest.fail(f"no ready line; standard error: {process.communicate()[1]}")
    return process, json.loads(line)


@pytest.mark.parametrize(
    ("number", "options", "spin_s", "status"),
    [
        (signal.SIGTERM, (), 1.5, 0),
        (signal.SIGINT, ("--grace", "0.2"), 8.0, 1),
    ],
    ids=["SIGTERM, in time", "SIGINT, cut off"],
)
def test_a_signal_drains_the_process(small_root, number, options, spin_s, status):
    process, ready = start(small_root, *options)
    address = f"127.0.0.1:{ready['port']}"
    try:
        assert ready == {
            "event": "ready",
            "host": "127.0.0.1",
            "port": ready["port"],
            "pid": process.pid,
            "models": {"m": [1]},
        }
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            running = pool.submit(spin, address, spin_s)
            time.sleep(0.5)
            process.send_signal(number)
            time.sleep(0.3)
            with Client(address) as client, pytest.raises(UnavailableError):
                client.status("m")  # nothing new is taken
            if status == 0:
                assert running.result() > 0
            else:
                assert running.exception() is not None
        output, log = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == status, log
    assert output == ""  # the ready line was all
    assert "event=draining" in log
    assert ("event=stopped" in log) is True
    assert "Traceback" not in log
