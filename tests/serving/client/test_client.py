import concurrent.futures
import subprocess
import sys
import time

import grpc
import ml_dtypes
import numpy as np
import pytest
from grpc_health.v1 import health, health_pb2_grpc

from serving import Client, RequestError
from serving.errors import (
    DeadlineError,
    InvalidInputError,
    NotFoundError,
    PreconditionError,
    UnavailableError,
    UnsupportedError,
    UsageError,
    error_for,
)
from serving.protocol.casting import cast_input
from serving.protocol.codec import DTYPES
from serving.protocol.signature import TensorSpec

NUMBERS = {dtype.name: dtype for dtype in DTYPES}


@pytest.fixture
def client(address):
    with Client(address) as opened:
        yield opened


def test_predict(client, expected, images):
    answers = client.predict("conv", version=1, image=images)
    want = expected("conv", image=images)
    np.testing.assert_allclose(answers["probabilities"], want["probabilities"], rtol=1e-6)
    np.testing.assert_array_equal(answers["class_id"], want["class_id"])
    assert answers["label"].tolist() == want["label"].tolist()
    answers["probabilities"][0] = 0  # the caller's own


def test_options_reach_the_server(client, images):
    latest = client.predict("conv", image=images)["probabilities"]
    labelled = client.predict("conv", label="stable", image=images)["probabilities"]
    assert not np.allclose(latest, labelled)
    np.testing.assert_array_equal(labelled, client.predict("conv", version=1, image=images)["probabilities"])
    assert list(client.predict("conv", output_filter=["label"], image=images)) == ["label"]
    assert client.predict("double", signature="spin", seconds=0.0)["turns"].shape == ()


def test_inputs_by_dictionary(client, images):
    by_name = client.predict("conv", image=images)["probabilities"]
    np.testing.assert_array_equal(client.predict("conv", inputs={"image": images})["probabilities"], by_name)
    with pytest.raises(UsageError, match="image"):
        client.predict("conv", inputs={"image": images}, image=images)


def test_lists_and_other_dtypes_are_converted(client, images):
    want = client.predict("conv", image=images)["class_id"].tolist()
    assert client.predict("conv", image=images.tolist())["class_id"].tolist() == want
    assert client.predict("conv", image=images.astype(np.int64))["class_id"].tolist() == want
    assert client.predict("double", x=[1, 2.5])["y"].tolist() == [2, 5]
    assert client.predict("double", x=np.array([3.0]))["y"].dtype == np.float32


def spec(dtype: str) -> TensorSpec:
    return TensorSpec(name="x", dtype=NUMBERS[dtype], shape=None)


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("uint8", [0, 255]),
        ("uint8", np.array([True])),
        ("int8", np.array([-128], np.int64)),
        ("uint64", np.array([2**63], np.uint64)),
        ("float", [0.1, np.inf, np.nan]),
        ("float", np.array([2**24], np.int64)),
        ("half", np.array([65504.0])),
        ("bfloat16", np.array([1.5], np.float32)),
        ("float", np.array([1.5], ml_dtypes.bfloat16)),
        ("complex64", np.array([1 + 2j])),
        ("bool", [True, False]),
        ("string", ["a", "b"]),
        ("string", [["a"], ["b"]]),
        ("string", b"a\0"),
        ("string", np.array(["a"])),
    ],
    ids=str,
)
def test_lossless_conversions(dtype, value):
    cast = cast_input(spec(dtype), value)
    if dtype == "string":
        assert cast.tolist() == (value.tolist() if isinstance(value, np.ndarray) else value)
    else:
        assert cast.dtype == NUMBERS[dtype].numpy
        np.testing.assert_allclose(np.asarray(cast, complex), np.asarray(value, complex), rtol=1e-3)


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("uint8", [256]),
        ("uint8", np.array([-1])),
        ("uint64", np.array([-1])),
        ("int64", np.array([2**63], np.uint64)),
        ("uint8", np.array([0.5, 1.0])),
        ("int32", np.array([1.0])),
        ("float", np.array([2**24 + 1])),
        ("half", np.array([1e6])),
        ("float", np.array([1j])),
        ("bool", [0, 1]),
        ("float", ["1.5"]),
        ("string", [1, 2]),
        ("string", np.array([1])),
        ("string", [["a"], ["b", "c"]]),
        ("float", [[1.0], [1.0, 2.0]]),
        ("float", None),
    ],
    ids=str,
)
def test_lossy_conversions_are_refused(dtype, value):
    with pytest.raises(InvalidInputError, match="Input `x`"):
        cast_input(spec(dtype), value)


def test_a_refused_conversion_says_what_to_do(client, images):
    with pytest.raises(InvalidInputError, match=r"`image` must be uint8. Received: float64.*astype\(numpy.uint8\)"):
        client.predict("conv", image=images / 255)


def test_metadata(client):
    metadata = client.metadata("sequence")
    assert (metadata.name, metadata.version) == ("sequence", 1)
    assert list(metadata.signatures) == ["serving_default"]
    signature = metadata.signatures["serving_default"]
    assert {name: (one.dtype.name, one.shape) for name, one in signature.inputs.items()} == {
        "frames": ("float", (None, None, 12)),
        "padding_mask": ("bool", (None, None)),
    }
    assert client.metadata("conv", label="stable").version == 1


def test_status(client):
    assert [(one.version, one.state, one.error_code) for one in client.status("conv")] == [
        (2, "AVAILABLE", "OK"),
        (1, "AVAILABLE", "OK"),
    ]


@pytest.mark.parametrize(
    ("call", "kind", "code"),
    [
        (lambda client: client.predict("nosuch", image=1), NotFoundError, "NOT_FOUND"),
        (lambda client: client.predict("conv", version=9, image=1), NotFoundError, "NOT_FOUND"),
        (lambda client: client.predict("conv", label="x", image=1), InvalidInputError, "INVALID_ARGUMENT"),
        (lambda client: client.predict("conv", signature="x", image=1), PreconditionError, "FAILED_PRECONDITION"),
        (lambda client: client.predict("conv", picture=1), InvalidInputError, "INVALID_ARGUMENT"),
        (
            lambda client: client.predict("conv", image=np.zeros((2, 2), np.uint8)),
            InvalidInputError,
            "INVALID_ARGUMENT",
        ),
        (lambda client: client.metadata("nosuch"), NotFoundError, "NOT_FOUND"),
        (lambda client: client.status("nosuch"), NotFoundError, "NOT_FOUND"),
        (
            lambda client: client.predict("double", signature="spin", seconds=1.0, timeout_s=0.2),
            DeadlineError,
            "DEADLINE_EXCEEDED",
        ),
    ],
    ids=["model", "version", "label", "signature", "name", "shape", "metadata", "status", "deadline"],
)
def test_errors_are_typed(client, call, kind, code):
    with pytest.raises(RequestError) as raised:
        call(client)
    assert type(raised.value) is kind
    assert raised.value.code.name == code
    assert raised.value.details


@pytest.mark.parametrize("call", ["predict", "metadata", "status"])
def test_an_unreachable_server_is_named(call, free_port):
    with (
        Client(f"127.0.0.1:{free_port}") as client,
        pytest.raises(UnavailableError, match=f"No answer from 127.0.0.1:{free_port}.*serving serve"),
    ):
        getattr(client, call)("conv", timeout_s=5)


@pytest.mark.parametrize(
    "address", ["", "localhost", "localhost:", ":8500", "localhost:x", "localhost:0", "h:70000", "::1:8500"]
)
def test_a_wrong_address_is_refused(address):
    with pytest.raises(UsageError, match="HOST:PORT"):
        Client(address)


def test_version_and_label_exclude_each_other(client):
    with pytest.raises(UsageError, match="not both"):
        client.predict("conv", version=1, label="stable", image=1)


def test_a_closed_client_says_so(address):
    client = Client(address)
    client.close()
    with pytest.raises(UsageError, match="closed"):
        client.status("conv")


def test_a_code_without_a_class_stays_visible():
    error = error_for(grpc.StatusCode.RESOURCE_EXHAUSTED, "too much")
    assert type(error) is RequestError
    assert (error.code, str(error)) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "too much")


def test_a_server_without_these_services():
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(1))
    health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with Client(f"127.0.0.1:{port}") as client, pytest.raises(UnsupportedError):
        client.predict("conv", image=1)
    server.stop(0).wait()


def test_threads_share_a_client(client, images):
    want = client.predict("conv", image=images)["class_id"].tolist()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.predict("conv", image=images)["class_id"].tolist(), range(64)))
    assert answers == [want] * 64


def test_a_large_batch(client):
    images = np.zeros((12_000, 28, 28, 1), np.uint8)  # 9.4 MB; gRPC's own limit is 4
    assert client.predict("conv", image=images, timeout_s=60)["probabilities"].shape == (12_000, 3)


IMPORTS = """
import sys, time
started = time.process_time()
import serving
package = time.process_time() - started
serving.Client("localhost:1").close()
client = time.process_time() - started
assert not {"tensorflow", "tensorflow_serving", "keras", "matplotlib"} & set(sys.modules), sorted(sys.modules)
print(package, client)
"""


def test_the_client_needs_no_tensorflow():
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    package_s, client_s = map(float, done.stdout.split())
    assert package_s < 0.2, "CPU seconds of `import serving`"
    assert client_s < 2.0, f"CPU seconds of the first Client; {time.monotonic() - started:.1f} s in all"
