"""The server's life: port, drain, connections that do nothing, TLS."""

import concurrent.futures
import contextlib
import importlib
import json
import pathlib
import resource
import shutil
import socket
import ssl
import subprocess
import sys
import time
from typing import Any

import httpx
import pytest

from serving.errors import ServerStartError
from serving.rest import app, connections, turns
from serving.rest import server as room
from serving.rest.server import RestServer
from serving.security.tls import TLSOptions

SPIN = {"signature_name": "spin", "inputs": 0.6}


def spin(port: int) -> httpx.Response:
    return httpx.post(f"http://127.0.0.1:{port}/v1/models/double:predict", json=SPIN, timeout=30)


def test_a_taken_port_is_named_before_anything_is_loaded(rest_server):
    with pytest.raises(ServerStartError, match=f"{rest_server.rest_port}.*--rest-port"):
        RestServer(rest_server.service, host="127.0.0.1", port=rest_server.rest_port)


def test_a_server_that_never_started_is_stopped(rest_server):
    server = RestServer(rest_server.service, host="127.0.0.1", port=0)
    server.stop(1)
    with socket.socket() as again:
        again.bind(("127.0.0.1", server.port))


def test_the_port_may_be_shared_on_request(rest_server, other_rest):
    first = other_rest(reuse_port=True)
    second = RestServer(rest_server.service, host="127.0.0.1", port=first.port, reuse_port=True)
    second.start()
    assert second.port == first.port
    second.stop(1)


def test_what_runs_is_finished_and_nothing_new_is_taken(other_rest):
    server = other_rest()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(spin, server.port)
        time.sleep(0.3)
        started = time.monotonic()
        server.stop(10)
        assert time.monotonic() - started < 5
        assert running.result().json()["outputs"] > 0
    with pytest.raises(httpx.ConnectError):
        spin(server.port)


def test_what_outlasts_the_grace_is_answered_503(other_rest):
    server = other_rest()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(spin, server.port)
        time.sleep(0.3)
        started = time.monotonic()
        server.stop(0.1)
        assert time.monotonic() - started < 0.6
        response = running.result()
    assert response.status_code == 503
    assert "going down" in response.json()["error"]


def test_a_draining_server_is_not_ready(other_rest):
    server = other_rest()
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}") as client:
        assert client.get("/readyz").json() == {"ready": True, "models": 5, "available": 4}
        server._readiness.draining = True
        response = client.get("/readyz")
        assert response.status_code == 503
        assert response.json()["ready"] is False
        assert client.get("/livez").status_code == 200


def test_a_slow_model_leaves_threads_to_others(other_rest, monkeypatch):
    monkeypatch.setattr(turns, "MAX_THREADS", 4)
    monkeypatch.setattr(turns, "MAX_PER_MODEL", 2)
    server = other_rest()
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        slow = [pool.submit(spin, server.port) for _ in range(6)]
        time.sleep(0.2)
        quick = httpx.get(f"http://127.0.0.1:{server.port}/v1/models/conv", timeout=30)
        assert quick.status_code == 200
        assert sum(one.done() for one in slow) <= 2  # the others still wait
        assert [one.result().status_code for one in slow] == [200] * 6


def test_a_request_that_never_gets_its_turn_is_answered_504(other_rest, monkeypatch):
    monkeypatch.setattr(turns, "MAX_PER_MODEL", 1)
    monkeypatch.setattr(app, "TIMEOUT_S", 0.1)
    server = other_rest()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(spin, server.port)
        time.sleep(0.2)
        late = spin(server.port)
        assert late.status_code == 504
        assert "was not begun" in late.json()["error"]
        assert running.result().status_code == 200


def closed_after(connection: socket.socket) -> float:
    """Seconds until the server ends a connection."""
    started = time.monotonic()
    connection.settimeout(5)
    with contextlib.suppress(ConnectionError):
        assert connection.recv(1000) == b""
    return time.monotonic() - started


@pytest.mark.parametrize("sent", [b"", b"GET /livez HTTP/1.1\r\nx: "], ids=["nothing", "half a head"])
def test_a_connection_without_a_request_is_ended(other_rest, monkeypatch, sent):
    monkeypatch.setattr(connections, "HEAD_TIMEOUT_S", 0.3)
    server = other_rest()
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(sent)
        assert 0.2 < closed_after(connection) < 3


def test_connections_beyond_the_limit_are_answered_503(other_rest, monkeypatch):
    monkeypatch.setattr(connections, "CROWDED_HEAD_TIMEOUT_S", 0.3)
    server = other_rest(max_connections=3)
    with contextlib.ExitStack() as stack:
        early = stack.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{server.port}"))
        early.get("/livez")
        idle = [stack.enter_context(socket.create_connection(("127.0.0.1", server.port))) for _ in range(2)]
        refused = httpx.get(f"http://127.0.0.1:{server.port}/readyz")
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "1"
        assert "as many connections as it takes" in refused.json()["error"]
        assert httpx.get(f"http://127.0.0.1:{server.port}/livez").status_code == 200  # it lives
        assert early.get("/readyz").status_code == 200  # who came before is served
        fourth = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
        assert closed_after(fourth) < 3
        idle.pop().close()
        time.sleep(0.1)
        assert httpx.get(f"http://127.0.0.1:{server.port}/readyz").status_code == 200


IDLE = """
import socket, sys
held = [socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=10) for _ in range(int(sys.argv[2]))]
print("connected", flush=True)
sys.stdin.read()
"""


@pytest.mark.slow
def test_ten_thousand_idle_connections_are_outlived(other_rest, monkeypatch):
    wanted, soft_hard = 10_000, resource.getrlimit(resource.RLIMIT_NOFILE)
    files = wanted + 1000
    if soft_hard[1] != resource.RLIM_INFINITY and soft_hard[1] < files:
        pytest.skip(f"{files} open files are needed at a time; {soft_hard[1]} are allowed")
    monkeypatch.setattr(connections, "HEAD_TIMEOUT_S", 3.0)
    server = other_rest()
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, soft_hard[1]))  # the child's, too
    command = [sys.executable, "-c", IDLE, str(server.port), str(wanted)]
    try:
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "connected\n"
            started = time.monotonic()
            assert httpx.get(f"http://127.0.0.1:{server.port}/readyz", timeout=10).status_code in (200, 503)
            assert time.monotonic() - started < 5
            time.sleep(4)
            assert httpx.get(f"http://127.0.0.1:{server.port}/readyz").status_code == 200
            assert len(server._server.server_state.connections) < 10
            child.communicate("")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, soft_hard)


def test_a_client_that_never_reads_is_dropped(other_rest, monkeypatch):
    monkeypatch.setattr(connections, "WRITE_TIMEOUT_S", 0.3)
    server = other_rest()
    text = b'{"signature_name": "echo", "inputs": "' + b"x" * 20_000_000 + b'"}'
    head = f"POST /v1/models/double:predict HTTP/1.1\r\nhost: x\r\ncontent-length: {len(text)}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(head + text)
        deadline = time.monotonic() + 10
        while server._server.server_state.connections:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert httpx.get(f"http://127.0.0.1:{server.port}/livez").status_code == 200


def test_nothing_is_told_of_the_software(rest):
    assert "server" not in rest.get("/livez").headers


@pytest.fixture(scope="module")
def pems(tmp_path_factory):
    """server and next, client and stranger."""
    sys.path.append(str(pathlib.Path(__file__).parents[1] / "security"))  # importlib mode: for `certificate_files`
    files: Any = importlib.import_module("certificate_files")

    path = tmp_path_factory.mktemp("certificates")
    for authority in ("ca", "other_ca"):
        files.make_authority(path, authority)
    for name in ("server", "next", "client"):
        files.make_certificate(path, name, "ca")
    files.make_certificate(path, "stranger", "other_ca")
    return path


def client_context(pems, client: str | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(pems / "ca.pem"))
    if client:
        context.load_cert_chain(pems / f"{client}.pem", pems / f"{client}.key")
    return context


def test_mutual_tls_names_the_caller(other_rest, pems, tmp_path):
    from serving.security.gate import Gate, GateOptions

    log = tmp_path / "access.log"
    tls = TLSOptions(cert=pems / "server.pem", key=pems / "server.key", client_ca=pems / "ca.pem")
    server = other_rest(gate=Gate.open(GateOptions(access_log=str(log))), tls=tls)
    url = f"https://localhost:{server.port}/v1/models/double"
    assert httpx.get(url, verify=client_context(pems, "client")).status_code == 200
    assert json.loads(log.read_text())["caller"] == "client"
    for client in (None, "stranger"):
        with pytest.raises(httpx.TransportError):
            httpx.get(url, verify=client_context(pems, client))


def test_a_renewed_certificate_is_taken_without_a_restart(other_rest, pems, tmp_path, monkeypatch):
    monkeypatch.setattr(room, "RENEWAL_TICKS", 1)
    for ending in ("pem", "key"):
        shutil.copy(pems / f"server.{ending}", tmp_path / f"mine.{ending}")
    server = other_rest(tls=TLSOptions(cert=tmp_path / "mine.pem", key=tmp_path / "mine.key"))

    def shown() -> bytes:
        with (
            socket.create_connection(("localhost", server.port), timeout=10) as plain,
            client_context(pems).wrap_socket(plain, server_hostname="localhost") as secure,
        ):
            return secure.getpeercert(binary_form=True) or b""

    def der_of(name: str) -> bytes:
        return ssl.PEM_cert_to_DER_cert((pems / f"{name}.pem").read_text())

    assert shown() == der_of("server")
    for ending in ("pem", "key"):
        shutil.copy(pems / f"next.{ending}", tmp_path / f"mine.{ending}")
    deadline = time.monotonic() + 10
    while shown() != der_of("next"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
