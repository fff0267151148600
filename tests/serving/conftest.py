"""One set of SavedModels and one in-process server for the whole session."""

import hashlib
import json
import pathlib
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import numpy as np
import pytest

HERE = pathlib.Path(__file__).parent
# importlib mode: for `saved_models`, `fake_disk`, `fake_engine`
sys.path[:0] = [str(HERE / room) for room in (".", "repository", "batching")]


@pytest.fixture(scope="session")
def saved_models(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """conv, conv_b, sequence, double, triple, any_rank: version directories to copy from."""
    import saved_models

    path = tmp_path_factory.mktemp("saved_models")
    saved_models.write_conv(path / "conv", 1)
    saved_models.write_conv(path / "conv_b", 2)
    saved_models.write_sequence(path / "sequence")
    saved_models.write_any_rank(path / "any_rank")
    saved_models.write_scalar(path / "double", 2.0)
    saved_models.write_scalar(path / "triple", 3.0)
    return path


@pytest.fixture(scope="session")
def publish(saved_models: pathlib.Path) -> Callable[[str, pathlib.Path], pathlib.Path]:
    """Copy a SavedModel to a version directory under a temporary name, then rename, as an export does."""

    def copy(source: str, version: pathlib.Path) -> pathlib.Path:
        temporary = version.parent / f".{version.name}.tmp"
        shutil.copytree(saved_models / source, temporary)
        return temporary.rename(version)

    return copy


@pytest.fixture(scope="session")
def write_manifest() -> Callable[[pathlib.Path], pathlib.Path]:
    def write(version: pathlib.Path) -> pathlib.Path:
        files = {
            path.relative_to(version).as_posix(): {
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                "bytes": path.stat().st_size,
            }
            for path in version.rglob("*")
            if path.is_file()
        }
        manifest = version / "assets.extra" / "manifest.json"
        manifest.parent.mkdir(exist_ok=True)
        manifest.write_text(json.dumps({"files": files}))
        return manifest

    return write


CONFIG = """
model_config_list {
  config { name: "conv" base_path: "/models/conv" model_platform: "tensorflow"
           model_version_policy { all {} } version_labels { key: "stable" value: 1 } }
  config { name: "sequence" base_path: "/models/sequence" model_platform: "tensorflow" }
  config { name: "double" base_path: "/models/double" model_platform: "tensorflow" }
}
"""


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory, publish, write_manifest) -> pathlib.Path:
    """A root as the zoo writes it, with a `models.config` meant for a container."""
    path = tmp_path_factory.mktemp("root")
    for source, name, version in (
        ("conv", "conv", 1),
        ("conv_b", "conv", 2),
        ("sequence", "sequence", 1),
        ("triple", "double", 1),  # not served: the policy is the latest one
        ("double", "double", 2),
    ):
        (path / name).mkdir(exist_ok=True)
        publish(source, path / name / str(version))
    write_manifest(path / "conv" / "1")
    (path / "models.config").write_text(CONFIG)
    return path


@pytest.fixture(scope="session")
def server(root: pathlib.Path) -> Iterator:
    from serving.options import ServerOptions
    from serving.server import Server

    running = Server(root, ServerOptions(port=0, poll_seconds=0))
    running.start()
    yield running
    running.stop(5)


@pytest.fixture(scope="session")
def address(server) -> str:
    return f"127.0.0.1:{server.port}"


@pytest.fixture(scope="session")
def channel(address: str) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(address) as opened:
        yield opened


@pytest.fixture(scope="session")
def stub(channel: grpc.Channel) -> Any:
    """Of PredictionService, as tensorflow-serving-api has it."""
    from tensorflow_serving.apis import prediction_service_pb2_grpc

    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


@pytest.fixture(scope="session")
def models(channel: grpc.Channel) -> Any:
    """The stub of ModelService, as tensorflow-serving-api has it."""
    from tensorflow_serving.apis import model_service_pb2_grpc

    return model_service_pb2_grpc.ModelServiceStub(channel)


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, 28, 28, 1)).astype(np.uint8)


@pytest.fixture(scope="session")
def expected(saved_models: pathlib.Path) -> Callable[..., dict[str, np.ndarray]]:
    """What TensorFlow itself answers, by `tf.saved_model.load`."""
    import tensorflow as tf

    def answer(source: str, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        loaded = tf.saved_model.load(str(saved_models / source))
        outputs = loaded.signatures["serving_default"](**{key: tf.constant(value) for key, value in inputs.items()})
        return {key: value.numpy() for key, value in outputs.items()}

    return answer


@pytest.fixture
def free_port() -> int:
    """A port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
