"""Servers that answer from a script, certificates, and both clients behind one blocking interface."""

import asyncio
import collections
import concurrent.futures
import dataclasses
import pathlib
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import numpy as np
import pytest

from serving import AsyncClient, Client
from serving.protocol import messages as wire
from serving.protocol.codec import decode_tensor, encode_values

Answer = bytes | grpc.StatusCode


class ScriptedServer(grpc.GenericRpcHandler):
    """Answers each method by the next entry of its script, whose last entry goes on; echoes where there is none.

    An entry is bytes, a code to fail with, or a function of the request's bytes that returns one of them.
    """

    def __init__(self, credentials: grpc.ServerCredentials | None = None):
        self.scripts: dict[str, list[Answer | Callable[[bytes], Answer]]] = {
            "Predict": [echo],
            "GetModelMetadata": [grpc.StatusCode.UNIMPLEMENTED],
        }
        self.text = ""
        self.asked: collections.Counter[str] = collections.Counter()
        self.requests: list[bytes] = []
        self.headers: list[dict[str, Any]] = []
        self.running = self.most_running = 0
        self._credentials = credentials
        self._lock = threading.Lock()
        self._server: grpc.Server | None = None
        self.port = 0

    @property
    def address(self) -> str:
        return f"localhost:{self.port}"

    def start(self, port: int = 0) -> "ScriptedServer":
        # Without SO_REUSEPORT a port that is still in use is refused.
        options = [("grpc.so_reuseport", 0)]
        self._server = grpc.server(concurrent.futures.ThreadPoolExecutor(8), options=options)
        self._server.add_generic_rpc_handlers((self,))
        add, credentials = self._server.add_insecure_port, self._credentials
        host = f"localhost:{port}"
        self.port = add(host) if credentials is None else self._server.add_secure_port(host, credentials)
        self._server.start()
        return self

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop(0).wait()

    def service(self, handler_call_details: Any) -> grpc.RpcMethodHandler:
        method = handler_call_details.method.rpartition("/")[2]
        headers = dict(handler_call_details.invocation_metadata)

        def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
            with self._lock:
                self.asked[method] += 1
                self.requests.append(request)
                self.headers.append(headers)
                self.running += 1
                self.most_running = max(self.most_running, self.running)
                script = self.scripts[method]
                entry = script.pop(0) if len(script) > 1 else script[0]
            try:
                result = entry(request) if callable(entry) else entry
            finally:
                with self._lock:
                    self.running -= 1
            if isinstance(result, grpc.StatusCode):
                context.abort(result, self.text or f"scripted {result.name}")
                raise AssertionError("abort raises")
            return result

        return grpc.unary_unary_rpc_method_handler(answer)


def echo(request: bytes) -> bytes:
    """A PredictResponse with the inputs as outputs."""
    response = wire.PredictResponse()
    for name, proto in wire.PredictRequest.FromString(request).inputs.items():
        encode_values(decode_tensor(proto), response.outputs[name])
    return response.SerializeToString()


def slow_echo(request: bytes) -> bytes:
    time.sleep(0.05)
    return echo(request)


@pytest.fixture
def scripted() -> Iterator[ScriptedServer]:
    server = ScriptedServer().start()
    yield server
    server.stop()


class Blocking:
    """An `AsyncClient` in an event loop of its own, to be called as a `Client`."""

    def __init__(self, address: str, **options: Any):
        self._runner = asyncio.Runner()
        try:
            self.client = self._runner.run(self._open(address, options))
        except BaseException:
            self._runner.close()
            raise

    async def _open(self, address: str, options: dict[str, Any]) -> AsyncClient:
        return AsyncClient(address, **options)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.client, name)

        async def collect(*args: Any, **kwargs: Any) -> Any:
            result = method(*args, **kwargs)
            return [one async for one in result] if hasattr(result, "__aiter__") else await result

        return lambda *args, **kwargs: self._runner.run(collect(*args, **kwargs))

    def close(self) -> None:
        self._runner.run(self.client.close())

    def end(self) -> None:
        self.close()
        self._runner.close()


class Listing:
    """A `Client` whose iterators are read to their end, as those of `Blocking` are."""

    def __init__(self, address: str, **options: Any):
        self.client = Client(address, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def predict_many(self, *args: Any, **kwargs: Any) -> list[dict[str, np.ndarray]]:
        return list(self.client.predict_many(*args, **kwargs))

    def end(self) -> None:
        self.client.close()


@pytest.fixture(params=[Listing, Blocking], ids=["sync", "async"])
def connect(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """Opens a client of either kind; what it raises and returns must not differ."""
    opened: list[Any] = []

    def open_client(address: str, **options: Any) -> Any:
        opened.append(request.param(address, **options))
        return opened[-1]

    yield open_client
    for client in opened:
        client.end()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Certificates:
    """Files of a CA, of another one, and of a server (`localhost`, `model.test`) and a client signed by the first."""

    ca: pathlib.Path
    other_ca: pathlib.Path
    server: tuple[pathlib.Path, pathlib.Path]
    client: tuple[pathlib.Path, pathlib.Path]

    def server_credentials(self, *, mutual: bool = False) -> grpc.ServerCredentials:
        certificate, key = (path.read_bytes() for path in self.server)
        return grpc.ssl_server_credentials([(key, certificate)], self.ca.read_bytes() if mutual else None, mutual)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    path = tmp_path_factory.mktemp("certificates")
    new = ("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")

    def run(*arguments: str) -> None:
        subprocess.run(arguments, cwd=path, check=True, capture_output=True)

    for name in ("ca", "other"):
        run(*new, "-x509", "-days", "2", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem")
    (path / "names").write_text("subjectAltName=DNS:localhost,DNS:model.test")
    for name in ("server", "client"):
        run(*new, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
        run("openssl", "x509", "-req", "-in", f"{name}.csr", *signed, "-out", f"{name}.pem")
    return Certificates(
        ca=path / "ca.pem",
        other_ca=path / "other.pem",
        server=(path / "server.pem", path / "server.key"),
        client=(path / "client.pem", path / "client.key"),
    )


@pytest.fixture
def tls_server(certificates: Certificates) -> Iterator[ScriptedServer]:
    server = ScriptedServer(certificates.server_credentials()).start()
    yield server
    server.stop()


@pytest.fixture
def mutual_tls_server(certificates: Certificates) -> Iterator[ScriptedServer]:
    server = ScriptedServer(certificates.server_credentials(mutual=True)).start()
    yield server
    server.stop()
