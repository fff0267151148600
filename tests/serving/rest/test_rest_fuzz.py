"""Whatever bytes come in, an answer goes out, and never a 500."""

import json
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

PATHS = (
    "conv:predict",
    "double:predict",
    "double/versions/2:predict",
    "sequence:predict",
    "examples:classify",
    "examples:regress",
)
UNCHECKED = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture)
KEYS = st.sampled_from(
    ["instances", "inputs", "examples", "context", "signature_name", "b64", "x", "image", "frames", "text", "texts"]
)
NAMES = st.sampled_from(["", "echo", "half", "lengths", "classify", "regress", "bytes", "serving_default", "no\x00"])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=-(2**70), max_value=2**70),
    st.floats(),
    st.text(max_size=8),
    st.builds(lambda text: {"b64": text}, st.text("AQ=g/+ \n", max_size=8)),
)
VALUES: Any = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.one_of(KEYS, st.text(max_size=3)), inner, max_size=3)
    ),
    max_leaves=12,
)
DOCUMENTS = st.one_of(
    st.dictionaries(KEYS, VALUES, max_size=3),
    st.fixed_dictionaries({"instances": st.lists(VALUES, max_size=4)}, optional={"signature_name": NAMES}),
    st.fixed_dictionaries({"inputs": VALUES}, optional={"signature_name": NAMES}),
    st.fixed_dictionaries(
        {"examples": st.lists(st.dictionaries(st.text(max_size=3), VALUES, max_size=3), max_size=3)},
        optional={"signature_name": NAMES, "context": VALUES},
    ),
)


def spoiled(text: bytes, position: int, byte: int) -> bytes:
    if not text:
        return text
    position %= len(text)
    return text[:position] + bytes([byte]) + text[position + 1 :]


BODIES = st.one_of(
    DOCUMENTS.map(json.dumps).map(str.encode),
    st.builds(spoiled, DOCUMENTS.map(json.dumps).map(str.encode), st.integers(0, 1000), st.integers(0, 255)),
    st.binary(max_size=40),
    st.builds(lambda depth: b'{"instances": ' + b"[" * depth, st.integers(0, 3000)),
)


def check(rest, path: str, body: bytes) -> None:
    response = rest.post(f"/v1/models/{path}", content=body)
    assert response.status_code in (200, 400, 501), (path, body, response.text)
    document = json.loads(response.content)  # always JSON
    assert set(document) <= {"error", "predictions", "outputs", "results"}
    if response.status_code != 200:
        assert document["error"]


@settings(max_examples=150, deadline=None, database=None, derandomize=True, suppress_health_check=UNCHECKED)
@given(path=st.sampled_from(PATHS), body=BODIES)
def test_bodies(rest, path, body):
    check(rest, path, body)


@pytest.mark.slow
@settings(max_examples=10_000, deadline=None, database=None, suppress_health_check=UNCHECKED)
@given(path=st.sampled_from(PATHS), body=BODIES)
def test_many_bodies(rest, path, body):
    check(rest, path, body)


@settings(max_examples=60, deadline=None, database=None, derandomize=True, suppress_health_check=UNCHECKED)
@given(path=st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="?#"), max_size=30))
def test_paths(rest_server, path):
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", rest_server.rest_port, timeout=10)
    connection.putrequest("GET", f"/v1/models/{path}", skip_host=True)
    connection.putheader("host", "x")
    connection.endheaders()
    status = connection.getresponse().status
    connection.close()
    assert status in (200, 400, 404), (path, status)
