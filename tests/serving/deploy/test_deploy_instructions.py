"""The README beside the manifests: its commands and its client, carried out."""

import re
import subprocess
from typing import Any

import grpc
import pytest
from front_harness import PROGRAMS, TOKEN, needs_nginx, nginx_version, predict

pytestmark = needs_nginx


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.mark.parametrize("program", PROGRAMS, ids=[str(number) for number in range(len(PROGRAMS))])
def test_the_commands_make_what_nginx_needs(written, tmp_path, program):
    """Directory, certificate and token as the README makes them, and the very configuration that was written."""
    image = "nginx:{}.{}.{}".format(*nginx_version(program))
    files = written("compose", proxy_image=image)
    commands = [block for block in blocks(files["README.md"], "bash") if re.match("mkdir|openssl|TOKEN", block)]
    assert len(commands) == 3
    out = tmp_path / "out"
    made = subprocess.run(["bash", "-euc", "\n".join(commands)], cwd=out, capture_output=True, text=True, check=True)
    token = made.stdout.strip()
    assert re.fullmatch("[0-9a-f]{64}", token)
    assert (out / "secrets" / "tokens.map").read_text() == f'"Bearer {token}" "team-a";\n'
    text = files["front/nginx.conf"].replace('"/tmp/', f'"{tmp_path}/').replace("model-server-", "127.0.0.")
    text = re.sub("/etc/nginx/(tls|tokens)/", f"{out}/secrets/", text)
    (tmp_path / "nginx.conf").write_text(text)
    command = [program, "-t", "-c", str(tmp_path / "nginx.conf"), "-p", str(tmp_path)]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("target", ["compose", "kubernetes"])
def test_the_client_asks_the_front(written, front, certificates, target):
    (snippet,) = blocks(written(target)["README.md"], "python")
    snippet = re.sub(r'secure_channel\("[^"]+:8443"', f'secure_channel("localhost:{front.grpc_port}"', snippet)
    snippet = snippet.replace('open("secrets/tls.crt", "rb").read()', "certificate")
    names: dict[str, Any] = {"TOKEN": TOKEN, "certificate": (certificates / "tls.crt").read_bytes()}
    exec(snippet, names)
    with names["channel"] as channel:
        assert predict(channel, 21.0, token=None) == 42.0
    names = {"TOKEN": "00", "certificate": names["certificate"]}
    exec(snippet, names)
    with names["channel"] as channel, pytest.raises(grpc.RpcError) as refused:
        predict(channel, 21.0, token=None)
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
