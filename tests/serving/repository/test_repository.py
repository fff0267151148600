"""The repository with predictors that need no TensorFlow: a version directory holds one file with a number."""

import concurrent.futures
import os
import pathlib
import shutil
import threading

import grpc
import pytest
from fake_disk import Disk, FakePredictor

from serving.engines.abstract import AbstractPredictor
from serving.errors import InvalidInputError, NotFoundError, RequestError, UsageError
from serving.repository.model_config import ModelConfig, all_versions, latest, specific
from serving.repository.repository import State
from serving.repository.versions import LoadedVersion


@pytest.fixture
def disk(tmp_path: pathlib.Path) -> Disk:
    return Disk(tmp_path)


def test_new_versions_are_switched_in(disk):
    disk.write(1, "10")
    assert disk.refresh() == [1]
    disk.write(2, "20")
    assert disk.refresh() == [1, 2]
    assert (disk.ask(), disk.ask(1), disk.ask(2)) == (20, 10, 20)


def test_a_second_look_loads_nothing(disk):
    disk.write(1)
    disk.refresh()
    disk.refresh()
    assert disk.loads == ["1"]


@pytest.mark.parametrize("name", [".1.tmp-77", "x", "1a", "-1", "01", "\u0661", "1.5"])
def test_other_directories_are_ignored(disk, name):
    disk.write(name)
    assert disk.refresh() == []
    assert disk.loads == []


@pytest.mark.parametrize(
    ("policy", "served"),
    [(all_versions, [1, 2, 3]), (latest(1), [3]), (latest(2), [2, 3]), (specific([1, 3, 9]), [1, 3])],
    ids=["all", "latest", "latest 2", "specific"],
)
def test_policies(tmp_path, policy, served):
    disk = Disk(tmp_path, policy)
    for version in (1, 2, 3):
        disk.write(version)
    assert disk.refresh() == served


def test_numbers_are_not_sorted_as_text(disk):
    disk.write(9, "9")
    disk.write(10, "10")
    disk.refresh()
    assert disk.ask() == 10


def test_a_removed_version_is_drained_then_freed(disk):
    disk.write(1)
    disk.write(2)
    disk.refresh()
    with disk.repository.use("m", version=2) as loaded:
        disk.remove(2)
        assert disk.refresh() == [1]
        assert disk.states()[2] is State.UNLOADING
        assert isinstance(loaded.predictor, FakePredictor)
        assert not loaded.predictor.closed
        with pytest.raises(NotFoundError, match=r"Specific\(m, 2\)"):
            disk.ask(2)
    assert loaded.predictor.closed
    assert disk.states() == {1: State.AVAILABLE, 2: State.END}


def test_a_failing_version_never_replaces_the_good_one(tmp_path):
    disk = Disk(tmp_path, latest(1))
    disk.write(1, "10")
    disk.refresh()
    disk.write(2, "garbage")
    assert disk.refresh() == [1]
    assert disk.ask() == 10
    failed = disk.repository.status("m")[0]
    assert (failed.version, failed.state, failed.code) == (2, State.END, grpc.StatusCode.DATA_LOSS)
    assert failed.message == "2: garbage"


def test_an_unforeseen_error_while_loading_spares_the_others(disk):
    disk.write(1, "10")
    disk.write(2, "20")
    original = disk.repository._load

    def fail_on_2(path: pathlib.Path) -> AbstractPredictor:
        if path.name == "2":
            raise MemoryError("no room")
        return original(path)

    disk.repository._load = fail_on_2
    assert disk.refresh() == [1]
    failed = disk.repository.status("m")[0]
    assert (failed.state, failed.code) == (State.END, grpc.StatusCode.INTERNAL)
    assert failed.message == "2: MemoryError: no room"


def test_a_version_removed_and_written_again_while_a_request_runs(disk):
    disk.write(1, "10")
    disk.refresh()
    with disk.repository.use("m") as old:
        disk.remove(1)
        disk.refresh()
        disk.write(1, "11")
        assert disk.refresh() == [1]
        assert disk.ask() == 11
        assert int(old.predictor.run("", [])["content"]) == 10
    assert disk.states() == {1: State.AVAILABLE}
    assert disk.repository.close() is True


def test_close_tells_whether_requests_run(disk):
    disk.write(1)
    disk.refresh()
    with disk.repository.use("m"):
        assert disk.repository.close() is False
    assert disk.repository.close() is True
    with pytest.raises(NotFoundError):
        disk.ask()


def test_a_failure_is_logged_once_and_retried_when_the_files_change(disk, caplog):
    disk.write(1, "half")
    disk.refresh()
    disk.refresh()
    assert disk.loads == ["1"]
    assert len([record for record in caplog.records if "load_failed" in record.message]) == 1
    disk.write(1, "100")
    assert disk.refresh() == [1]
    assert disk.ask() == 100
    assert disk.repository.status("m")[0].message == ""


def test_a_rewritten_version_is_replaced_only_by_one_that_loads(disk):
    disk.write(1, "10")
    disk.refresh()
    disk.write(1, "broken")
    disk.refresh()
    assert disk.ask() == 10
    assert disk.states() == {1: State.AVAILABLE}
    disk.write(1, "1000")
    disk.refresh()
    assert disk.ask() == 1000
    assert disk.states() == {1: State.AVAILABLE}


def test_the_old_version_serves_until_the_new_one_is_loaded(tmp_path):
    disk = Disk(tmp_path, latest(1))
    disk.write(1, "10")
    disk.refresh()
    seen = []
    original = disk.repository._load
    disk.repository._load = lambda path: (seen.append(disk.ask()), original(path))[1]
    disk.write(2, "20")
    assert disk.refresh() == [2]
    assert seen == [10]
    assert disk.ask() == 20


def test_a_running_request_keeps_its_version_while_another_is_swapped_in(tmp_path):
    disk = Disk(tmp_path, latest(1))
    disk.write(1, "10")
    disk.refresh()
    running, swapped = threading.Event(), threading.Event()

    def ask() -> int:
        with disk.repository.use("m") as loaded:
            running.set()
            assert swapped.wait(10)
            return int(loaded.predictor.run("", [])["content"])

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        answer = pool.submit(ask)
        assert running.wait(10)
        disk.write(2, "20")
        assert disk.refresh() == [2]
        swapped.set()
        assert answer.result() == 10


def test_each_request_of_several_keeps_its_version_alive(tmp_path):
    disk = Disk(tmp_path, latest(1))
    disk.write(1, "10")
    disk.refresh()
    with disk.repository.use("m") as loaded:
        with disk.repository.use("m"):
            disk.write(2, "20")
            disk.refresh()
        assert int(loaded.predictor.run("", [])["content"]) == 10  # one has left, one is here
    assert isinstance(loaded.predictor, FakePredictor)
    assert loaded.predictor.closed


def test_a_request_that_found_a_version_just_before_its_swap_gets_the_new_one(tmp_path):
    disk = Disk(tmp_path, latest(1))
    disk.write(1, "10")
    disk.refresh()
    original = disk.repository._find
    found = []

    def find_then_swap(name: str, version: int | None, label: str) -> LoadedVersion:
        loaded = original(name, version, label)
        found.append(loaded.number)
        if len(found) == 1:
            disk.write(2, "20")
            assert disk.refresh() == [2]
        return loaded

    disk.repository._find = find_then_swap
    assert disk.ask() == 20
    assert found == [1, 2]


def test_ended_versions_are_shown_but_not_for_ever(disk):
    for version in range(1, 41):
        disk.write(version)
        disk.refresh()
        disk.remove(version)
    disk.refresh()
    assert set(disk.states().values()) == {State.END}
    assert 1 <= len(disk.states()) <= 17


def test_labels(disk):
    disk.write(1, "10")
    disk.models = [ModelConfig(name="m", base_path=disk.path, policy=all_versions, labels={"stable": 1, "canary": 2})]
    disk.refresh()
    assert disk.ask(label="stable") == 10
    with pytest.raises(InvalidInputError, match="Unrecognized servable version label: canary"):
        disk.ask(label="canary")
    disk.write(2, "20")
    disk.refresh()
    assert disk.ask(label="canary") == 20


def test_a_model_that_leaves_the_list_is_unloaded(disk):
    disk.write(1)
    disk.refresh()
    disk.models = []
    assert disk.refresh() == []
    with pytest.raises(NotFoundError, match=r"Latest\(m\)"):
        disk.ask()


def test_a_broken_list_keeps_what_is_served(disk, caplog):
    disk.write(1)
    disk.refresh()

    def fail() -> list[ModelConfig]:
        raise UsageError("models.config is broken")

    disk.repository._read_models = fail
    assert disk.refresh() == [1]
    disk.refresh()
    assert len([record for record in caplog.records if "models.config is broken" in record.message]) == 1


def test_a_base_path_that_is_gone_serves_nothing(disk):
    disk.write(1)
    disk.refresh()
    shutil.rmtree(disk.path)
    assert disk.refresh() == []


def move(disk: Disk, tmp_path: pathlib.Path, content: str) -> None:
    """Want the model from another directory, whose files have the sizes and times of those here."""
    other = tmp_path / "elsewhere" / "m"
    shutil.copytree(disk.path, other)
    file, before = other / "1" / "saved_model.pb", disk.path / "1" / "saved_model.pb"
    file.write_text(content)
    os.utime(file, ns=(before.stat().st_atime_ns, before.stat().st_mtime_ns))
    disk.models = [ModelConfig(name="m", base_path=other, policy=all_versions)]


def test_the_same_version_from_another_directory_is_loaded(disk, tmp_path):
    disk.write(1, "1")
    disk.refresh()
    move(disk, tmp_path, "2")
    disk.refresh()
    assert disk.ask() == 2
    disk.repository.require(disk.models)


def test_another_way_to_the_same_directory_loads_nothing(disk, tmp_path):
    disk.write(1)
    disk.refresh()
    (tmp_path / "link").symlink_to(disk.path)
    disk.models = [ModelConfig(name="m", base_path=tmp_path / "link", policy=all_versions)]
    disk.refresh()
    assert disk.loads == ["1"]
    disk.repository.require(disk.models)


def test_a_model_that_is_still_served_from_its_old_directory_is_not_what_was_wanted(disk, tmp_path):
    disk.write(1, "1")
    disk.refresh()
    move(disk, tmp_path, "x")  # cannot be loaded
    disk.refresh()
    assert disk.ask() == 1
    with pytest.raises(RequestError, match=r"did not become available: m: 1: x"):
        disk.repository.require(disk.models)
