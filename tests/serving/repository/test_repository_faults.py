"""The repository when the disk, a load or the shutdown does not go as it should."""

import concurrent.futures
import errno
import os
import pathlib
import threading
import time

import pytest
from fake_disk import Disk, FakePredictor

from serving.engines.abstract import AbstractPredictor
from serving.errors import ModelLoadError
from serving.repository.disk import scan_versions
from serving.repository.model_config import ModelConfig
from serving.repository.repository import State


@pytest.fixture
def disk(tmp_path: pathlib.Path) -> Disk:
    return Disk(tmp_path)


def fail_below(monkeypatch: pytest.MonkeyPatch, path: pathlib.Path, error: OSError) -> None:
    """Let `os.scandir` of `path` raise `error`."""
    original = os.scandir

    def scandir(asked):
        if pathlib.Path(asked) == path:
            raise error
        return original(asked)

    monkeypatch.setattr(os, "scandir", scandir)


@pytest.mark.parametrize("code", [errno.EMFILE, errno.EIO, errno.EACCES, errno.ESTALE], ids=errno.errorcode.get)
@pytest.mark.parametrize("where", [".", "1"], ids=["model", "version"])
def test_a_disk_that_cannot_tell_keeps_what_is_served(disk, monkeypatch, caplog, code, where):
    disk.write(1, "10")
    disk.refresh()
    with monkeypatch.context() as patched:
        fail_below(patched, disk.path / where, OSError(code, os.strerror(code)))
        assert disk.refresh() == [1]
        assert disk.refresh() == [1]
        assert disk.ask() == 10
    assert len([record for record in caplog.records if os.strerror(code) in record.message]) == 1
    disk.write(2, "20")
    assert disk.refresh() == [1, 2]


def test_a_directory_that_vanishes_during_the_look_is_not_there(disk, monkeypatch):
    disk.write(1, "10")
    disk.write(2, "20")
    fail_below(monkeypatch, disk.path / "2", FileNotFoundError(errno.ENOENT, "gone"))
    assert disk.refresh() == [1]


def test_a_model_that_cannot_be_looked_at_does_not_hold_up_the_next(tmp_path, caplog):
    disk = Disk(tmp_path)
    disk.write(1, "10")

    def fail(found) -> list[int]:
        raise RuntimeError("no policy")

    broken = ModelConfig(name="broken", base_path=tmp_path, policy=fail)
    disk.models = [broken, *disk.models]
    assert disk.refresh() == [1]
    assert "model=broken" in caplog.text


def test_files_in_directories_and_behind_links_belong_to_the_fingerprint(tmp_path):
    (tmp_path / "real" / "variables").mkdir(parents=True)
    (tmp_path / "real" / "variables" / "data").write_text("1")
    (tmp_path / "real" / "nowhere").symlink_to("nosuch")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "7").symlink_to(tmp_path / "real")
    before = scan_versions(tmp_path / "models")
    assert [name for name, *_ in before[7].files] == ["variables/data"]
    (tmp_path / "real" / "variables" / "data").write_text("12")
    assert scan_versions(tmp_path / "models") != before


def load_with(disk: Disk, errors: list[Exception | None]) -> None:
    """Let the loads of a repository fail with these errors, in turn."""
    original = disk.repository._load

    def load(path: pathlib.Path) -> AbstractPredictor:
        predictor = original(path)
        if error := errors.pop(0):
            raise error
        return predictor

    disk.repository._load = load


def test_a_load_that_failed_for_want_of_memory_is_retried_after_growing_pauses(disk):
    load_with(disk, [MemoryError("no room"), OSError(errno.EMFILE, "too many"), None])
    disk.write(1, "10")
    loads = []
    for now in (0, 4, 6, 14, 16):  # pauses of 5 and 10 seconds
        disk.now = now
        disk.refresh()
        loads.append(len(disk.loads))
    assert loads == [1, 1, 2, 2, 3]
    assert disk.ask() == 10
    assert disk.states() == {1: State.AVAILABLE}


def test_a_load_that_failed_for_its_files_is_not_retried(disk):
    load_with(disk, [ModelLoadError("broken")])
    disk.write(1, "10")
    disk.refresh()
    disk.now = 1e9
    disk.refresh()
    assert disk.loads == ["1"]


def test_a_stop_is_honoured_between_versions(disk):
    original = disk.repository._load
    predictors = []

    def load_then_stop(path: pathlib.Path) -> AbstractPredictor:
        predictors.append(original(path))
        disk.repository.stop_loading()
        return predictors[-1]

    disk.repository._load = load_then_stop
    disk.write(1)
    disk.write(2)
    assert disk.refresh() == []
    assert disk.loads == ["1"]
    assert predictors[0].closed


def test_close_does_not_wait_for_a_load_longer_than_it_may(disk):
    disk.write(1, "10")
    disk.refresh()
    loading, go_on = threading.Event(), threading.Event()
    original = disk.repository._load
    predictors = []

    def load_slowly(path: pathlib.Path) -> FakePredictor:
        loading.set()
        assert go_on.wait(20)
        predictors.append(original(path))
        return predictors[-1]

    disk.repository._load = load_slowly
    disk.write(2, "20")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        refreshed = pool.submit(disk.repository.refresh)
        assert loading.wait(10)
        started = time.monotonic()
        with disk.repository.use("m"):
            assert disk.repository.close(0.2) is False
        assert disk.repository.close(0.2) is True
        assert time.monotonic() - started < 5
        assert disk.repository.refreshing
        go_on.set()
        refreshed.result()
    assert predictors[0].closed
    assert 2 not in disk.repository.served().get("m", [])


@pytest.mark.parametrize(("timeout_s", "finished"), [(10.0, True), (0.1, False)], ids=["in time", "too late"])
def test_close_waits_for_running_requests(disk, timeout_s, finished):
    disk.write(1)
    disk.refresh()
    running, go_on = threading.Event(), threading.Event()

    def ask() -> None:
        with disk.repository.use("m"):
            running.set()
            assert go_on.wait(20)

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask)
        assert running.wait(10)
        timer = threading.Timer(0.3, go_on.set)
        timer.start()
        assert disk.repository.close(timeout_s) is finished
        asked.result()
        timer.join()
