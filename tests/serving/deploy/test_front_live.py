"""The nginx that `deploy` renders, run for real: TLS, tokens, certificates, limits, errors and the log."""

import concurrent.futures
import http.client
import json
import signal
import subprocess
import time

import grpc
import pytest
from front_harness import (
    OTHER_TOKEN,
    PREDICT,
    RELOAD,
    STATUS,
    TOKEN,
    FakeRest,
    Running,
    call,
    needs_nginx,
    predict,
    predict_request,
    refusal,
)  # fmt: skip

from serving.protocol import messages as wire

pytestmark = needs_nginx


def test_a_token_opens_the_front(front):
    with front.channel() as channel:
        assert predict(channel, 21.0) == 42.0
        status = wire.GetModelStatusRequest()
        status.model_spec.name = "double"
        answer = wire.GetModelStatusResponse.FromString(call(channel, STATUS, status))
    assert [version.state for version in answer.model_version_status] == [30]


@pytest.mark.parametrize("token", [None, "7b" * 32, TOKEN[:-1], ""], ids=["none", "wrong", "cut short", "empty"])
def test_without_a_valid_token_nobody_is_heard(front, token):
    with front.channel() as channel:
        error = refusal(channel, token=token)
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED
    assert "token" in error.details()
    status, body = front.rest("/v1/models/double", token)
    assert (status, set(json.loads(body))) == (401, {"error"})


def test_plain_text_is_refused(front):
    with grpc.insecure_channel(f"localhost:{front.grpc_port}") as channel:
        assert refusal(channel).code() is grpc.StatusCode.UNAVAILABLE


def test_another_authority_is_refused_by_the_client(front, tmp_path, certificates):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=other",
         "-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "crt")],
        check=True, capture_output=True,
    )  # fmt: skip
    credentials = grpc.ssl_channel_credentials(root_certificates=(tmp_path / "crt").read_bytes())
    with grpc.secure_channel(f"localhost:{front.grpc_port}", credentials) as channel:
        assert refusal(channel).code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize(
    ("method", "code"),
    [
        (RELOAD, grpc.StatusCode.PERMISSION_DENIED),
        ("/tensorflow.serving.SessionService/SessionRun", grpc.StatusCode.UNIMPLEMENTED),
        (
            f"/tensorflow.serving.PredictionService/..{RELOAD}",
            grpc.StatusCode.PERMISSION_DENIED,
        ),
    ],
    ids=["reload", "unknown", "path traversal"],
)
def test_only_what_asks_models_is_passed_on(front, method, code):
    codes: list[grpc.StatusCode] = []
    with front.channel() as channel:
        entry = front.entry_of(lambda: codes.append(refusal(channel, method=method).code()))
    assert codes == [code]
    assert entry["upstream"] == ""


def test_a_request_above_the_limit_is_refused_and_one_below_it_is_not(front):
    with front.channel() as channel:
        assert refusal(channel, values=300_000).code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        call(channel, PREDICT, predict_request([1.0] * 65_536))  # more than nginx's buffer in memory


def test_an_error_of_the_server_arrives_as_it_is(front):
    request = predict_request([1.0])
    request.model_spec.name = "nosuch"
    with front.channel() as channel, pytest.raises(grpc.RpcError) as refused:
        call(channel, PREDICT, request)
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    assert "nosuch" in str(refused.value.details())


def test_the_log_names_the_caller_and_holds_no_token_or_payload(front):
    with front.channel() as channel:
        entry = front.entry_of(lambda: predict(channel, 21.0, OTHER_TOKEN))
    assert (entry["caller"], entry["path"], entry["status"], entry["grpc_status"]) == ("team-b", PREDICT, 200, "0")
    assert set(entry) == {
        "time", "caller", "method", "path", "status", "grpc_status", "bytes_in", "bytes_out", "seconds", "upstream",
    }  # fmt: skip
    assert OTHER_TOKEN not in (front.path / "access.log").read_text()


def test_the_token_stays_at_the_front(front, fake_server):
    with front.channel() as channel:
        predict(channel, 21.0)
    assert fake_server.credentials[-1] is None


def test_rest_is_passed_on_without_the_token(front):
    assert front.rest("/v1/models/double", TOKEN) == (200, '{"model_version_status": []}')
    assert FakeRest.seen[-1] == ("/v1/models/double", None)
    assert front.rest("/monitoring/prometheus/metrics", TOKEN)[0] == 404


@pytest.mark.parametrize(
    ("path", "status"),
    [("/readyz", 200), ("/healthz", 200), ("/metrics", 200), ("/v1/models/double", 404)],
    ids=["ready", "alive", "metrics", "no models without a token"],
)
def test_probes_and_metrics_need_no_token(front, path, status):
    connection = http.client.HTTPConnection("127.0.0.1", front.health_port, timeout=5)
    connection.request("GET", path)
    assert connection.getresponse().status == status
    connection.close()


def test_a_caller_is_limited_and_another_is_not(lone_front):
    limited = lone_front(requests_per_s=1)
    with limited.channel() as channel:
        codes = [refusal(channel).code() for _ in range(4)]
        assert codes.count(grpc.StatusCode.RESOURCE_EXHAUSTED) in (2, 1)  # 1 and a burst of 1 pass; a second may go by
        assert codes[0] is grpc.StatusCode.UNAVAILABLE
        assert refusal(channel, token=OTHER_TOKEN).code() is grpc.StatusCode.UNAVAILABLE


def test_no_server_is_unavailable(lone_front):
    with lone_front().channel() as channel:
        error = refusal(channel)
    assert (error.code(), error.details()) == (grpc.StatusCode.UNAVAILABLE, "no model server answers")


@pytest.mark.parametrize("uses_tokens", [False, True], ids=["certificate", "certificate and token"])
def test_a_client_certificate_is_asked_for(lone_front, uses_tokens):
    mutual = lone_front(uses_client_certificates=True, uses_tokens=uses_tokens)
    with mutual.channel() as channel:
        assert refusal(channel).code() is grpc.StatusCode.UNAUTHENTICATED
    with mutual.channel(certificate=True) as channel:
        entry = mutual.entry_of(lambda: refusal(channel))
        assert entry["grpc_status"] == "14"  # heard, and no server is behind
        assert entry["caller"] == ("team-a" if uses_tokens else "CN=caller")
        if uses_tokens:
            assert refusal(channel, token=None).code() is grpc.StatusCode.UNAUTHENTICATED


def test_a_request_under_way_is_answered_when_nginx_ends(tmp_path, certificates, fake_server, monkeypatch):
    """What a pod does with its preStop over: SIGQUIT, no new connections, and an exit when the last answer is out."""
    ending = Running(tmp_path, certificates, [fake_server.port])
    monkeypatch.setattr(fake_server, "delay_s", 1.0)
    with ending.channel() as channel, concurrent.futures.ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(predict, channel, 21.0)
        time.sleep(0.4)
        ending.process.send_signal(signal.SIGQUIT)
        time.sleep(0.2)
        with ending.channel(("grpc.use_local_subchannel_pool", 1)) as late:
            assert refusal(late).code() is grpc.StatusCode.UNAVAILABLE
        assert under_way.result() == 42.0
    ending.process.communicate(timeout=10)
    assert ending.process.returncode == 0
