# pyright: reportAttributeAccessIssue=false
"""Who may not, and what may not, at a running server: tokens, certificates, names that are paths, graphs that act."""

import datetime
import pathlib
import shutil
import sys
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import harness
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    predict_pb2,
)

from serving.loading import Loader
from serving.options import LoaderOptions, ServerOptions
from serving.security.access import parse_rule
from serving.security.gate import Gate, GateOptions
from serving.security.tls import TLSOptions
from serving.security.token_store import change_entries
from serving.security.tokens import make_token
from serving.server import Server

sys.path.append(str(pathlib.Path(__file__).parent.parent / "security"))  # for `certificate_files`, `hostile_models`

Code = grpc.StatusCode
NOW = datetime.datetime.now(datetime.UTC)
TOKENS = {
    "alpha": ("alpha:predict,metadata", None),
    "beta": ("beta:predict,metadata", None),
    "looks": ("*:metadata", None),
    "admin": ("*:admin", None),
    "expired": ("*:predict,metadata,admin", NOW - datetime.timedelta(seconds=1)),
}


@pytest.fixture(scope="module")
def pems(tmp_path_factory) -> pathlib.Path:
    import certificate_files as made  # pyright: ignore[reportMissingImports]

    path = tmp_path_factory.mktemp("certificates")
    for authority in ("ca", "other_ca"):
        made.make_authority(path, authority)
    for name, authority in (("server", "ca"), ("client", "ca"), ("stranger", "other_ca")):
        made.make_certificate(path, name, authority)
    return path


@pytest.fixture(scope="module")
def tokens(tmp_path_factory) -> tuple[pathlib.Path, dict[str, str]]:
    made = {
        name: make_token(name, (parse_rule(rule),), now=NOW, expires=expires)
        for name, (rule, expires) in TOKENS.items()
    }
    path = tmp_path_factory.mktemp("tokens") / "tokens.json"
    change_entries(path, lambda _: [one.entry for one in made.values()])
    return path, {name: one.token for name, one in made.items()}


@pytest.fixture(scope="module")
def start(tmp_path_factory, publish) -> Iterator[Callable[..., Server]]:
    """Starts servers of models alpha and beta."""
    root = tmp_path_factory.mktemp("secured")
    for name in ("alpha", "beta"):
        publish("double", harness.model(root, name) / "1")
    running = []

    def serve(**options: Any) -> Server:
        running.append(Server(root, ServerOptions(port=0, poll_seconds=0), **options))
        running[-1].start()
        return running[-1]

    yield serve
    for server in running:
        server.stop(1)


@pytest.fixture(scope="module")
def secured(start, pems, tokens) -> Server:
    """By TLS and tokens."""
    tls = TLSOptions(cert=pems / "server.pem", key=pems / "server.key")
    return start(tls=tls, gate=Gate.open(GateOptions(tokens=tokens[0])))


@pytest.fixture(scope="module")
def mutual(start, pems) -> Server:
    """By TLS, for clients with a certificate."""
    return start(tls=TLSOptions(cert=pems / "server.pem", key=pems / "server.key", client_ca=pems / "ca.pem"))


def credentials(pems: pathlib.Path, ca: str = "ca", client: str | None = None) -> grpc.ChannelCredentials:
    pair = [(pems / f"{client}.{end}").read_bytes() for end in ("key", "pem")] if client else [None, None]
    return grpc.ssl_channel_credentials((pems / f"{ca}.pem").read_bytes(), *pair)


def ask(
    server: Server, trust: grpc.ChannelCredentials | None, method: str, body: bytes, token: str = ""
) -> tuple[grpc.StatusCode, str]:
    """One request over a connection of its own."""
    options = (("grpc.use_local_subchannel_pool", 1),)
    address = f"localhost:{server.port}"
    channel = grpc.secure_channel(address, trust, options) if trust else grpc.insecure_channel(address, options)
    with channel:
        call = channel.unary_unary(f"/tensorflow.serving.{harness.SERVICES[method]}/{method}")
        try:
            call(body, timeout=10, metadata=(("authorization", f"Bearer {token}"),) if token else None)
        except grpc.RpcError as error:
            return error.code(), error.details() or ""
    return Code.OK, ""


def body_of(method: str, model: str) -> bytes:
    if method == "HandleReloadConfigRequest":
        return model_management_pb2.ReloadConfigRequest().SerializeToString()
    kinds = {
        "Predict": predict_pb2.PredictRequest,
        "GetModelStatus": get_model_status_pb2.GetModelStatusRequest,
        "GetModelMetadata": get_model_metadata_pb2.GetModelMetadataRequest,
    }
    request: Any = kinds[method]()
    request.model_spec.name = model
    if method == "Predict":
        request.inputs["x"].CopyFrom(tf.make_tensor_proto(np.ones(1, np.float32)))
    elif method == "GetModelMetadata":
        request.metadata_field.append("signature_def")
    return request.SerializeToString()


CALLS = [
    ("Predict", "alpha"),
    ("GetModelMetadata", "alpha"),
    ("GetModelStatus", "alpha"),
    ("HandleReloadConfigRequest", ""),
]


@pytest.mark.parametrize(
    ("token", "codes"),
    [
        ("", [Code.UNAUTHENTICATED] * 4),
        ("nonsense", [Code.UNAUTHENTICATED] * 4),
        ("serving_000000000000_x", [Code.UNAUTHENTICATED] * 4),
        ("expired", [Code.UNAUTHENTICATED] * 4),
        ("beta", [Code.PERMISSION_DENIED] * 4),
        ("looks", [Code.PERMISSION_DENIED, Code.OK, Code.OK, Code.PERMISSION_DENIED]),
        ("alpha", [Code.OK, Code.OK, Code.OK, Code.PERMISSION_DENIED]),
        # Without a list of models the reload itself is refused, after the right was found.
        ("admin", [Code.PERMISSION_DENIED] * 3 + [Code.INVALID_ARGUMENT]),
    ],
    ids=["none", "nonsense", "unknown", "expired", "of another model", "without predict", "right", "admin alone"],
)
def test_tokens(secured, pems, tokens, token, codes):
    sent = tokens[1].get(token, token)
    asked = [ask(secured, credentials(pems), method, body_of(method, model), sent) for method, model in CALLS]
    assert [code for code, _ in asked] == codes
    assert not any(sent and sent in text for _, text in asked)  # no refusal repeats it


def test_bytes_that_are_no_request_need_a_token_too(secured, pems):
    assert ask(secured, credentials(pems), "Predict", b"\xff")[0] is Code.UNAUTHENTICATED


@pytest.mark.parametrize(
    ("kind", "trust"),
    [
        ("secured", ("other_ca", None)),
        ("secured", None),
        ("mutual", ("ca", None)),
        ("mutual", ("ca", "stranger")),
        ("mutual", ("other_ca", "client")),
        ("mutual", None),
    ],
    ids=[
        *("wrong CA", "plain text", "no client certificate", "client of another CA"),
        *("wrong CA with a client certificate", "plain text where certificates are asked for"),
    ],
)
def test_connections_that_do_not_come_about(request, pems, tokens, kind, trust):
    server = request.getfixturevalue(kind)
    given = credentials(pems, *trust) if trust else None
    assert ask(server, given, "Predict", body_of("Predict", "alpha"), tokens[1]["alpha"])[0] is Code.UNAVAILABLE
    right = credentials(pems, client="client" if kind == "mutual" else None)
    assert ask(server, right, "Predict", body_of("Predict", "alpha"), tokens[1]["alpha"])[0] is Code.OK


ODD_NAMES = {
    "upwards": "../alpha",
    "two dots": "..",
    "dot": ".",
    "escaped": "%2e%2e%2falpha",
    "absolute": "/etc",
    "version": "alpha/1",
    "there and back": "beta/../alpha",
    "NUL": "alpha\0",
    "backslash": "..\\alpha",
    "long": "a" * 100_000,
    "line": "alpha\nevent=forged",
    "hidden": ".alpha.tmp",
}


@pytest.fixture(scope="module")
def plain(start) -> Server:
    return start()


@pytest.mark.parametrize("name", ODD_NAMES.values(), ids=ODD_NAMES)
def test_a_name_that_is_a_path_names_no_model(plain, name):
    for method in ("Predict", "GetModelMetadata", "GetModelStatus"):
        code, details = ask(plain, None, method, body_of(method, name))
        assert code is Code.NOT_FOUND
        assert len(details) < 2000
    assert ask(plain, None, "Predict", body_of("Predict", "alpha"))[0] is Code.OK


@pytest.mark.parametrize("field", ["name", "base_path"])
@pytest.mark.parametrize("name", ODD_NAMES.values(), ids=ODD_NAMES)
def test_a_reload_of_odd_names_and_paths_is_refused_with_a_reason(start, field, name):
    server = start()
    request = model_management_pb2.ReloadConfigRequest()
    given = {"name": "m", "base_path": "/nosuch", field: name if field == "name" else f"/{name}"}
    request.config.model_config_list.config.add(**given)
    code, details = ask(server, None, "HandleReloadConfigRequest", request.SerializeToString())
    assert code in (Code.UNKNOWN, Code.INVALID_ARGUMENT), details
    assert "m" in details
    assert server.repository.served() == {}
    server.stop(0)


@pytest.fixture
def watched(tmp_path) -> Iterator[Callable[..., tuple[list[int], str]]]:
    """`(version, **LoaderOptions) -> (versions served, reason of version 2)`, beside a sound version 1."""
    servers = []

    def look(root: pathlib.Path, **options: Any) -> tuple[list[int], str]:
        loader = Loader(LoaderOptions(**options))
        servers.append(Server(root, ServerOptions(port=0, poll_seconds=0), loader=loader))
        servers[-1].start()
        status = {one.version: one.message for one in servers[-1].repository.status("m")}
        return servers[-1].repository.served().get("m", []), status[2]

    yield look
    for server in servers:
        server.stop(0)


def test_a_malicious_graph_is_not_loaded_and_says_why(tmp_path, publish, watched):
    import hostile_models  # pyright: ignore[reportMissingImports]

    publish("double", harness.model(tmp_path, "m") / "1")
    hostile_models.write_hostile(tmp_path / "m" / "2", hostile_models.write_file, "signature")
    served, reason = watched(tmp_path)
    assert served == [1]
    assert "WriteFile" in reason
    assert "writes files" in reason
    served, reason = watched(tmp_path, allowed_ops=frozenset({"WriteFile"}))
    assert (served, reason) == ([1, 2], "")


def test_a_version_without_a_manifest_where_one_is_asked_for(tmp_path, publish, write_manifest, watched):
    write_manifest(publish("double", harness.model(tmp_path, "m") / "1"))
    publish("double", tmp_path / "m" / "2")
    served, reason = watched(tmp_path, require_manifest=True)
    assert served == [1]
    assert "it has no assets.extra/manifest.json" in reason
    assert watched(tmp_path) == ([1, 2], "")
    write_manifest(tmp_path / "m" / "2")
    assert watched(tmp_path, require_manifest=True) == ([1, 2], "")


def test_a_manifest_cannot_vouch_for_files_elsewhere(tmp_path, publish, write_manifest, watched):
    """Links count as files; what the manifest says of them must hold too."""
    publish("double", harness.model(tmp_path, "m") / "1")
    version = publish("double", tmp_path / "m" / "2")
    write_manifest(version)
    graph = shutil.copy(version / "saved_model.pb", tmp_path / "other.pb")
    pathlib.Path(graph).write_bytes(pathlib.Path(graph).read_bytes() + b"\0")
    (version / "saved_model.pb").unlink()
    (version / "saved_model.pb").symlink_to(graph)
    served, reason = watched(tmp_path)
    assert served == [1]
    assert "saved_model.pb holds" in reason
