"""One server with REST for the session, and REST servers of other settings on its models."""

import contextlib
import pathlib
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest


@pytest.fixture(scope="session")
def rest_root(root: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The session's root without its `models.config`, with `examples` (classify and regress) and `broken`."""
    import example_models

    path = tmp_path_factory.mktemp("rest") / "root"
    shutil.copytree(root, path, ignore=shutil.ignore_patterns("models.config"))
    example_models.write_half_plus_two(path / "examples" / "1")
    (path / "broken" / "3").mkdir(parents=True)
    (path / "broken" / "3" / "saved_model.pb").write_bytes(b"\xffnot a model")
    labels = 'model_version_policy { all {} } version_labels { key: "stable" value: 1 }'
    configs = [
        f'config {{ name: "{name}" base_path: "/models/{name}" model_platform: "tensorflow" {extra} }}'
        for name, extra in (("conv", labels), ("sequence", ""), ("double", ""), ("examples", ""), ("broken", ""))
    ]
    (path / "models.config").write_text("model_config_list {\n" + "\n".join(configs) + "\n}\n")
    return path


@pytest.fixture(scope="session")
def rest_server(rest_root: pathlib.Path) -> Iterator[Any]:
    from serving.options import ServerOptions
    from serving.server import Server

    running = Server(rest_root, ServerOptions(port=0, rest_port=0, poll_seconds=0))
    running.start()
    yield running
    running.stop(5)


@pytest.fixture(scope="session")
def rest(rest_server: Any) -> Iterator[httpx.Client]:
    """A client of its REST port."""
    with httpx.Client(base_url=f"http://127.0.0.1:{rest_server.rest_port}", timeout=30) as client:
        yield client


@pytest.fixture
def other_rest(rest_server: Any) -> Iterator[Callable[..., Any]]:
    """Starts `RestServer`s on the models of `rest_server`: `(gate=None, secure=False, **options) -> RestServer`."""
    from serving.api.service import Service
    from serving.options import Limits
    from serving.rest.server import RestServer

    with contextlib.ExitStack() as stack:

        def start(*, gate: Any = None, **options: Any) -> RestServer:
            service = Service(
                rest_server.repository,
                limits=Limits(),
                reload=lambda config: None,
                gate=gate,
                secure="tls" in options,
            )
            server = RestServer(service, host="127.0.0.1", port=0, **options)
            stack.callback(server.stop, 1)
            server.start()
            return server

        yield start
