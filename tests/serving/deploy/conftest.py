"""Roots of models without TensorFlow, certificates, and an nginx with fakes behind it."""

import concurrent.futures
import http.server
import json
import pathlib
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))  # importlib mode: for `front_harness`


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> pathlib.Path:
    path = tmp_path_factory.mktemp("certificates")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=caller",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", "tls.key", "-out", "tls.crt"],
        cwd=path, check=True, capture_output=True,
    )  # fmt: skip
    shutil.copy(path / "tls.crt", path / "ca.crt")
    return path


@pytest.fixture(scope="module")
def rest_port() -> Iterator[int]:
    from front_harness import FakeRest

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), FakeRest) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.fixture(scope="module")
def fake_server() -> Iterator[Any]:
    """A `FakeServer` with its `port`."""
    from front_harness import FakeServer

    fake = FakeServer()
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(4), handlers=[fake])
    fake.port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield fake
    server.stop(1).wait()


@pytest.fixture(scope="module")
def front(tmp_path_factory, certificates, fake_server, rest_port) -> Iterator[Any]:
    """A running nginx with both fakes behind it and a small limit."""
    from front_harness import Running

    running = Running(tmp_path_factory.mktemp("front"), certificates, [fake_server.port], rest_port, max_body_mb=1)
    yield running
    running.stop()


@pytest.fixture
def lone_front(tmp_path, certificates) -> Iterator[Any]:
    """Starts an nginx with these options and nothing behind it."""
    from front_harness import Running, free_ports

    started: list[Running] = []

    def start(**options: Any) -> Any:
        started.append(Running(tmp_path, certificates, free_ports(1), **options))
        return started[-1]

    yield start
    for running in started:
        running.stop()


def saved_model(tensorflow: str | None) -> bytes:
    """A `saved_model.pb` that tells its TensorFlow (fields 2, 1 and 5, inside out) and nothing else."""
    message = b"" if tensorflow is None else tensorflow.encode()
    for tag in (0x2A, 0x0A, 0x12):
        message = bytes([tag, len(message)]) + message
    return message


@pytest.fixture
def make_root(tmp_path) -> Callable[..., pathlib.Path]:
    """Writes a root of small models: TensorFlow's version by version by name; None is a version without manifest."""

    def make(
        models: dict[str, dict[int, str | None]] | None = None, config: str | None = None, **manifest: Any
    ) -> pathlib.Path:
        root = tmp_path / "root"
        for name, versions in ({"digits": {1: "2.21.0"}} if models is None else models).items():
            for number, tensorflow in versions.items():
                path = root / name / str(number)
                (path / "assets.extra").mkdir(parents=True)
                (path / "saved_model.pb").write_bytes(saved_model(tensorflow or "2.21.0"))
                if tensorflow is not None:
                    document = {"name": name, "version": number, "tensorflow": tensorflow, **manifest}
                    (path / "assets.extra" / "manifest.json").write_text(json.dumps(document))
        root.mkdir(exist_ok=True)
        if config is not None:
            (root / "models.config").write_text(config)
        return root

    return make


@pytest.fixture
def run(capsys) -> Callable[..., tuple[int, str, str]]:
    """Run `serving deploy ...`; its exit status, standard output and standard error."""
    from serving.cli import main as cli

    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as exited:
            cli.main(["deploy", *(str(argument) for argument in arguments)])
        captured = capsys.readouterr()
        return int(exited.value.code or 0), captured.out, captured.err

    return call


@pytest.fixture
def written(make_root, tmp_path) -> Callable[..., dict[str, Any]]:
    """The files that a target gives for a root, text by name, YAML as a list of documents."""
    import yaml

    from serving.deploy.deployment import write_deployment
    from serving.deploy.options import DeployOptions

    def write(target: str, *, root: pathlib.Path | None = None, **options: Any) -> dict[str, Any]:
        out = tmp_path / "out"
        found = write_deployment(target, root or make_root(), out, DeployOptions(**options))
        texts = {path.relative_to(out).as_posix(): path.read_text() for path in found.files}
        return {
            name: list(yaml.safe_load_all(text)) if name.endswith(".yaml") else text for name, text in texts.items()
        }

    return write
