"""TLS, tokens and load balancing; what goes wrong with them is told at once, and what to do."""

import dataclasses
import time

import grpc
import pytest

from serving import TLS, Retries
from serving.client.connection import Connection, is_loopback
from serving.errors import RequestError, UnavailableError, UsageError

from .conftest import ScriptedServer

CONNECTION = Connection(
    address="localhost:1",
    tls=None,
    token=None,
    allow_insecure_token=False,
    load_balancing="pick_first",
    max_message_bytes=1 << 20,
)


def ask(client, value=1.0):
    return client.predict("m", x=[value], timeout_s=20)["x"].tolist()


def test_tls(connect, tls_server, certificates):
    assert ask(connect(tls_server.address, tls=TLS(ca=certificates.ca))) == [1.0]


def test_another_name(connect, tls_server, certificates):
    address = f"127.0.0.1:{tls_server.port}"
    assert ask(connect(address, tls=TLS(ca=str(certificates.ca), server_name="model.test"))) == [1.0]


def test_mutual_tls(connect, mutual_tls_server, certificates):
    cert, key = certificates.client
    assert ask(connect(mutual_tls_server.address, tls=TLS(ca=certificates.ca, cert=cert, key=key))) == [1.0]


@pytest.mark.parametrize(
    ("host", "ca", "text"),
    [
        ("localhost", "other_ca", "not trusted or has expired.*TLS.ca="),
        ("localhost", None, "not trusted or has expired.*TLS.ca="),
        ("127.0.0.1", "ca", "another name.*server_name="),
    ],
    ids=["wrong CA", "no CA", "wrong name"],
)
def test_a_certificate_that_is_not_trusted(connect, tls_server, certificates, host, ca, text):
    tls = TLS(ca=None if ca is None else getattr(certificates, ca))
    client = connect(f"{host}:{tls_server.port}", tls=tls, retries=Retries(first_contact_attempts=10))
    started = time.monotonic()
    with pytest.raises(UnavailableError, match=text):
        ask(client)
    assert time.monotonic() - started < 2.0, "it was asked again"


def test_tls_to_a_server_without(connect, scripted, certificates):
    with pytest.raises(UnavailableError, match="does not speak TLS"):
        ask(connect(scripted.address, tls=TLS(ca=certificates.ca)))


def test_no_tls_to_a_server_with(connect, tls_server):
    with pytest.raises(UnavailableError, match="may want TLS"):
        ask(connect(tls_server.address))


def test_no_certificate_for_a_server_that_wants_one(connect, mutual_tls_server, certificates):
    with pytest.raises(UnavailableError, match="a certificate of the client|may want TLS"):
        ask(connect(mutual_tls_server.address, tls=TLS(ca=certificates.ca)))


@pytest.mark.parametrize("name", ["ca", "cert", "key"])
@pytest.mark.parametrize("content", [None, b"junk"], ids=["missing", "no PEM"])
def test_files_of_tls_are_checked(connect, certificates, tmp_path, name, content):
    cert, key = certificates.client
    path = tmp_path / "file"
    if content is not None:
        path.write_bytes(content)
    tls = TLS(**{"ca": certificates.ca, "cert": cert, "key": key, name: path})
    with pytest.raises(UsageError, match=f"`{name}` of TLS"):
        connect("localhost:1", tls=tls)


def test_a_certificate_needs_its_key(certificates):
    with pytest.raises(UsageError, match="both `cert` and `key`"):
        TLS(cert=certificates.client[0])


@pytest.mark.parametrize("secure", [True, False], ids=["TLS", "loopback"])
def test_a_token(connect, scripted, tls_server, certificates, secure):
    server = tls_server if secure else scripted
    ask(connect(server.address, token="secret", tls=TLS(ca=certificates.ca) if secure else None))
    assert [headers["authorization"] for headers in server.headers] == ["Bearer secret"] * 2  # metadata and predict


def test_a_token_that_is_renewed(connect, scripted):
    tokens = iter("abcdef")
    client = connect(scripted.address, token=lambda: next(tokens))
    ask(client)
    ask(client)
    assert [headers["authorization"] for headers in scripted.headers] == ["Bearer a", "Bearer b", "Bearer c"]


@pytest.mark.parametrize(
    "token", ["", "two\nlines", "\u00fc", lambda: "a\r\nb: c"], ids=["none", "lines", "text", "made"]
)
def test_a_token_that_cannot_be_sent(connect, scripted, token):
    with pytest.raises(UsageError, match="`token` must be printable ASCII"):
        connect(scripted.address, token=token).status("m")
    assert not scripted.asked


def test_without_a_token_no_header_is_sent(connect, scripted):
    ask(connect(scripted.address))
    assert not any("authorization" in headers for headers in scripted.headers)


@pytest.mark.parametrize("address", ["192.0.2.1:8500", "models.example:8500", "[2001:db8::1]:8500"])
def test_a_token_is_not_sent_unencrypted(connect, address):
    with pytest.raises(UsageError, match="unencrypted.*allow_insecure_token"):
        connect(address, token="secret")
    connect(address, token="secret", allow_insecure_token=True)
    connect(address, token="secret", tls=TLS())


def test_a_refused_token_says_so(connect, scripted):
    scripted.scripts["GetModelStatus"] = [grpc.StatusCode.UNAUTHENTICATED]
    with pytest.raises(RequestError, match="wants a token"):
        connect(scripted.address).status("m")


@pytest.mark.parametrize("address", ["localhost:1", "127.0.0.1:1", "127.9.9.9:1", "[::1]:1"])
def test_loopback(address):
    assert is_loopback(address)


@pytest.mark.parametrize(("policy", "answering"), [("round_robin", 2), ("pick_first", 1)])
def test_load_balancing(policy, answering):
    """Over the addresses of one name, which here are given as such."""
    servers = [ScriptedServer().start() for _ in range(2)]
    options = dataclasses.replace(CONNECTION, load_balancing=policy).options()
    target = "ipv4:" + ",".join(f"127.0.0.1:{server.port}" for server in servers)
    with grpc.insecure_channel(target, options=options) as channel:
        call = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        for _ in range(50):
            call(b"", timeout=5)
    assert sum(server.asked["Predict"] > 0 for server in servers) == answering
    for server in servers:
        server.stop()


def test_a_client_balances(connect, scripted):
    assert ask(connect(scripted.address, load_balancing="round_robin")) == [1.0]
    with pytest.raises(UsageError, match="`load_balancing`"):
        connect(scripted.address, load_balancing="random")


def test_a_connection_is_tried_again_soon():
    """By itself gRPC would wait for up to two minutes, and answer UNAVAILABLE meanwhile."""
    options = dict(CONNECTION.options())
    assert options["grpc.initial_reconnect_backoff_ms"] <= 100
    assert options["grpc.max_reconnect_backoff_ms"] <= 1000


def test_pings_keep_within_what_servers_allow():
    """A server ends a connection that is pinged more often than every 300 s while it is silent."""
    options = dict(CONNECTION.options())
    assert options["grpc.keepalive_time_ms"] > 300_000
    assert not options.get("grpc.keepalive_permit_without_calls", 0)
