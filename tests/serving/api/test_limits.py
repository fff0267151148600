# pyright: reportAttributeAccessIssue=false
"""Requests that claim more than they hold, or hold less than they claim, on the wire of a running server."""

import tracemalloc
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

Code = grpc.StatusCode


def tensor(dtype: tf.DType, shape: tuple[int, ...], **fields: Any) -> Any:
    proto = tensor_pb2.TensorProto(dtype=dtype.as_datatype_enum, **fields)
    for size in shape:
        proto.tensor_shape.dim.add(size=size)
    return proto


def request(model: str, signature: str = "", **inputs: Any) -> Any:
    message = predict_pb2.PredictRequest()
    message.model_spec.name = model
    message.model_spec.signature_name = signature
    for key, proto in inputs.items():
        message.inputs[key].CopyFrom(proto)
    return message


def error_of(channel: grpc.Channel, message: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as raised:
        prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(message, timeout=20)
    return raised.value.code(), raised.value.details() or ""


ROW = 28 * 28
FRAMES = {"padding_mask": tensor(tf.bool, (1, 4), bool_val=[True])}
TOO_MUCH: dict[str, tuple[Any, str]] = {
    "rows": (
        request("conv", image=tensor(tf.uint8, (65_537, 28, 28, 1), tensor_content=b"\0" * (65_537 * ROW))),
        "Input `image` must hold at most 65536 rows. Received: 65537. Send smaller batches, or start the server with "
        "a larger `--max-batch-size`.",
    ),
    "repeated rows": (
        request("conv", image=tensor(tf.uint8, (340_000, 28, 28, 1), int_val=[1])),
        f"Input `image` would be filled with {340_000 * ROW - 1} bytes that repeat its last value; at most 33554432 "
        "are allowed. Send every value (in `tensor_content`), or smaller batches.",
    ),
    "repeated frames": (
        request("sequence", frames=tensor(tf.float32, (1, 5_000_000, 12)), **FRAMES),
        f"Input `frames` would be filled with {5_000_000 * 48} bytes that repeat its last value; at most 33554432 "
        "are allowed. Send every value (in `tensor_content`), or smaller batches.",
    ),
    "repeated strings": (
        request("double", "lengths", texts=tensor(tf.string, (100, 1000), string_val=[b"x" * 1000])),
        f"Input `texts` would be filled with {(100_000 - 1) * 1024} bytes that repeat its last value; at most "
        "33554432 are allowed. Send every value (in `tensor_content`), or smaller batches.",
    ),
    "strings beyond the largest array": (
        request("double", "lengths", texts=tensor(tf.string, (1000, 1000), string_val=[b"x" * 1000])),
        "tensor parsing error: texts",
    ),
    "wrong dtype": (
        request("conv", image=tensor(tf.float32, (60_000, 28, 28, 1), float_val=[1])),
        "Expects arg[0] to be uint8 but float is provided",
    ),
    "wrong size": (
        request("conv", image=tensor(tf.uint8, (1, 9_000, 28_000, 1), int_val=[1])),
        "Input `image` must have shape [?, 28, 28, 1]. Received: [1, 9000, 28000, 1].",
    ),
    "more axes than numpy has": (
        request("conv", image=tensor(tf.uint8, (1,) * 65, int_val=[1])),
        "tensor parsing error: image",
    ),
}


@pytest.mark.parametrize(("message", "text"), TOO_MUCH.values(), ids=TOO_MUCH)
def test_a_request_that_claims_too_much_is_refused_before_anything_is_built(channel, message, text):
    tracemalloc.start()  # of this process, the server in it
    try:
        assert error_of(channel, message) == (Code.INVALID_ARGUMENT, text)
        assert tracemalloc.get_traced_memory()[1] < 4 * message.ByteSize() + (1 << 20)
    finally:
        tracemalloc.stop()


def test_short_requests_within_the_limits_are_filled(channel):
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    image = tensor(tf.uint8, (1000, 28, 28, 1), int_val=[1])
    assert tf.make_ndarray(stub.Predict(request("conv", image=image), timeout=20).outputs["class_id"]).shape == (1000,)
    texts = tensor(tf.string, (2, 2), string_val=[b"a", b"bcd"])
    lengths = stub.Predict(request("double", "lengths", texts=texts), timeout=20).outputs["lengths"]
    assert tf.make_ndarray(lengths).tolist() == [[1, 3], [3, 3]]


@pytest.mark.parametrize(
    ("frames", "mask"), [((2, 4, 12), (1, 4)), ((2, 0, 12), (2, 0))], ids=["one mask for all", "no frames"]
)
def test_what_the_graph_accepts_is_not_refused(channel, frames, mask):
    message = request(
        "sequence",
        frames=tf.make_tensor_proto(np.zeros(frames, np.float32)),
        padding_mask=tf.make_tensor_proto(np.ones(mask, np.bool_)),
    )
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    assert stub.Predict(message, timeout=20).outputs


@pytest.mark.parametrize(
    ("method", "content"),
    [
        ("PredictionService/Predict", request("conv").SerializeToString()[:-1]),
        ("PredictionService/GetModelMetadata", b"\xff\xff\xff"),
        ("ModelService/GetModelStatus", b"\x0a\x7f"),
    ],
    ids=["cut off", "garbage", "length beyond the end"],
)
def test_bytes_that_are_no_request(channel, method, content):
    call = channel.unary_unary(f"/tensorflow.serving.{method}")
    with pytest.raises(grpc.RpcError) as raised:
        call(content, timeout=10)
    assert raised.value.code() is Code.INVALID_ARGUMENT
    assert f"Received: {len(content)} bytes that cannot be parsed" in (raised.value.details() or "")


@pytest.mark.parametrize("letter", ["x", "\u00fc"], ids=["ascii", "umlaut"])
def test_long_details_are_shortened(channel, letter):
    code, details = error_of(channel, request(letter * 20_000))
    assert code is Code.NOT_FOUND
    assert details.startswith(f"Servable not found for request: Latest({letter * 100}")
    assert len(details.encode()) < 1600
    message = get_model_status_pb2.GetModelStatusRequest()
    message.model_spec.name = letter * 20_000
    with pytest.raises(grpc.RpcError) as raised:
        model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(message, timeout=10)
    assert raised.value.code() is Code.NOT_FOUND


@pytest.mark.parametrize("text", [b"a\0\0", b"", "\u00fc".encode(), b"\0"], ids=repr)
def test_a_scalar_string_keeps_its_bytes(channel, text):
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    response = stub.Predict(request("double", "echo", text=tf.make_tensor_proto(text)), timeout=10)
    assert list(response.outputs["text"].string_val) == [text]
