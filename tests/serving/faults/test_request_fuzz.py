# pyright: reportAttributeAccessIssue=false
"""Whatever bytes a method is sent, it answers or refuses them, soon, and answers a good request after."""

import collections
import time
from collections.abc import Iterator
from typing import Any

import example_models
import grpc
import harness
import numpy as np
import parser_models
import pytest
import request_bytes
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from tensorflow_serving.apis import predict_pb2

from serving.api.service import Service
from serving.options import Limits, ServerOptions
from serving.repository.model_config import parse_reload
from serving.server import Server

Code = grpc.StatusCode
REFUSALS = {Code.INVALID_ARGUMENT, Code.NOT_FOUND, Code.FAILED_PRECONDITION, Code.UNIMPLEMENTED}
MAX_SECONDS = 10.0
QUIET = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture)


def good() -> bytes:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "conv"
    request.inputs["image"].CopyFrom(tf.make_tensor_proto(np.zeros((1, 28, 28, 1), np.uint8)))
    return request.SerializeToString()


GOOD = good()


@pytest.fixture(scope="module")
def target(tmp_path_factory, publish) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("fuzzed")
    for name in ("conv", "sequence", "double", "any_rank"):
        publish(name, harness.model(root, name) / "1")
    example_models.write_half_plus_two(harness.model(root, "examples") / "1")
    example_models.write_native(harness.model(root, "native") / "1")
    parser_models.write("direct", harness.model(root, "parsed") / "1")
    server = Server(root, ServerOptions(port=0, poll_seconds=0, max_message_bytes=1 << 20, max_batch_size=1000))
    server.start()
    assert server.repository.served() == {name: [1] for name in sorted(request_bytes.MODELS)}
    yield server
    server.stop(5)


@pytest.fixture(scope="module")
def door(target) -> harness.Door:
    limits = Limits(max_bytes=1 << 20, max_batch_size=1000)

    def read(config: Any) -> None:
        """Read a reload; carried out, it would take the models from the other cases."""
        parse_reload(target._root, config)

    return harness.door(Service(target.repository, limits=limits, reload=read))


@pytest.fixture(scope="module")
def wire(target) -> Iterator[harness.Door]:
    with grpc.insecure_channel(f"127.0.0.1:{target.port}") as channel:
        yield harness.wire(channel)


def check(ask: harness.Door, case: tuple[str, bytes]) -> Code:
    started = time.monotonic()
    code, details = ask(*case)
    assert time.monotonic() - started < MAX_SECONDS
    assert code is Code.OK or code in REFUSALS, (case, code, details)
    assert details
    assert ask("Predict", GOOD)[0] is Code.OK
    return code


@settings(max_examples=500, deadline=None, database=None, derandomize=True, suppress_health_check=QUIET)
@given(case=request_bytes.CASES)
def test_requests(door, case):
    check(door, case)


@settings(max_examples=80, deadline=None, database=None, derandomize=True, suppress_health_check=QUIET)
@given(case=request_bytes.CASES.filter(lambda case: case[0] != "HandleReloadConfigRequest"))
def test_requests_on_the_wire(wire, case):
    check(wire, case)


@pytest.mark.slow
@settings(max_examples=12_000, deadline=None, database=None, suppress_health_check=QUIET)
@given(case=request_bytes.CASES)
def test_many_requests(door, case):
    check(door, case)


@pytest.mark.slow
@settings(max_examples=2_000, deadline=None, database=None, suppress_health_check=QUIET)
@given(case=request_bytes.CASES.filter(lambda case: case[0] != "HandleReloadConfigRequest"))
def test_many_requests_on_the_wire(wire, case):
    check(wire, case)


def test_the_cases_reach_the_models_and_are_refused_for_many_reasons(door):
    """A fuzz that every look at the first byte ends tries nothing."""
    told: collections.Counter[str] = collections.Counter()

    @settings(max_examples=150, deadline=None, database=None, derandomize=True, suppress_health_check=QUIET)
    @given(case=request_bytes.CASES)
    def ask(case: Any) -> None:
        code, details = door(*case)
        told["OK" if code is Code.OK else details[:24]] += 1

    ask()
    assert told["OK"] >= 5
    assert len(told) >= 12
