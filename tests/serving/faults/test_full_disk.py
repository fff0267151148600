# pyright: reportAttributeAccessIssue=false
"""A full disk: requests are answered all the same, and what is on the disk stays whole."""

import contextlib
import datetime
import errno
import os
import pathlib
import resource
import subprocess
import sys
from collections.abc import Iterator

import grpc
import harness
import pytest

from serving import Client
from serving import metrics as metrics_module
from serving.errors import ServingError
from serving.metrics import MULTIPROCESS_DIRECTORY, Metrics
from serving.options import ServerOptions
from serving.security.access import parse_rule
from serving.security.access_log import AccessLog
from serving.security.gate import Gate
from serving.security.token_store import change_entries, read_entries
from serving.security.tokens import make_token
from serving.server import Server

OK = grpc.StatusCode.OK
FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def full_disk(tmp_path) -> Iterator[pathlib.Path]:
    """A disk of 100 KB; only root may make one."""
    path = tmp_path / "disk"
    path.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=100k", "none", str(path)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a file system of 100 KB cannot be mounted here")
    yield path
    subprocess.run(["umount", "--lazy", str(path)], check=True)


def test_an_access_log_on_a_full_disk_fails_no_request(tmp_path, publish, caplog):
    publish("double", harness.model(tmp_path, "m") / "1")
    log = AccessLog("/dev/full")
    server = Server(tmp_path, ServerOptions(port=0, rest_port=0, poll_seconds=0), gate=Gate(access_log=log))
    server.start()
    with Client(f"127.0.0.1:{server.port}") as client:
        for _ in range(5):
            assert client.predict("m", x=[1.0])["y"].tolist() == [2.0]
    server.stop(1)
    assert log.dropped >= 5  # the client asks for the signatures too
    assert caplog.text.count("event=access_log_failed") == 1


@contextlib.contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_tokens_file_that_cannot_be_written_is_as_it_was(tmp_path, tokens_file):
    before, entries = tokens_file.read_bytes(), read_entries(tokens_file)
    with files_of_at_most(len(before) - 1), pytest.raises(ServingError, match="cannot be written.* It is as it was"):
        change_entries(tokens_file, lambda entries: entries)
    assert tokens_file.read_bytes() == before
    assert read_entries(tokens_file) == entries
    assert [path.name for path in tmp_path.iterdir()] == [tokens_file.name]


@pytest.fixture
def tokens_file(tmp_path) -> pathlib.Path:
    path = tmp_path / "tokens.json"
    entry = make_token("alice", (parse_rule("*:predict"),), now=datetime.datetime.now(datetime.UTC)).entry
    change_entries(path, lambda _: [entry])
    return path


COUNT = """
import grpc
from serving.metrics import Metrics
metrics = Metrics()
for index in range(2000):
    metrics.count(f"model{index}", "Predict", "grpc", grpc.StatusCode.OK, 0.1)
print(metrics.text().count(b"model0"))
"""


def test_counts_on_a_full_disk_do_not_end_the_process(full_disk):
    """Counts of several processes are files in memory: a page without a place on the disk is SIGBUS."""
    program = subprocess.run(
        [sys.executable, "-c", COUNT],
        env={**os.environ, MULTIPROCESS_DIRECTORY: str(full_disk)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert program.returncode == 0, program.stderr
    assert program.stderr.count("event=metrics_failed") == 1
    assert "No space left on device" in program.stderr
    assert int(program.stdout) > 0  # the first model's requests: their file still fitted


def test_counting_goes_on_when_there_is_room_again(monkeypatch):
    metrics = Metrics()
    failing = True

    def labels(self, *values):
        if failing:
            raise FULL
        return original(self, *values)

    original = metrics_module.Counter.labels
    monkeypatch.setattr(metrics_module.Counter, "labels", labels)
    metrics.count("m", "Predict", "grpc", OK, 0.1)
    failing = False
    monkeypatch.setattr(metrics_module, "RETRY_S", 0.0)
    metrics.count("m", "Predict", "grpc", OK, 0.1)
    assert {line["requests"] for line in metrics.totals() if "requests" in line} == {1}
