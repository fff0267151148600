# pyright: reportAttributeAccessIssue=false
"""Real version directories, whole and damaged, in a running server."""

import pathlib
import shutil
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from serving import Client
from serving.errors import ModelLoadError, NotFoundError
from serving.loading import Loader
from serving.options import ServerOptions
from serving.server import Server

X = np.array([1.0, 4.0], np.float32)


def load(path: pathlib.Path) -> None:
    Loader()(path).close()


def write_warm_up(version: pathlib.Path, x: object) -> None:
    message = predict_pb2.PredictRequest()
    message.inputs["x"].CopyFrom(tf.make_tensor_proto(x))
    log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=message))
    (version / "assets.extra").mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(version / "assets.extra" / "tf_serving_warmup_requests")) as writer:
        writer.write(log.SerializeToString())


@pytest.fixture
def version(tmp_path: pathlib.Path, publish) -> pathlib.Path:
    return publish("double", tmp_path / "1")


@pytest.mark.parametrize(
    ("cores", "workers", "processes", "short"),
    [(1, 1, 1, 1), (2, 2, 1, 1), (8, 8, 1, 7), (8, 4, 1, 4), (8, 8, 4, 1), (2, 2, 4, 1), (None, 1, 1, 1)],
)
def test_short_calls_leave_a_core_to_the_requests(monkeypatch, version, cores, workers, processes, short):
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    predictor = Loader(workers=workers, processes=processes)(version)
    places = predictor._queues["serving_default"]._places
    assert (places._quick_workers, places._workers) == (short, workers)
    predictor.close()


def flip_byte(path: pathlib.Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x55
    path.write_bytes(bytes(content))


def variables(version: pathlib.Path) -> pathlib.Path:
    return next((version / "variables").glob("variables.data*"))


DAMAGES: dict[str, tuple[Callable[[pathlib.Path], object], str]] = {
    "empty directory": (lambda path: (shutil.rmtree(path), path.mkdir()), "no saved_model.pb"),
    "graph missing": (lambda path: (path / "saved_model.pb").unlink(), "no saved_model.pb"),
    "graph of garbage": (lambda path: (path / "saved_model.pb").write_bytes(b"\xff" * 500), "is no SavedModel"),
    "graph cut off": (
        lambda path: (path / "saved_model.pb").write_bytes((path / "saved_model.pb").read_bytes()[:2000]),
        "is no SavedModel",
    ),
    "graph of no bytes": (lambda path: (path / "saved_model.pb").write_bytes(b""), "cannot be loaded"),
    "variables missing": (lambda path: shutil.rmtree(path / "variables"), "cannot be loaded"),
    "variables cut off": (lambda path: variables(path).write_bytes(b""), "cannot be loaded"),
}


@pytest.mark.parametrize(("damage", "text"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_version_does_not_load(version, damage, text):
    load(version)  # whole, it does
    damage(version)
    with pytest.raises(ModelLoadError, match=text):
        load(version)


TAMPERINGS: dict[str, tuple[Callable[[pathlib.Path], object], str]] = {
    "byte flipped": (lambda path: flip_byte(variables(path)), "sha256 of variables/.* differs"),
    "file cut off": (lambda path: variables(path).write_bytes(b"abc"), "holds 3 bytes"),
    "file missing": (lambda path: (path / "fingerprint.pb").unlink(), "fingerprint.pb is missing"),
    "file added": (lambda path: (path / "extra.txt").write_text("x"), "extra.txt is not listed"),
    "manifest of garbage": (
        lambda path: (path / "assets.extra" / "manifest.json").write_text("{"),
        "manifest.json cannot be read",
    ),
    "manifest of another form": (
        lambda path: (path / "assets.extra" / "manifest.json").write_text('{"files": {"a": {}}}'),
        "must give `sha256` and `bytes`",
    ),
}


@pytest.mark.parametrize(("tamper", "text"), TAMPERINGS.values(), ids=TAMPERINGS)
def test_a_version_that_differs_from_its_manifest_does_not_load(version, write_manifest, tamper, text):
    write_manifest(version)
    load(version)
    tamper(version)
    with pytest.raises(ModelLoadError, match=text):
        load(version)


def test_an_input_of_unknown_rank_is_warned_of(tmp_path, publish, caplog):
    version = publish("any_rank", tmp_path / "1")
    load(version)
    (record,) = [record for record in caplog.records if "rank_unknown" in record.message]
    assert f"path={version} signature=serving_default inputs=x" in record.message


@pytest.mark.parametrize(
    "error",
    [MemoryError("no room"), OSError(24, "Too many open files"), tf.errors.ResourceExhaustedError(None, None, "oom")],
    ids=lambda error: type(error).__name__,
)
def test_a_want_of_resources_is_not_blamed_on_the_files(version, monkeypatch, error):
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(tf.compat.v1.saved_model, "load", fail)
    with pytest.raises(type(error)):
        load(version)


def test_warm_up_requests_are_run(version):
    write_warm_up(version, X)
    load(version)


@pytest.mark.parametrize(
    "x", [np.array([500.0], np.float32), np.array([1], np.int32)], ids=["refused by the graph", "wrong dtype"]
)
def test_a_version_that_fails_its_own_warm_up_does_not_load(version, x):
    write_warm_up(version, x)
    with pytest.raises(ModelLoadError, match="warm-up request 0 failed"):
        load(version)


def test_a_damaged_warm_up_file_stops_the_load(version):
    write_warm_up(version, X)
    flip_byte(version / "assets.extra" / "tf_serving_warmup_requests")
    with pytest.raises(ModelLoadError, match="cannot be read"):
        load(version)


@pytest.fixture
def live(tmp_path: pathlib.Path, publish) -> Iterator[tuple[pathlib.Path, Client]]:
    """A server that looks at `m/1` every 50 ms, and a client of it."""
    base = tmp_path / "root" / "m"
    base.mkdir(parents=True)
    publish("double", base / "1")
    server = Server(base.parent, ServerOptions(port=0, poll_seconds=0.05))
    server.start()
    with Client(f"127.0.0.1:{server.port}") as client:
        yield base, client
    server.stop(2)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < deadline, "the server did not follow its directory within 15 s"
        time.sleep(0.02)


def answer(client: Client, version: int | None = None) -> list[float]:
    return client.predict("m", version=version, x=X)["y"].tolist()


def test_versions_come_and_go_while_the_server_runs(live, publish):
    base, client = live
    assert answer(client) == [2, 8]
    publish("triple", base / "2")
    wait_for(lambda: answer(client) == [3, 12])
    assert answer(client, version=1) == [2, 8]
    shutil.rmtree(base / "2")
    wait_for(lambda: answer(client) == [2, 8])
    with pytest.raises(NotFoundError):
        answer(client, version=2)


def test_a_corrupt_version_shows_its_reason_and_is_served_once_mended(live, saved_models):
    base, client = live
    (base / "2").mkdir()
    (base / "2" / "saved_model.pb").write_bytes(b"half of a graph")
    wait_for(lambda: len(client.status("m")) == 2 and client.status("m")[0].state == "END")
    failed, good = client.status("m")
    assert (failed.version, failed.error_code) == (2, "DATA_LOSS")
    assert "is no SavedModel" in failed.error_message
    assert (good.version, good.state) == (1, "AVAILABLE")
    assert answer(client) == [2, 8]
    shutil.copytree(saved_models / "triple", base / "2", dirs_exist_ok=True)
    wait_for(lambda: answer(client) == [3, 12])
