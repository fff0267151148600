"""When a request is sent again, and when it is not; each for both clients."""

import threading
import time

import grpc
import pytest

from serving import Retries
from serving.errors import DeadlineError, RequestError, UnavailableError, UsageError

from .conftest import ScriptedServer, echo

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
QUICK = Retries(first_pause_s=0.01, max_pause_s=0.02)


def test_unavailable_is_asked_again(connect, scripted):
    scripted.scripts["Predict"] = [UNAVAILABLE, UNAVAILABLE, echo]
    answers = connect(scripted.address, retries=QUICK).predict("m", x=[1.0])
    assert answers["x"].tolist() == [1.0]
    assert scripted.asked["Predict"] == 3


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code.name not in ("OK", "UNAVAILABLE")])
def test_nothing_else_is_asked_again(connect, scripted, code):
    scripted.scripts["GetModelStatus"] = [code, b""]
    with pytest.raises(RequestError) as raised:
        connect(scripted.address, retries=QUICK).status("m")
    assert raised.value.code is code
    assert scripted.asked["GetModelStatus"] == 1


@pytest.mark.parametrize("reached", [True, False], ids=["known server", "first contact"])
def test_attempts_are_counted(connect, scripted, reached):
    scripted.scripts["GetModelStatus"] = [b"", UNAVAILABLE] if reached else [UNAVAILABLE]
    client = connect(
        scripted.address, retries=Retries(attempts=4, first_contact_attempts=2, first_pause_s=0.01, max_pause_s=0.01)
    )
    if reached:
        client.status("m")
    with pytest.raises(UnavailableError, match="scripted UNAVAILABLE"):
        client.status("m")
    assert scripted.asked["GetModelStatus"] == (1 + 4 if reached else 2)


def test_the_timeout_covers_all_attempts(connect, scripted):
    scripted.scripts["GetModelStatus"] = [b"", UNAVAILABLE]
    client = connect(scripted.address, retries=Retries(attempts=1000, first_pause_s=0.05, max_pause_s=0.05))
    client.status("m")
    started = time.monotonic()
    with pytest.raises(UnavailableError):
        client.status("m", timeout_s=0.5)
    assert 0.3 < time.monotonic() - started < 2.0
    assert 3 <= scripted.asked["GetModelStatus"] <= 25


def test_the_last_attempt_has_what_is_left_of_the_timeout(connect, scripted):
    scripted.scripts["GetModelStatus"] = [lambda _: time.sleep(0.8) or UNAVAILABLE, lambda _: time.sleep(3) or b""]
    started = time.monotonic()
    with pytest.raises(DeadlineError):
        connect(scripted.address, retries=QUICK).status("m", timeout_s=1.2)
    assert time.monotonic() - started < 1.8, "the second attempt had a timeout of its own"


def test_a_server_that_comes_back_is_reached(connect):
    """Also while gRPC itself waits between its attempts to connect."""
    server = ScriptedServer().start()
    client = connect(server.address)
    client.predict("m", x=[1.0])
    server.stop()
    again = ScriptedServer()
    later = threading.Timer(1.2, again.start, (server.port,))
    later.start()
    started = time.monotonic()
    assert client.predict("m", x=[2.0], timeout_s=10)["x"].tolist() == [2.0]
    assert 1.0 < time.monotonic() - started < 6.0
    later.join()
    again.stop()


def test_a_full_queue_is_not_a_missing_server(connect, scripted):
    scripted.text = "The batch scheduling queue to which this task was submitted is full; currently 8"
    scripted.scripts["Predict"] = [UNAVAILABLE]
    with pytest.raises(UnavailableError, match="more to do than it can queue"):
        connect(scripted.address, retries=QUICK).predict("m", x=[1.0])


def test_no_server_is_told_soon(connect, free_port):
    started = time.monotonic()
    with pytest.raises(UnavailableError, match="Is a server running there"):
        connect(f"localhost:{free_port}").status("m", timeout_s=30)
    assert time.monotonic() - started < 5.0


def test_a_client_may_wait_for_a_server_to_start(connect, free_port):
    server = ScriptedServer()
    server.scripts["GetModelStatus"] = [b""]
    later = threading.Timer(0.8, server.start, (free_port,))
    later.start()
    patient = Retries(first_contact_attempts=10)
    assert connect(f"localhost:{free_port}", retries=patient).status("m", timeout_s=10) == []
    later.join()
    server.stop()


def test_pauses_double_and_differ():
    retries = Retries(attempts=100, first_pause_s=0.1, max_pause_s=1.0)
    for sent, longest in ((1, 0.1), (2, 0.2), (4, 0.8), (5, 1.0), (50, 1.0)):
        pauses = {retries.pause_s(sent, reached=True) or 0.0 for _ in range(50)}
        assert len(pauses) == 50
        assert longest / 2 <= min(pauses) < max(pauses) <= longest
    assert retries.pause_s(100, reached=True) is None


@pytest.mark.parametrize(
    "options",
    [{"attempts": 0}, {"first_contact_attempts": 0}, {"first_pause_s": 0.0}, {"first_pause_s": 2.0}],
    ids=str,
)
def test_numbers_out_of_range_are_refused(options):
    with pytest.raises(UsageError, match=f"`{next(iter(options))}`"):
        Retries(**options)
