"""What `nginx.conf` is made of: quoting, versions, and nginx's own check of every choice."""

import itertools
import subprocess
from typing import Any

import pytest
from front_harness import PROGRAMS, needs_nginx, nginx_version

from serving.deploy.nginx import RESOLVES, Front, Upstream, quoted, version_of_image
from serving.errors import UsageError

ONE = Upstream(grpc="127.0.0.1:8500", rest="127.0.0.1:8501")
TWO = Upstream(grpc="127.0.0.1:8502", rest="127.0.0.1:8503")


def front(**options: Any) -> Front:
    return Front(**{"upstreams": (ONE,), "ready_model": "digits", **options})


@pytest.mark.parametrize(
    ("text", "expected"),
    [("/a b", '"/a b"'), ('a";}', '"a\\";}"'), ("a\\", '"a\\\\"')],
    ids=["space", "quote", "backslash"],
)
def test_quoting(text, expected):
    assert quoted(text) == expected


@pytest.mark.parametrize("text", ["$host", "a\nb", "a\x00"])
def test_what_cannot_be_quoted_is_refused(text):
    with pytest.raises(UsageError, match="must not hold"):
        quoted(text)


@pytest.mark.parametrize("address", ["a b:1", "a:1; include /etc/passwd", "a", "http://a:1", "a:b"])
def test_an_address_is_host_and_port(address):
    with pytest.raises(UsageError, match="host:port"):
        Upstream(grpc=address, rest="127.0.0.1:1")


def test_a_front_needs_servers_and_a_way_to_know_callers():
    with pytest.raises(UsageError, match="at least one server"):
        front(upstreams=())
    with pytest.raises(UsageError, match="neither"):
        front(uses_tokens=False)


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("nginx:1.24.0-alpine", (1, 24, 0)),
        ("nginx:1.28", (1, 28, 0)),
        ("example.org:5000/nginx:1.20.2@sha256:00", (1, 20, 2)),
        ("nginx:latest", (99, 0, 0)),
    ],
    ids=["exact", "minor", "digest", "unknown"],
)
def test_the_version_is_that_of_the_tag(image, version):
    assert version_of_image(image) == version


def test_http2_is_asked_for_as_the_version_understands_it():
    assert "ssl http2;" in front(version=(1, 24, 0)).render()
    assert "http2 on;" in front(version=(1, 28, 0)).render()


def test_metrics_of_several_servers_are_kept_apart():
    assert "location = /metrics {" in front().render()
    text = front(upstreams=(ONE, TWO)).render()
    assert "location = /metrics {" not in text
    assert "location = /metrics/2 {" in text


@needs_nginx
@pytest.mark.parametrize("program", PROGRAMS, ids=[str(number) for number in range(len(PROGRAMS))])
@pytest.mark.parametrize(
    ("servers", "tokens", "mutual", "resolver"),
    [
        (*choice, resolver)
        for *choice, resolver in itertools.product(
            ((ONE,), (ONE, TWO)), (True, False), (True, False), (None, "127.0.0.1")
        )
        if choice[1] or choice[2]
    ],
)
def test_nginx_takes_every_choice(tmp_path, certificates, program, servers, tokens, mutual, resolver):
    if resolver and nginx_version(program) < RESOLVES:
        pytest.skip("needs nginx 1.27.3, which can resolve a server again")
    (tmp_path / "tokens.map").write_text('"Bearer 00" "caller";\n')
    text = front(
        upstreams=servers, uses_tokens=tokens, uses_client_certificates=mutual, resolver=resolver,
        version=nginx_version(program), state_dir=str(tmp_path), tls_dir=str(certificates),
        tokens_file=str(tmp_path / "tokens.map"), access_log=str(tmp_path / "access.log"),
    ).render()  # fmt: skip
    (tmp_path / "nginx.conf").write_text(text)
    command = [program, "-t", "-c", str(tmp_path / "nginx.conf"), "-p", str(tmp_path)]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    assert "[warn]" not in checked.stderr
