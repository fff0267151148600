"""The Compose file: valid by the specification, and right in what it refers to."""

import re
import shutil
import socket
import subprocess
import threading
from typing import Any

import compose_spec
import pytest
import yaml

CHOICES = {
    "default": {},
    "one server, batching": {"replicas": 1, "batching": True},
    "mtls": {"auth": "mtls", "image": "example.org/own:1"},
}


@pytest.fixture(params=CHOICES.values(), ids=list(CHOICES))
def files(request, written) -> dict[str, Any]:
    return written("compose", **request.param)


def compose(files: dict[str, Any]) -> dict[str, Any]:
    (document,) = files["compose.yaml"]
    return document


def servers(files: dict[str, Any]) -> dict[str, Any]:
    return {name: service for name, service in compose(files)["services"].items() if name != "proxy"}


def test_the_file_is_what_compose_reads(files):
    compose_spec.PyCompose.from_yaml(yaml.safe_dump(compose(files))).validate()


def test_the_specification_refuses_what_is_wrong(written):
    document = compose(written("compose"))
    document["services"]["proxy"]["read_onli"] = True
    with pytest.raises(ValueError, match="read_onli"):
        compose_spec.PyCompose.from_yaml(yaml.safe_dump(document)).validate()


def test_servers_have_no_way_in_or_out_but_nginx(files):
    document = compose(files)
    assert document["networks"]["servers"]["internal"] is True
    for service in servers(files).values():
        assert service["networks"] == ["servers"]
        assert "ports" not in service
    proxy = document["services"]["proxy"]
    assert set(proxy["networks"]) == set(document["networks"])
    assert set(proxy["depends_on"]) == set(servers(files))
    (open_port,) = (port for port in proxy["ports"] if port["target"] == 9113)
    assert open_port["host_ip"] == "127.0.0.1"  # it has no TLS


def test_every_service_is_locked_down(files):
    for service in compose(files)["services"].values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["user"].split(":")[0] not in ("0", "root")
        assert service["restart"] == "unless-stopped"
        assert service["deploy"]["resources"]["limits"]["memory"]
        assert all(volume["read_only"] for volume in service["volumes"])
        assert "healthcheck" in service


def test_the_root_and_the_files_are_mounted(files, tmp_path):
    for service in servers(files).values():
        sources = {volume["target"]: volume["source"] for volume in service["volumes"]}
        assert sources["/models"] == str((tmp_path / "root").resolve())
        named = {flag.partition("=")[2] for flag in service["command"] if "_file=" in flag}
        written = {name.replace("config/", "/etc/serving/") for name in files if name.startswith("config/")}
        assert named == written
        assert (service["image"], service.get("platform")) in [
            ("tensorflow/serving:2.21.0", "linux/amd64"),
            ("example.org/own:1", None),
        ]


def test_nginx_knows_every_server_and_its_files(files):
    text, document = files["front/nginx.conf"], compose(files)
    for kind, port in (("grpc", 8500), ("rest", 8501)):
        (block,) = re.findall(rf"upstream {kind}_servers {{(.*?)}}", text, re.DOTALL)
        assert re.findall(r"server (\S+) ", block) == [f"{name}:{port}" for name in servers(files)]
        assert block.count(" resolve;") == len(servers(files))
    secrets = document["services"]["proxy"]["secrets"]
    assert {secret["source"] for secret in secrets} == set(document["secrets"])
    included = set(re.findall(r'(?:include|ssl_\w+) "([^"]+)";', text))
    assert {secret["target"] for secret in secrets} == included
    for secret in document["secrets"].values():
        assert secret["file"].removeprefix("./") in files["README.md"]


def test_published_ports_lead_to_listening_ones(written):
    files = written("compose", grpc_port=9000, rest_port=9001)
    ports = {port["published"]: port["target"] for port in compose(files)["services"]["proxy"]["ports"]}
    listening = re.findall(r"listen 0\.0\.0\.0:(\d+)", files["front/nginx.conf"])
    assert set(map(str, ports.values())) == set(listening)
    assert (ports["9000"], ports["9001"]) == (8443, 8444)
    assert "localhost:9001/v1/models/digits" in files["README.md"]


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(("status", "healthy"), [("200 OK", True), ("404 Not Found", False)], ids=["ready", "not yet"])
def test_the_health_check_reads_the_status(written, status, healthy):
    """The very command of the file, asked of a socket that answers as the server does."""
    test = compose(written("compose"))["services"]["model-server-1"]["healthcheck"]["test"]
    requests: list[bytes] = []

    def answer(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            requests.append(connection.recv(1000))
            connection.sendall(f"HTTP/1.1 {status}\r\n\r\n{{}}".encode())

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=answer, args=(listening,))
        thread.start()
        command = test[-1].replace("$$", "$").replace("8501", str(listening.getsockname()[1]))
        assert (subprocess.run(["bash", "-c", command], timeout=10).returncode == 0) is healthy
        thread.join()
    assert requests[0].startswith(b"GET /v1/models/digits HTTP/1.0\r\n")
    assert test[:2] == ["CMD", "/bin/bash"]


def test_a_dollar_in_the_path_is_not_a_variable(written, make_root, tmp_path):
    root = make_root()
    moved = root.rename(tmp_path / "a$HOME")
    source = compose(written("compose", root=moved))["services"]["model-server-1"]["volumes"][0]["source"]
    assert source.endswith("/a$$HOME")


def test_an_older_nginx_is_not_told_to_resolve(written):
    files = written("compose", proxy_image="nginx:1.24.0-alpine")
    assert "resolve" not in files["front/nginx.conf"]
    assert "after a server was made anew" in files["README.md"]
