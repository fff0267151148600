"""One of two servers behind the nginx that `deploy` renders is killed under load."""

import concurrent.futures
import importlib.metadata
import json
import pathlib
import threading
import time
from typing import Any

import grpc
import pytest
from front_harness import PROGRAMS, Running, needs_nginx, predict, start_server

from serving.deploy.root import read_root
from serving.deploy.saved_model import tensorflow_version

pytestmark = needs_nginx

RETRYING = json.dumps(
    {
        "methodConfig": [
            {
                "name": [{"service": "tensorflow.serving.PredictionService"}],
                "retryPolicy": {
                    "maxAttempts": 4,
                    "initialBackoff": "0.05s",
                    "maxBackoff": "1s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ]
    }
)


@pytest.fixture(scope="module")
def double_root(tmp_path_factory, publish) -> pathlib.Path:
    path = tmp_path_factory.mktemp("front_root")
    (path / "double").mkdir()
    publish("double", path / "double" / "1")
    return path


@pytest.mark.slow
def test_the_version_is_read_from_a_saved_model_of_tensorflow_itself(double_root):
    assert tensorflow_version(double_root / "double" / "1") == importlib.metadata.version("tensorflow")


@pytest.mark.slow
def test_the_published_message_reads_the_written_config(make_root):
    from google.protobuf import text_format

    from serving.published import ModelServerConfig

    rest = 'version_labels { key: "stable" value: 1 } model_version_policy { specific { versions: 1 } }'
    config = f'model_config_list {{ config {{ name: "digits" base_path: "/x" {rest} }} }}'
    text = read_root(make_root(config=config)).config
    parsed = text_format.Parse(text, ModelServerConfig())
    model = parsed.model_config_list.config[0]
    assert (model.name, model.base_path, model.model_platform) == ("digits", "/models/digits", "tensorflow")
    assert dict(model.version_labels) == {"stable": 1}
    assert list(model.model_version_policy.specific.versions) == [1]


class Load:
    """Threads that each ask without a pause, each over a connection of its own."""

    def __init__(self, running: Running, *options: tuple[str, Any], threads: int = 8):
        self.answered = [0] * threads
        self.failed: list[grpc.RpcError] = []
        self._stop = threading.Event()
        self._running, self._options = running, options
        self._pool = concurrent.futures.ThreadPoolExecutor(threads)
        self._work = [self._pool.submit(self._ask, number) for number in range(threads)]

    def _ask(self, number: int) -> None:
        with self._running.channel(("grpc.use_local_subchannel_pool", 1), *self._options) as channel:
            while not self._stop.is_set():
                try:
                    assert predict(channel, float(number)) == 2.0 * number
                    self.answered[number] += 1
                except grpc.RpcError as error:
                    self.failed.append(error)

    def stop(self) -> None:
        self._stop.set()
        for work in self._work:
            work.result(timeout=60)
        self._pool.shutdown()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "retries"),
    [
        *(pytest.param(program, False, id=f"nginx {number}") for number, program in enumerate(PROGRAMS)),
        *(pytest.param(program, True, id="and a client that retries") for program in PROGRAMS[:1]),
    ],
)
def test_a_server_killed_under_load_costs_no_request(double_root, certificates, tmp_path, program, retries):
    servers = [start_server(double_root) for _ in range(2)]
    running = Running(tmp_path, certificates, [port for _, port in servers], requests_per_s=100_000, program=program)
    try:
        load = Load(running, *([("grpc.service_config", RETRYING)] if retries else []))
        time.sleep(2)
        servers[0][0].kill()
        before = sum(load.answered)
        time.sleep(3)
        load.stop()
    finally:
        running.stop()
        for process, _ in servers:
            process.kill()
            process.communicate()
    first, second = (f"127.0.0.1:{port}" for _, port in servers)
    asked = [entry["upstream"] for entry in running.log()]
    assert asked.count(first) > 100 < asked.count(second)  # both had been asked
    assert f"{first} : {second}" in asked  # what was under way was asked again
    assert min(load.answered) > 0
    assert sum(load.answered) > before + 100  # the other one went on
    assert [(error.code(), error.details()) for error in load.failed] == []
