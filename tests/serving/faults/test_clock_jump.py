"""The wall clock jumps by years: tokens end by it; polling, deadlines, retries and rates do not notice."""

import datetime
import time
import types
from collections.abc import Callable, Iterator

import grpc
import grpc._channel
import grpc._server
import harness
import pytest

from serving import Client, Retries
from serving.errors import RequestError
from serving.options import ServerOptions
from serving.repository.disk import Fingerprint
from serving.repository.retries import FIRST_PAUSE_S, LoadRetries
from serving.security.access import parse_rule
from serving.security.gate import Gate
from serving.security.limits import Limiter, LimiterOptions
from serving.security.token_store import change_entries
from serving.security.tokens import TokensFile, make_token
from serving.server import Server

YEARS = 10 * 365.25 * 86400


class Clock:
    def __init__(self) -> None:
        self.ahead = 0.0
        self._time = time.time

    def __call__(self) -> float:
        return self._time() + self.ahead


@pytest.fixture
def clock(monkeypatch) -> Clock:
    """Jumps for Python; gRPC turns deadlines to and from the kernel's clock, which cannot be faked."""
    made, real = Clock(), types.SimpleNamespace(**vars(time))
    for module in (grpc._channel, grpc._server):  # pyright: ignore[reportAttributeAccessIssue]
        monkeypatch.setattr(module, "time", real)
    monkeypatch.setattr(time, "time", made)
    return made


@pytest.fixture
def start(tmp_path, publish) -> Iterator[Callable[..., Server]]:
    publish("double", harness.model(tmp_path / "root", "m") / "1")
    running = []

    def serve(**options) -> Server:
        running.append(Server(tmp_path / "root", ServerOptions(port=0, poll_seconds=0.05), **options))
        running[-1].start()
        return running[-1]

    yield serve
    for server in running:
        server.stop(1)


@pytest.mark.parametrize("years", [YEARS, -YEARS], ids=["ahead", "back"])
def test_what_serves_serves_on_and_what_is_new_is_found(start, clock, years, tmp_path, publish):
    server = start()
    with Client(f"127.0.0.1:{server.port}") as client:
        assert client.predict("m", x=[1.0], timeout_s=5)["y"].tolist() == [2.0]
        clock.ahead = years
        for _ in range(3):
            assert client.predict("m", x=[1.0], timeout_s=5)["y"].tolist() == [2.0]
        publish("triple", tmp_path / "root" / "m" / "2")
        harness.wait_for(lambda: server.repository.served() == {"m": [1, 2]}, seconds=10)
        assert client.predict("m", x=[1.0], timeout_s=5)["y"].tolist() == [3.0]


def code_of(client: Client) -> grpc.StatusCode:
    try:
        client.predict("m", x=[1.0], timeout_s=5)
    except RequestError as error:
        return error.code
    return grpc.StatusCode.OK


@pytest.mark.parametrize("years", [YEARS, -YEARS], ids=["ahead", "back"])
def test_a_rate_is_neither_refilled_nor_emptied(start, clock, years):
    limiter = Limiter(LimiterOptions(requests_per_s=0.001, burst=4))
    server = start(gate=Gate(limiter=limiter))
    with Client(f"127.0.0.1:{server.port}", retries=Retries(attempts=1, first_contact_attempts=1)) as client:
        assert code_of(client) is grpc.StatusCode.OK  # the signatures, and the request
        clock.ahead = years
        assert [code_of(client) for _ in range(3)] == [
            *(grpc.StatusCode.OK, grpc.StatusCode.OK),
            grpc.StatusCode.RESOURCE_EXHAUSTED,
        ]


def test_tokens_end_by_the_wall_clock_and_are_valid_again_when_it_is_set_right(start, clock, tmp_path):
    now = datetime.datetime.now(datetime.UTC)
    made = make_token("a", (parse_rule("*:predict,metadata"),), now=now, expires=now + datetime.timedelta(days=1))
    change_entries(tmp_path / "tokens.json", lambda _: [made.entry])
    tokens = TokensFile(tmp_path / "tokens.json", wall_clock=clock)
    server = start(gate=Gate(tokens=tokens))
    with Client(f"127.0.0.1:{server.port}", token=made.token) as client:
        codes = []
        for clock.ahead in (0.0, YEARS, -YEARS, 0.0):
            codes.append(code_of(client))
    assert codes == [
        *(grpc.StatusCode.OK, grpc.StatusCode.UNAUTHENTICATED),
        *(grpc.StatusCode.OK, grpc.StatusCode.OK),
    ]


FILES = Fingerprint("/models/m", ())


@pytest.mark.parametrize("years", [YEARS, -YEARS], ids=["ahead", "back"])
def test_a_failed_load_waits_its_pause(clock, years):
    retries = LoadRetries()
    retries.failed("m", 1, FILES, MemoryError())
    clock.ahead = years
    assert not retries.may_load("m", 1, FILES)
    later = LoadRetries(lambda: time.monotonic() + FIRST_PAUSE_S)
    later._failed = retries._failed
    assert later.may_load("m", 1, FILES)
