# pyright: reportAttributeAccessIssue=false
"""A version that is copied slowly, cut, damaged or empty is never served; its reason is shown; mended, it is served."""

import pathlib
import shutil
import time
from collections.abc import Iterator
from typing import Any

import grpc
import harness
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import get_model_status_pb2, model_service_pb2_grpc

from serving import Client
from serving.errors import ModelLoadError, NotFoundError
from serving.options import ServerOptions
from serving.repository.manifest import verify_version
from serving.server import Server

State = get_model_status_pb2.ModelVersionStatus
WEIGHTS = "variables/variables.data-00000-of-00001"
IMAGE = np.full((1, 28, 28, 1), 128, np.uint8)


class Watched:
    """A server of model `m`, whose version 1 is sound; version 2 is the test's."""

    def __init__(self, server: Server, path: pathlib.Path):
        self.server = server
        self.path = path
        self.client = Client(f"127.0.0.1:{server.port}")
        self.first = self.client.predict("m", image=IMAGE)["probabilities"]
        self._channel = grpc.insecure_channel(f"127.0.0.1:{server.port}")
        self._models: Any = model_service_pb2_grpc.ModelServiceStub(self._channel)

    def look(self) -> list[int]:
        self.server._refresh()
        return self.server.repository.served().get("m", [])

    def status(self) -> dict[int, tuple[int, int, str]]:
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = "m"
        shown = self._models.GetModelStatus(request, timeout=10).model_version_status
        return {one.version: (one.state, one.status.error_code, one.status.error_message) for one in shown}

    def assert_first_alone_serves(self, *reasons: str) -> str:
        """And the status of version 2 says one of `reasons`."""
        assert self.look() == [1]
        np.testing.assert_array_equal(self.client.predict("m", image=IMAGE)["probabilities"], self.first)
        with pytest.raises(NotFoundError):
            self.client.predict("m", image=IMAGE, version=2)
        state, code, reason = self.status()[2]
        assert (state, self.status()[1]) == (State.END, (State.AVAILABLE, 0, ""))
        assert code == grpc.StatusCode.DATA_LOSS.value[0]
        assert any(one in reason for one in reasons), reason
        return reason

    def assert_second_serves(self) -> None:
        assert self.look() == [1, 2]
        assert (self.client.predict("m", image=IMAGE)["probabilities"] != self.first).any()
        assert self.status()[2] == (State.AVAILABLE, 0, "")

    def close(self) -> None:
        self.client.close()
        self._channel.close()


@pytest.fixture(scope="module")
def sound(tmp_path_factory, saved_models, write_manifest) -> pathlib.Path:
    """A version as the zoo writes it: variables, a fingerprint, warm-up requests, a manifest."""
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    path = tmp_path_factory.mktemp("sound") / "2"
    shutil.copytree(saved_models / "conv_b", path)
    (path / "assets.extra").mkdir()
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "m"
    request.inputs["image"].CopyFrom(tf.make_tensor_proto(IMAGE))
    log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
    with tf.io.TFRecordWriter(str(path / "assets.extra" / "tf_serving_warmup_requests")) as writer:
        writer.write(log.SerializeToString())
    write_manifest(path)
    return path


@pytest.fixture(scope="module")
def served(tmp_path_factory, publish) -> Iterator[Watched]:
    root = tmp_path_factory.mktemp("broken")
    publish("conv", harness.model(root, "m") / "1")
    server = Server(root, ServerOptions(port=0, poll_seconds=0))
    server.start()
    watched = Watched(server, root / "m" / "2")
    yield watched
    watched.close()
    server.stop(1)


@pytest.fixture
def watched(served: Watched) -> Iterator[Watched]:
    yield served
    shutil.rmtree(served.path, ignore_errors=True)
    assert served.look() == [1]


def files(path: pathlib.Path) -> list[pathlib.Path]:
    return sorted(file.relative_to(path) for file in path.rglob("*") if file.is_file())


MANIFEST = pathlib.Path("assets.extra/manifest.json")


@pytest.mark.parametrize("manifest_at", ["first", "last"])
def test_files_that_arrive_slowly(watched, sound, manifest_at):
    """In place, byte by byte as it were: each file half, then whole."""
    names = sorted(files(sound), key=lambda name: (name == MANIFEST) is (manifest_at == "last"))
    contents = [(name, (sound / name).read_bytes()) for name in names]
    steps = [(name, part) for name, content in contents for part in (content[: len(content) // 2], content)]
    # Until the manifest is there, a directory whose other files are whole is one that the zoo did not write.
    incomplete = len(steps) - (1 if manifest_at == "first" else 3)
    watched.path.mkdir()
    for index, (name, part) in enumerate(steps):
        (watched.path / name).parent.mkdir(parents=True, exist_ok=True)
        (watched.path / name).write_bytes(part)
        if index < incomplete:
            watched.assert_first_alone_serves("is the copy complete", "missing", "holds", "cannot be", "no SavedModel")
    watched.assert_second_serves()


def test_a_directory_without_files(watched):
    watched.path.mkdir()
    watched.assert_first_alone_serves("no saved_model.pb or model.tflite")
    (watched.path / "variables").mkdir()
    watched.assert_first_alone_serves("no saved_model.pb or model.tflite")


def cut(file: pathlib.Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def empty(file: pathlib.Path) -> None:
    file.write_bytes(b"")


def flip(file: pathlib.Path) -> None:
    """One bit, the size as it was."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0x10
    file.write_bytes(content)


def remove(file: pathlib.Path) -> None:
    file.unlink()


@pytest.mark.parametrize("damage", [cut, empty, flip], ids=lambda act: act.__name__)
def test_any_damaged_file_of_a_version_with_a_manifest(watched, sound, damage):
    shutil.copytree(sound, watched.path)
    for name in files(sound):
        damage(watched.path / name)
        reason = watched.assert_first_alone_serves("differs from its manifest", "its manifest says", "manifest.json")
        assert name.as_posix() in reason or name == MANIFEST
        shutil.copy(sound / name, watched.path / name)
    time.sleep(0.01)  # the time of change, by which the last file is known to be mended
    watched.assert_second_serves()


@pytest.mark.parametrize(
    "name", ["saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"]
)
@pytest.mark.parametrize("damage", [cut, empty, remove], ids=lambda act: act.__name__)
def test_a_damaged_file_of_a_version_without_a_manifest(watched, sound, damage, name):
    shutil.copytree(sound, watched.path)
    (watched.path / MANIFEST).unlink()
    damage(watched.path / name)
    watched.assert_first_alone_serves("2: ")
    (watched.path / name).write_bytes((sound / name).read_bytes())
    watched.assert_second_serves()


def test_a_tampered_file(watched, sound):
    """Weights of another, in form as good as any: the manifest alone can tell."""
    shutil.copytree(sound, watched.path)
    file = watched.path / WEIGHTS
    content = bytearray(file.read_bytes())
    content[:4] = b"\0\0\x80?"
    file.write_bytes(content)
    reason = watched.assert_first_alone_serves(f"sha256 of {WEIGHTS} differs")
    assert "the file was changed" in reason


def test_no_bit_of_a_manifest_is_idle(sound, tmp_path):
    version = shutil.copytree(sound, tmp_path / "2")
    text = (version / MANIFEST).read_bytes()
    for bit in range(0, 8 * len(text), 11):
        changed = bytearray(text)
        changed[bit // 8] ^= 1 << bit % 8
        (version / MANIFEST).write_bytes(changed)
        with pytest.raises(ModelLoadError):
            verify_version(version)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "null", '{"files": []}', '{"files": {"saved_model.pb": 1}}', "[" * 100_000, '{"files": {"../1": {}}}'],
    ids=["empty", "list", "null", "no mapping", "number", "deep", "upwards"],
)
def test_a_manifest_of_another_form(sound, tmp_path, text):
    version = shutil.copytree(sound, tmp_path / "2")
    (version / MANIFEST).write_text(text)
    with pytest.raises(ModelLoadError, match="manifest.json"):
        verify_version(version)


def test_a_version_in_service_is_damaged_on_disk(watched, sound):
    """What is loaded serves on; the damage is told, and a sound copy replaces it."""
    shutil.copytree(sound, watched.path)
    watched.assert_second_serves()
    flip(watched.path / "saved_model.pb")
    assert watched.look() == [1, 2]
    assert (watched.client.predict("m", image=IMAGE)["probabilities"] != watched.first).any()
    state, code, reason = watched.status()[2]
    assert (state, code) == (State.AVAILABLE, grpc.StatusCode.DATA_LOSS.value[0])
    assert "sha256 of saved_model.pb differs" in reason
    shutil.copy(sound / "saved_model.pb", watched.path / "saved_model.pb")
    watched.assert_second_serves()
