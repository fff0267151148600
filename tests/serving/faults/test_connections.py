# pyright: reportAttributeAccessIssue=false
"""Ten thousand idle connections to gRPC's port: those beyond the limit are closed, the others never notice."""

import contextlib
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator

import harness
import psutil
import pytest

from serving import Client
from serving.options import ServerOptions
from serving.server import Server

WANTED, LIMIT = 10_000, 200
SPARE = 1_000  # open files of the test, and the server's ends of its connections


@pytest.fixture
def connections() -> Iterator[int]:
    """How many can be opened here: this process has both ends of those that are taken."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = WANTED + LIMIT + SPARE if hard == resource.RLIM_INFINITY else min(hard, WANTED + LIMIT + SPARE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, files), hard))
    yield min(WANTED, files - LIMIT - SPARE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def server(tmp_path, publish) -> Iterator[Server]:
    publish("double", harness.model(tmp_path, "m") / "1")
    running = Server(tmp_path, ServerOptions(port=0, poll_seconds=0, max_connections=LIMIT))
    running.start()
    yield running
    running.stop(0)


def is_closed(connection: socket.socket) -> bool:
    try:
        while connection.recv(1000):
            pass
    except BlockingIOError:
        return False
    except ConnectionResetError:
        pass
    return True


def test_idle_connections_beyond_the_limit_are_closed(server, connections):
    assert connections > 10 * LIMIT, "too few open files are allowed here to try it"
    with Client(f"127.0.0.1:{server.port}") as early, contextlib.ExitStack() as held:
        early.predict("m", x=[1.0])
        idle = [held.enter_context(socket.create_connection(("127.0.0.1", server.port))) for _ in range(connections)]
        for connection in idle:
            connection.setblocking(False)
        harness.wait_for(lambda: sum(map(is_closed, idle)) >= connections - LIMIT)
        assert sum(map(is_closed, idle)) <= connections - LIMIT + 1  # with the early one, so many are taken
        for _ in range(5):
            assert early.predict("m", x=[2.0], timeout_s=5)["y"].tolist() == [4.0]
        assert not is_greeted(server.port)
        held.close()
        harness.wait_for(lambda: is_greeted(server.port))
    harness.wait_for(lambda: psutil.Process().num_fds() < SPARE)


def is_greeted(port: int) -> bool:
    """Whether a new connection is taken: the server begins with its settings."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection, contextlib.suppress(ConnectionError):
        return connection.recv(1000) != b""
    return False


LIMITED = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 512))
from serving.process import raise_open_files
raise_open_files()
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def test_the_server_asks_for_as_many_open_files_as_it_may_have():
    told = subprocess.run([sys.executable, "-c", LIMITED], capture_output=True, text=True, check=True, timeout=60)
    assert told.stdout.split() == ["512", "512"]
