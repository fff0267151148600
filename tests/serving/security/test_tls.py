"""Certificates: checked at the start, used by a real gRPC server and a real TLS socket, renewed while it runs."""

import contextlib
import datetime
import logging
import pathlib
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from concurrent import futures

import grpc
import pytest

from serving.errors import UsageError
from serving.security.certificates import validity_of
from serving.security.ssl_config import read_ssl_config
from serving.security.tls import Renewal, TLSOptions, check_exposure, peer_identity


@pytest.fixture(scope="module")
def pems(tmp_path_factory) -> pathlib.Path:
    """ca and other_ca; server, next and client signed by ca; stranger signed by other_ca."""
    import certificate_files as files

    path = tmp_path_factory.mktemp("certificates")
    for authority in ("ca", "other_ca"):
        files.make_authority(path, authority)
    for name in ("server", "next", "client"):
        files.make_certificate(path, name, "ca")
    files.make_certificate(path, "stranger", "other_ca")
    files.make_certificate(path, "short", "ca", days=5)
    return path


def tls_of(path: pathlib.Path, name: str = "server", client_ca: str | None = None) -> TLSOptions:
    ca = path / f"{client_ca}.pem" if client_ca else None
    return TLSOptions(cert=path / f"{name}.pem", key=path / f"{name}.key", client_ca=ca)


class Server:
    """A gRPC server whose one method answers the caller's identity."""

    def __init__(self, tls: TLSOptions):
        self.server = grpc.server(futures.ThreadPoolExecutor(2))
        handler = grpc.unary_unary_rpc_method_handler(
            lambda request, context: peer_identity(context.auth_context).encode() or b"nobody"
        )
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("s", {"Who": handler}),))
        self.port = self.server.add_secure_port("localhost:0", tls.grpc_credentials())
        self.server.start()

    def ask(self, pems: pathlib.Path, ca: str = "ca", client: str | None = None) -> str:
        pair = (
            ((pems / f"{client}.key").read_bytes(), (pems / f"{client}.pem").read_bytes()) if client else (None, None)
        )
        credentials = grpc.ssl_channel_credentials((pems / f"{ca}.pem").read_bytes(), *pair)
        options = (("grpc.use_local_subchannel_pool", 1),)  # a connection of its own, or the handshake is not repeated
        with grpc.secure_channel(f"localhost:{self.port}", credentials, options) as channel:
            return channel.unary_unary("/s/Who")(b"", timeout=10).decode()


@pytest.fixture
def serve():
    running = []

    def start(tls: TLSOptions) -> Server:
        running.append(Server(tls))
        return running[-1]

    yield start
    for server in running:
        server.server.stop(0).wait()


def test_a_client_that_trusts_the_authority_is_served_and_another_not(serve, pems):
    server = serve(tls_of(pems))
    assert server.ask(pems) == "nobody"
    with pytest.raises(grpc.RpcError) as caught:
        server.ask(pems, ca="other_ca")
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE  # pyright: ignore[reportAttributeAccessIssue]


def test_mutual_tls_takes_clients_of_its_authority_alone_and_names_them(serve, pems):
    server = serve(tls_of(pems, client_ca="ca"))
    assert server.ask(pems, client="client") == "client"
    for client in (None, "stranger"):
        with pytest.raises(grpc.RpcError):
            server.ask(pems, client=client)


def test_a_renewed_certificate_is_taken_without_a_restart(tmp_path, serve, pems, caplog):
    for ending in ("pem", "key"):
        shutil.copy(pems / f"server.{ending}", tmp_path / f"mine.{ending}")
    tls = tls_of(tmp_path, "mine")
    server = serve(tls)
    assert shown(server.port, pems) == der_of(pems / "server.pem")
    shutil.copy(pems / "next.pem", tmp_path / "mine.pem")  # the key follows: in between the old pair stays
    with caplog.at_level(logging.ERROR, "serving"):
        assert shown(server.port, pems) == der_of(pems / "server.pem")
    assert "event=certificate_kept" in caplog.text
    shutil.copy(pems / "next.key", tmp_path / "mine.key")
    assert shown(server.port, pems) == der_of(pems / "next.pem")


def der_of(path: pathlib.Path) -> str:
    return ssl.PEM_cert_to_DER_cert(path.read_text()).hex()


def shown(port: int, pems: pathlib.Path) -> str:
    """The certificate that the server on `port` shows."""
    context = ssl.create_default_context(cafile=str(pems / "ca.pem"))
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection(("localhost", port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        return (secure.getpeercert(binary_form=True) or b"").hex()


def test_the_same_files_serve_rest(pems):
    """As uvicorn uses its arguments."""
    arguments = tls_of(pems, client_ca="ca").uvicorn_arguments()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(arguments["ssl_certfile"], arguments["ssl_keyfile"])
    context.verify_mode = arguments["ssl_cert_reqs"]
    context.load_verify_locations(arguments["ssl_ca_certs"])
    for client, expected in (("client", b"ok"), (None, None), ("stranger", None)):
        assert exchange(context, pems, client) == expected


def exchange(server_context: ssl.SSLContext, pems: pathlib.Path, client: str | None) -> bytes | None:
    """What a client receives over one connection; None where it is refused."""
    context = ssl.create_default_context(cafile=str(pems / "ca.pem"))
    if client:
        context.load_cert_chain(pems / f"{client}.pem", pems / f"{client}.key")
    with socket.create_server(("localhost", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            try:
                with server_context.wrap_socket(connection, server_side=True) as secure:
                    secure.sendall(b"ok")
            except OSError:
                connection.close()

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            with (
                socket.create_connection(("localhost", listener.getsockname()[1]), timeout=10) as plain,
                context.wrap_socket(plain, server_hostname="localhost") as secure,
            ):
                return secure.recv(2) or None
        except OSError:
            return None
        finally:
            thread.join()


def test_a_context_in_use_takes_a_renewed_certificate(tmp_path, pems):
    for ending in ("pem", "key"):
        shutil.copy(pems / f"server.{ending}", tmp_path / f"mine.{ending}")
    tls = tls_of(tmp_path, "mine")
    renewal = Renewal(tls)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.cert, tls.key)
    assert not renewal.due()
    for ending in ("pem", "key"):
        shutil.copy(pems / f"next.{ending}", tmp_path / f"mine.{ending}")
    assert renewal.due()
    assert not renewal.due()
    assert presented(context, pems) == der_of(pems / "server.pem")
    tls.renew(context)
    assert presented(context, pems) == der_of(pems / "next.pem")


def presented(server_context: ssl.SSLContext, pems: pathlib.Path) -> str:
    """The certificate that a client is shown, by a handshake in memory."""
    client_in, client_out = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context(cafile=str(pems / "ca.pem")).wrap_bio(
        client_in, client_out, server_hostname="localhost"
    )
    server = server_context.wrap_bio(client_out, client_in, server_side=True)
    for side in (client, server, client, server):
        with contextlib.suppress(ssl.SSLWantReadError):
            side.do_handshake()
    return (client.getpeercert(binary_form=True) or b"").hex()


def test_validity_is_read_from_the_certificate(pems):
    validity = validity_of((pems / "server.pem").read_text())
    assert (validity.ends - validity.begins).days == 30
    assert abs(validity.begins - datetime.datetime.now(datetime.UTC)) < datetime.timedelta(minutes=10)


def test_files_that_fit_pass_and_a_near_end_is_told(pems, caplog):
    tls_of(pems, client_ca="ca").check()
    assert "certificate_expires" not in caplog.text
    tls_of(pems, "short").check()
    assert "event=certificate_expires" in caplog.text


def garbage(path: pathlib.Path) -> pathlib.Path:
    (path / "garbage.pem").write_text("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")
    return path / "garbage.pem"


BAD = {
    "certificate missing": (
        lambda pems, tmp: TLSOptions(cert=tmp / "no.pem", key=pems / "server.key"),
        "cannot be read",
    ),
    "key missing": (lambda pems, tmp: TLSOptions(cert=pems / "server.pem", key=tmp / "no.key"), "cannot be read"),
    "a directory": (lambda pems, tmp: TLSOptions(cert=tmp, key=pems / "server.key"), "Is a directory"),
    "not a pair": (
        lambda pems, tmp: TLSOptions(cert=pems / "server.pem", key=pems / "client.key"),
        "do not belong together",
    ),
    "certificate for key": (
        lambda pems, tmp: TLSOptions(cert=pems / "server.pem", key=pems / "server.pem"),
        "one of them is no PEM file",
    ),
    "key for certificate": (
        lambda pems, tmp: TLSOptions(cert=pems / "server.key", key=pems / "server.key"),
        "holds no certificate",
    ),
    "damaged": (lambda pems, tmp: TLSOptions(cert=garbage(tmp), key=pems / "server.key"), "holds no certificate"),
    "client CA": (
        lambda pems, tmp: TLSOptions(cert=pems / "server.pem", key=pems / "server.key", client_ca=pems / "server.key"),
        "client CA",
    ),
}


@pytest.mark.parametrize(("make", "text"), BAD.values(), ids=BAD)
def test_files_that_do_not_fit_are_wrong_use(pems, tmp_path, make, text):
    with pytest.raises(UsageError, match=text):
        make(pems, tmp_path).check()


@pytest.mark.parametrize(("days", "text"), [(31, "expired on"), (-1, "is valid from")], ids=["late", "early"])
def test_a_certificate_out_of_its_time_is_wrong_use(pems, days, text):
    now = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
    with pytest.raises(UsageError, match=text):
        tls_of(pems).check(now)


def test_a_key_with_a_passphrase_is_wrong_use(pems, tmp_path):
    key = tmp_path / "locked.key"
    key.write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    with pytest.raises(UsageError, match="has a passphrase"):
        TLSOptions(cert=pems / "server.pem", key=key).check()


def quoted(path: pathlib.Path) -> str:
    return path.read_text().replace("\n", "\\n")


def config_text(pems: pathlib.Path, verify: bool) -> str:
    return (
        f'server_key: "{quoted(pems / "server.key")}"\nserver_cert: "{quoted(pems / "server.pem")}"\n'
        f'custom_ca: "{quoted(pems / "ca.pem")}"\nclient_verify: {str(verify).lower()}\n'
    )


@pytest.mark.parametrize("verify", [True, False], ids=["mutual", "server alone"])
def test_tensorflow_servings_file_is_read(tmp_path, pems, serve, verify):
    (tmp_path / "ssl.config").write_text(config_text(pems, verify))
    server = serve(read_ssl_config(tmp_path / "ssl.config"))
    assert server.ask(pems, client="client" if verify else None) == ("client" if verify else "nobody")


def test_other_processes_of_the_server_can_open_what_the_file_held(tmp_path, pems):
    (tmp_path / "ssl.config").write_text(config_text(pems, True))
    tls = read_ssl_config(tmp_path / "ssl.config")
    code = (
        "import sys; from serving.security.tls import TLSOptions; import pathlib as p; a = map(p.Path, sys.argv[1:]);"
    )
    code += "TLSOptions(**dict(zip(('cert', 'key', 'client_ca'), a))).check()"
    files = [str(path) for path in (tls.cert, tls.key, tls.client_ca)]
    done = subprocess.run([sys.executable, "-c", code, *files], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read"),
        ("server_kee: 'x'", "is no SSLConfig"),
        ("server_cert: 'x'", "lacks `server_key`"),
        ("server_key: 'x'", "lacks `server_cert`"),
        ("server_key: 'x' server_cert: 'x' client_verify: true", "needs `custom_ca`"),
    ],
    ids=["missing", "unknown field", "no key", "no certificate", "no authority"],
)
def test_a_tls_file_that_does_not_fit_is_wrong_use(tmp_path, text, message):
    if text is not None:
        (tmp_path / "ssl.config").write_text(text)
    with pytest.raises(UsageError, match=message):
        read_ssl_config(tmp_path / "ssl.config")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "[::]", "", "10.0.0.7", "serving.example.org"])
def test_clear_text_is_not_offered_to_others_unless_asked_for(host, pems):
    with pytest.raises(UsageError, match="--allow-insecure") as caught:
        check_exposure(host, None, False)
    assert "--tls-cert" in str(caught.value)
    check_exposure(host, tls_of(pems), False)
    check_exposure(host, None, True)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "[::1]", "localhost", "unix:/tmp/s"])
def test_clear_text_is_offered_to_this_machine(host):
    check_exposure(host, None, False)
