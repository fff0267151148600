# pyright: reportAttributeAccessIssue=false
"""One server for the room, its models named and labelled by a `models.config`, asked by the published stubs."""

import pathlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))  # importlib mode: for `published_requests`


@pytest.fixture(scope="module")
def models_root(tmp_path_factory: pytest.TempPathFactory, publish) -> pathlib.Path:
    """conv (1 and 2, `stable` is 1), double, examples; without a `models.config`, triple and nothing."""
    import example_models

    root = tmp_path_factory.mktemp("conformance")
    for source, name, version in (
        ("conv", "conv", 1),
        ("conv_b", "conv", 2),
        ("double", "double", 1),
        ("triple", "double", 2),
        ("triple", "triple", 7),
    ):
        (root / name).mkdir(exist_ok=True)
        publish(source, root / name / str(version))
    example_models.write_half_plus_two(root / "examples" / "1")
    (root / "nothing").mkdir()
    (root / "models.config").write_text(
        "model_config_list {\n"
        + config("conv", root, 'model_version_policy { all {} } version_labels { key: "stable" value: 1 }')
        + config("double", root, "model_version_policy { specific { versions: 1 } }")
        + config("examples", root)
        + "}\n"
    )
    return root


def config(name: str, root: pathlib.Path, more: str = "") -> str:
    return f'config {{ name: "{name}" base_path: "{root / name}" model_platform: "tensorflow" {more} }}\n'


@pytest.fixture(scope="module")
def conforming(models_root: pathlib.Path) -> Iterator[Any]:
    from serving.options import ServerOptions
    from serving.server import Server

    server = Server(models_root, ServerOptions(port=0, poll_seconds=0))
    server.start()
    yield server
    server.stop(5)


@pytest.fixture(scope="module")
def call(conforming: Any) -> Iterator[Callable[[str, Any], Any]]:
    """`(method, request) -> response` of either service."""
    from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

    with grpc.insecure_channel(f"127.0.0.1:{conforming.port}") as channel:
        stubs = (
            prediction_service_pb2_grpc.PredictionServiceStub(channel),
            model_service_pb2_grpc.ModelServiceStub(channel),
        )

        def ask(method: str, request: Any) -> Any:
            stub = next(stub for stub in stubs if hasattr(stub, method))
            return getattr(stub, method)(request, timeout=30)

        yield ask
