"""The other commands that ask, and the options of a connection."""

import concurrent.futures
import json
from typing import Any

import grpc
import numpy as np
import pytest

from serving.cli import main as cli
from serving.protocol import messages as wire


class Scripted(grpc.GenericRpcHandler):
    """Gives one answer to each method, and keeps what it was sent."""

    def __init__(self):
        self.address = ""
        self.answers: dict[str, Any] = {}
        self.requests: dict[str, bytes] = {}
        self.tokens: set[str | None] = set()

    def service(self, handler_call_details: Any) -> grpc.RpcMethodHandler:
        method = handler_call_details.method.rpartition("/")[2]
        self.tokens.add(dict(handler_call_details.invocation_metadata).get("authorization"))

        def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
            self.requests[method] = request
            return self.answers[method].SerializeToString()

        return grpc.unary_unary_rpc_method_handler(answer)


@pytest.fixture
def fake():
    handler = Scripted()
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((handler,))
    handler.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield handler
    server.stop(0).wait()


@pytest.fixture
def run(capsys):
    """Run a command; its exit status, standard output and standard error."""

    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as exited:
            cli.main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return int(exited.value.code or 0), captured.out, captured.err

    return call


@pytest.fixture
def classes(fake):
    response = wire.ClassificationResponse()
    found = response.result.classifications.add().classes
    found.add(label="dog", score=0.25)
    found.add(label="cat", score=0.75)
    fake.answers["Classify"] = response


def test_classify(run, fake, classes):
    arguments = ("classify", fake.address, "m", "--example", '{"x": 1.5}', "--context", '{"who": "me"}')
    status, out, err = run(*arguments, "--json")
    assert status == 0, err
    assert json.loads(out) == {
        "model": "m",
        "classifications": [[{"label": "dog", "score": 0.25}, {"label": "cat", "score": 0.75}]],
    }
    sent = wire.ClassificationRequest.FromString(fake.requests["Classify"]).input.example_list_with_context
    assert sent.examples[0].features.feature["x"].float_list.value[0] == 1.5
    assert run(*arguments)[1].splitlines()[1].split() == ["0", "0.7500", "cat"]


def test_regress(run, fake):
    fake.answers["Regress"] = wire.RegressionResponse()
    fake.answers["Regress"].result.regressions.add(value=2.5)
    arguments = ("regress", fake.address, "m", "--example", '{"x": 1}')
    assert json.loads(run(*arguments, "--json")[1]) == {"model": "m", "values": [2.5]}
    assert run(*arguments)[1].split() == ["0", "2.5"]


@pytest.mark.parametrize("text", ["{", "[1]", "x=1"])
@pytest.mark.parametrize("command", ["classify", "regress"])
def test_an_example_that_is_no_object(run, fake, command, text):
    status, out, err = run(command, fake.address, "m", "--example", text)
    assert (status, out) == (2, "")
    assert "`--example` must be" in err
    assert not fake.requests


CONFIG = 'model_config_list { config { name: "a" base_path: "/models/a" } config { name: "b" base_path: "/b" } }'


def test_reload(run, fake, tmp_path):
    (tmp_path / "models.config").write_text(CONFIG)
    fake.answers["HandleReloadConfigRequest"] = wire.ReloadConfigResponse()
    status, out, err = run("reload", fake.address, "--config", tmp_path / "models.config")
    assert (status, out) == (0, "reloaded: a, b\n"), err
    sent = wire.ReloadConfigRequest.FromString(fake.requests["HandleReloadConfigRequest"])
    assert [one.base_path for one in sent.config.model_config_list.config] == ["/models/a", "/b"]


@pytest.mark.parametrize("content", [None, "junk {"], ids=["missing", "junk"])
def test_a_config_that_cannot_be_read_is_not_sent(run, fake, tmp_path, content):
    path = tmp_path / "models.config"
    if content is not None:
        path.write_text(content)
    assert run("reload", fake.address, "--config", path)[:2] == (2, "")
    assert not fake.requests


@pytest.mark.parametrize("way", ["option", "file", "environment", "file before environment"])
def test_a_token(run, fake, classes, tmp_path, monkeypatch, way):
    options: tuple[Any, ...] = ()
    if way == "option":
        options = ("--token", "secret")
    if "environment" in way:
        monkeypatch.setenv("SERVING_TOKEN", "other" if "file" in way else "secret")
    if "file" in way:
        (tmp_path / "token").write_text("secret\n")
        options = ("--token-file", tmp_path / "token")
    status, _, err = run("classify", fake.address, "m", "--example", "{}", *options)
    assert status == 0, err
    assert fake.tokens == {"Bearer secret"}


def test_two_tokens_are_refused(run, fake, tmp_path):
    (tmp_path / "token").write_text("secret")
    status, _, err = run("status", fake.address, "m", "--token", "other", "--token-file", tmp_path / "token")
    assert status == 2
    assert "not both" in err


@pytest.mark.parametrize("content", [None, "", "two words"], ids=["missing", "empty", "words"])
def test_a_token_file_without_a_token(run, fake, tmp_path, content):
    path = tmp_path / "token"
    if content is not None:
        path.write_text(content)
    status, _, err = run("status", fake.address, "m", "--token-file", path)
    assert status == 2
    assert f"--token-file {path}" in err


@pytest.mark.parametrize(
    "command",
    [
        ("predict", "--text", "a"),
        ("status",),
        ("metadata",),
        ("classify", "--example", "{}"),
        ("regress", "--example", "{}"),
    ],
    ids=lambda command: command[0],
)
def test_every_command_takes_the_options_of_a_connection(run, tmp_path, command):
    name, *options = command
    status, _, err = run(name, "192.0.2.1:8500", "m", *options, "--token", "secret")
    assert status == 2
    assert "would travel unencrypted" in err
    (tmp_path / "ca.pem").write_text("junk")
    status, _, err = run(name, "192.0.2.1:8500", "m", *options, "--ca", tmp_path / "ca.pem")
    assert status == 2
    assert "`ca` of TLS must be a PEM file" in err
    status, _, err = run(name, "192.0.2.1:8500", "m", *options, "--cert", tmp_path / "ca.pem")
    assert status == 2
    assert "both `cert` and `key`" in err


def test_a_label(run, address, tmp_path, images):
    np.save(tmp_path / "x.npy", images)
    status, out, err = run(
        "predict", address, "conv", "--label", "stable", "--input", f"image={tmp_path / 'x.npy'}", "--json"
    )
    assert status == 0, err
    assert json.loads(out)["version"] == 1
