"""The access log: its lines, rotation, a full disk; and that it holds no secrets."""

import errno
import json
import logging
import os
import pathlib
import threading

import grpc
import pytest

from serving.errors import UsageError
from serving.security.access_log import AccessLog
from serving.security.gate import Call

CALL = Call(
    transport="grpc", method="Predict", right="predict", model="digits", peer="ipv4:10.0.0.1:4242", request_bytes=123
)
OK = grpc.StatusCode.OK


def lines(path: pathlib.Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines() if line]


def test_a_line_holds_what_happened(tmp_path):
    log = AccessLog(str(tmp_path / "access.log"), wall_clock=lambda: 1795780800.1239)
    log.write(CALL, caller="alice", code=OK, seconds=0.0123456, version=3, response_bytes=45)
    log.write(CALL, caller="", code=grpc.StatusCode.UNAUTHENTICATED, seconds=0)
    first, second = lines(tmp_path / "access.log")
    assert first == {
        "time": "2026-11-27T12:00:00.123Z",
        "transport": "grpc",
        "method": "Predict",
        "model": "digits",
        "version": 3,
        "caller": "alice",
        "peer": "ipv4:10.0.0.1:4242",
        "code": "OK",
        "ms": 12.346,
        "request_bytes": 123,
        "response_bytes": 45,
    }
    assert (second["code"], second["caller"]) == ("UNAUTHENTICATED", "")
    assert "version" not in second
    assert (tmp_path / "access.log").stat().st_mode & 0o007 == 0


@pytest.mark.parametrize(
    "model", ['a"\n{"code":"OK"}', "é\u2028\x00", "\udcff", "x" * 10_000], ids=["lines", "odd", "surrogate", "long"]
)
def test_a_name_cannot_forge_a_line(tmp_path, model):
    log = AccessLog(str(tmp_path / "access.log"))
    call = Call(transport="rest", method="Predict", right="predict", model=model, peer="p")
    log.write(call, caller="alice", code=OK, seconds=0)
    content = (tmp_path / "access.log").read_bytes()
    assert content.count(b"\n") == 1
    assert len(content) < 2000
    assert json.loads(content)["model"] == model[:200]


def test_it_appends_and_follows_a_rotation_within_a_second(tmp_path):
    now = [0.0]
    path = tmp_path / "access.log"
    path.write_text('{"before": 1}\n')
    log = AccessLog(str(path), clock=lambda: now[0])
    log.write(CALL, caller="first", code=OK, seconds=0)
    path.rename(tmp_path / "access.log.1")
    log.write(CALL, caller="second", code=OK, seconds=0)
    now[0] += 1.0
    log.write(CALL, caller="third", code=OK, seconds=0)
    assert [line.get("caller") for line in lines(tmp_path / "access.log.1")] == [None, "first", "second"]
    assert [line["caller"] for line in lines(path)] == ["third"]


def test_it_is_opened_again_on_demand(tmp_path):
    path = tmp_path / "access.log"
    log = AccessLog(str(path))
    path.rename(tmp_path / "access.log.1")
    log.reopen()
    log.write(CALL, caller="alice", code=OK, seconds=0)
    assert len(lines(path)) == 1


def test_a_directory_that_vanishes_keeps_the_open_file(tmp_path, caplog):
    now = [0.0]
    (tmp_path / "logs").mkdir()
    log = AccessLog(str(tmp_path / "logs" / "access.log"), clock=lambda: now[0])
    (tmp_path / "logs").rename(tmp_path / "moved")
    now[0] += 1.0
    log.write(CALL, caller="alice", code=OK, seconds=0)
    assert len(lines(tmp_path / "moved" / "access.log")) == 1
    assert "event=access_log_failed" in caplog.text


class Disk:
    """`os.write` with so many bytes left."""

    def __init__(self):
        self.left: int | None = None

    def __call__(self, file: int, content: bytes) -> int:
        if self.left is None:
            return os.write(file, content)
        if self.left == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = os.write(file, content[: self.left])
        self.left -= written
        return written


def test_a_full_disk_drops_lines_counts_them_and_says_so_once(tmp_path, caplog):
    disk, path = Disk(), tmp_path / "access.log"
    log = AccessLog(str(path), write=disk)
    log.write(CALL, caller="before", code=OK, seconds=0)
    disk.left = 20
    with caplog.at_level(logging.WARNING, "serving"):
        for _ in range(10):
            log.write(CALL, caller="lost", code=OK, seconds=0)
        assert log.dropped == 10
        assert caplog.text.count("event=access_log_failed") == 1
        disk.left = None
        log.write(CALL, caller="after", code=OK, seconds=0)
        log.write(CALL, caller="last", code=OK, seconds=0)
    assert caplog.text.count("event=access_log_resumed") == 1
    assert "dropped=10" in caplog.text
    whole = [line for line in path.read_text().splitlines() if line.endswith("}")]
    assert [json.loads(line)["caller"] for line in whole] == ["before", "after", "last"]


def test_the_real_full_device_does_not_fail_a_request():
    log = AccessLog("/dev/full")
    log.write(CALL, caller="alice", code=OK, seconds=0)
    assert log.dropped == 1


def test_standard_error(capfd):
    log = AccessLog("-")
    log.write(CALL, caller="alice", code=OK, seconds=0)
    log.reopen()
    log.write(CALL, caller="bob", code=OK, seconds=0)
    assert [json.loads(line)["caller"] for line in capfd.readouterr().err.splitlines()] == ["alice", "bob"]


def test_a_file_that_cannot_be_opened_is_wrong_use(tmp_path):
    with pytest.raises(UsageError, match="cannot be opened"):
        AccessLog(str(tmp_path / "no" / "access.log"))


def test_lines_of_many_threads_stay_whole(tmp_path):
    path = tmp_path / "access.log"
    log = AccessLog(str(path), clock=iter(range(10**6)).__next__)  # a look at the file before each line

    def work(name: str) -> None:
        for _ in range(200):
            log.write(CALL, caller=name, code=OK, seconds=0)
            if name == "0":
                log.reopen()

    threads = [threading.Thread(target=work, args=(str(i),)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(line["caller"] for line in lines(path)) == sorted(str(i) for i in range(4) for _ in range(200))


def test_after_close_lines_are_dropped(tmp_path):
    log = AccessLog(str(tmp_path / "access.log"))
    log.close()
    log.write(CALL, caller="alice", code=OK, seconds=0)
    assert log.dropped == 1
