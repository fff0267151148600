"""Who may ask over HTTP, how much, and from which page."""

import datetime
import gzip
import json

import httpx
import pytest

from serving.rest import bodies
from serving.rest.same_origin import is_foreign
from serving.security.access import parse_rule
from serving.security.gate import Gate, GateOptions
from serving.security.limits import LimiterOptions
from serving.security.token_store import change_entries
from serving.security.tokens import make_token

RULES = {
    "alice": ["double:predict,metadata"],
    "scraper": ["*:metadata"],
    "predictor": ["*:predict"],
}


@pytest.fixture
def guarded(tmp_path, other_rest):
    """A client of a server with tokens, its tokens by name, and its access log's lines."""
    now, tokens = datetime.datetime.now(datetime.UTC), {}
    for name, rules in RULES.items():
        tokens[name] = make_token(name, tuple(map(parse_rule, rules)), now=now)
    change_entries(tmp_path / "tokens.json", lambda _: [one.entry for one in tokens.values()])
    log = tmp_path / "access.log"
    server = other_rest(gate=Gate.open(GateOptions(tokens=tmp_path / "tokens.json", access_log=str(log))))

    def ask(method: str, path: str, token: str | None = None, **options) -> httpx.Response:
        headers = {"authorization": f"Bearer {tokens[token].token if token in tokens else token}"} if token else {}
        return httpx.request(method, f"http://127.0.0.1:{server.port}{path}", headers=headers, timeout=30, **options)

    return ask, lambda: [json.loads(line) for line in log.read_text().splitlines()]


ONE = {"instances": [1]}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/models/double:predict"),
        ("GET", "/v1/models/double"),
        ("GET", "/v1/models/double/metadata"),
        ("GET", "/v1/models"),
        ("GET", "/v1/stats"),
        ("GET", "/metrics"),
        ("GET", "/monitoring/prometheus/metrics"),
    ],
)
@pytest.mark.parametrize("token", [None, "nonsense"], ids=["no token", "wrong token"])
def test_what_shows_models_needs_a_token(guarded, method, path, token):
    ask, _ = guarded
    response = ask(method, path, token)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert "authorization: Bearer TOKEN" in response.json()["error"]


@pytest.mark.parametrize("path", ["/", "/livez", "/readyz"])
def test_the_page_and_the_probes_need_none_and_name_no_model(guarded, path):
    ask, _ = guarded
    response = ask("GET", path)
    assert response.status_code == 200
    assert "double" not in response.text


def test_rights_are_per_model(guarded):
    ask, lines = guarded
    assert ask("POST", "/v1/models/double:predict", "alice", json=ONE).json() == {"predictions": [2.0]}
    refused = ask("POST", "/v1/models/conv:predict", "alice", json=ONE)
    unknown = ask("POST", "/v1/models/nosuch:predict", "alice", content="no JSON")
    assert refused.status_code == unknown.status_code == 403
    assert refused.json()["error"].replace("conv", "nosuch") == unknown.json()["error"]  # nothing is learnt of either
    assert ask("GET", "/v1/models/double", "predictor").status_code == 403
    logged = [(line["transport"], line["method"], line["model"], line["caller"], line["code"]) for line in lines()]
    assert logged == [
        ("rest", "Predict", "double", "alice", "OK"),
        ("rest", "Predict", "conv", "alice", "PERMISSION_DENIED"),
        ("rest", "Predict", "nosuch", "alice", "PERMISSION_DENIED"),
        ("rest", "GetModelStatus", "double", "predictor", "PERMISSION_DENIED"),
    ]
    assert lines()[0]["version"] == 2
    assert lines()[0]["request_bytes"] == len(json.dumps(ONE, separators=(",", ":")))


def test_lists_hold_what_the_caller_may_see(guarded):
    ask, _ = guarded
    ask("POST", "/v1/models/double:predict", "predictor", json=ONE)
    ask("POST", "/v1/models/conv:predict", "predictor", json=ONE)

    def seen(token: str) -> tuple[set[str], set[str]]:
        models = ask("GET", "/v1/models", token).json()["models"]
        totals = ask("GET", "/v1/stats", token).json()["totals"]
        return {one["name"] for one in models}, {line["model"] for line in totals}

    assert seen("alice") == ({"double"}, {"double"})
    assert seen("scraper")[0] >= {"double", "conv", "broken"}
    assert seen("scraper")[1] == {"double", "conv"}
    assert ask("GET", "/v1/models", "predictor").status_code == 403


def test_metrics_need_the_right_on_every_model(guarded):
    ask, _ = guarded
    ask("POST", "/v1/models/double:predict", "predictor", json=ONE)
    for path in ("/metrics", "/monitoring/prometheus/metrics"):
        scraped = ask("GET", path, "scraper")
        assert scraped.headers["content-type"].startswith("text/plain")
        assert 'serving_requests_total{code="OK",method="Predict",model="double",transport="rest"} 1.0' in scraped.text
        assert ask("GET", path, "alice").status_code == 403


def test_a_limit_says_when_to_come_again(other_rest):
    gate = Gate.open(GateOptions(limits=LimiterOptions(requests_per_s=0.1)))
    server = other_rest(gate=gate)
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}") as client:
        assert client.post("/v1/models/double:predict", json=ONE).status_code == 200
        refused = client.post("/v1/models/double:predict", json=ONE)
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 10


@pytest.mark.parametrize(
    ("origin", "status"),
    [(None, 200), ("http://{host}", 200), ("http://evil.example", 403), ("null", 403), ("http://127.0.0.1:1", 403)],
    ids=["a program", "this page", "another site", "a file", "another port"],
)
def test_pages_of_other_sites_are_refused(rest, origin, status):
    host = rest.base_url.netloc.decode()
    headers = {} if origin is None else {"origin": origin.format(host=host)}
    response = rest.post("/v1/models/double:predict", json=ONE, headers=headers)
    assert response.status_code == status
    assert "access-control-allow-origin" not in response.headers


def test_an_origin_is_compared_with_its_port():
    assert not is_foreign("https://Example.org", "example.org")
    assert is_foreign("https://example.org:444", "example.org")


class Zeros:
    """A body of zeros in chunks, without a length."""

    def __init__(self, size: int):
        self.size = size

    def __iter__(self):
        for _ in range(self.size // 1000):
            yield b"0" * 1000


@pytest.mark.parametrize(
    ("body", "headers", "status", "text"),
    [
        (b"0" * 10_001, {}, 413, "at most 10000 bytes"),
        (Zeros(20_000), {}, 413, "at most 10000 bytes"),
        (gzip.compress(b"0" * 10_001), {"content-encoding": "gzip"}, 413, "at most 10000 bytes"),
        (gzip.compress(b"{}")[:-9], {"content-encoding": "gzip"}, 400, "cut off"),
        (b"{}", {"content-encoding": "gzip"}, 400, "no gzip"),
        (b"{}", {"content-encoding": "br"}, 415, "must be gzip or none"),
        (b"0" * 10_000, {}, 400, "JSON Parse error"),
    ],
    ids=["length", "chunks", "inflated", "gzip cut off", "no gzip", "brotli", "just fits"],
)
def test_bodies_are_limited(other_rest, body, headers, status, text):
    server = other_rest(max_request_bytes=10_000)
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}") as client:
        for _ in range(2):  # the connection is still good
            response = client.post("/v1/models/double:predict", content=body, headers=headers)
            assert response.status_code == status
            assert text in response.json()["error"]


def test_a_body_that_does_not_come_is_not_waited_for(other_rest, monkeypatch):
    monkeypatch.setattr(bodies, "TIMEOUT_S", 0.2)
    server = other_rest()

    def slow():
        import time

        yield b"{"
        time.sleep(1)
        yield b"}"

    response = httpx.post(f"http://127.0.0.1:{server.port}/v1/models/double:predict", content=slow(), timeout=10)
    assert response.status_code == 408
