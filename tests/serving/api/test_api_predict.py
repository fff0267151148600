# pyright: reportAttributeAccessIssue=false
"""Predict through the unmodified stub of tensorflow-serving-api, against a server on a loopback port."""

from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import predict_pb2

Code = grpc.StatusCode
IMAGE = np.zeros((1, 28, 28, 1), np.uint8)
MISMATCH = "input size does not match signature: {}!=1 len({{{}}}) != len({{image}}). Sent extra: {{{}}}. "


def request(name: str = "conv", *, version=None, label="", signature="", outputs=(), **inputs: Any) -> Any:
    message = predict_pb2.PredictRequest(output_filter=outputs)
    message.model_spec.name = name
    message.model_spec.signature_name = signature
    if version is not None:
        message.model_spec.version.value = version
    if label:
        message.model_spec.version_label = label
    for key, value in inputs.items():
        proto = value if isinstance(value, tensor_pb2.TensorProto) else tf.make_tensor_proto(value)
        message.inputs[key].CopyFrom(proto)
    return message


def tensor(dtype: tf.DType, shape: tuple[int, ...], content: bytes = b"", **fields: Any) -> Any:
    proto = tensor_pb2.TensorProto(dtype=dtype.as_datatype_enum, tensor_content=content, **fields)
    for size in shape:
        proto.tensor_shape.dim.add(size=size)
    return proto


@pytest.mark.parametrize(
    ("spec", "source", "version"),
    [({}, "conv_b", 2), ({"version": 1}, "conv", 1), ({"version": 2}, "conv_b", 2), ({"label": "stable"}, "conv", 1)],
    ids=["latest", "version 1", "version 2", "label"],
)
def test_predict_answers_what_tensorflow_answers(stub, expected, images, spec, source, version):
    response = stub.Predict(request(image=images, **spec), timeout=10)
    want = expected(source, image=images)
    got = {key: tf.make_ndarray(proto) for key, proto in response.outputs.items()}
    np.testing.assert_allclose(got["probabilities"], want["probabilities"], rtol=1e-6)
    np.testing.assert_array_equal(got["class_id"], want["class_id"])
    np.testing.assert_array_equal(got["label"], want["label"])
    assert response.model_spec.version.value == version
    assert response.model_spec.name == "conv"
    assert response.model_spec.signature_name == "serving_default"


def test_answers_stand_in_typed_fields(stub, images):
    outputs = stub.Predict(request(image=images[:1]), timeout=10).outputs
    assert len(outputs["probabilities"].float_val) == 3
    assert len(outputs["class_id"].int64_val) == 1
    assert not outputs["probabilities"].tensor_content


def test_two_inputs_and_open_dimensions(stub, expected):
    frames = np.random.default_rng(0).normal(size=(3, 7, 12)).astype(np.float32)
    mask = np.arange(7) < np.array([[7], [3], [1]])
    response = stub.Predict(request("sequence", frames=frames, padding_mask=mask), timeout=10)
    want = expected("sequence", frames=frames, padding_mask=mask)["mean"]
    np.testing.assert_allclose(tf.make_ndarray(response.outputs["mean"]), want, rtol=1e-5)


def test_output_filter(stub):
    response = stub.Predict(request(image=IMAGE, outputs=["label"]), timeout=10)
    assert list(response.outputs) == ["label"]


ERRORS = [
    ("no spec", predict_pb2.PredictRequest(), Code.INVALID_ARGUMENT, "Missing ModelSpec"),
    ("empty name", request(""), Code.INVALID_ARGUMENT, "ModelSpec has no name specified."),
    ("unknown model", request("nosuch"), Code.NOT_FOUND, "Servable not found for request: Latest(nosuch)"),
    (
        "unknown version",
        request(version=99),
        Code.NOT_FOUND,
        "Servable not found for request: Specific(conv, 99)",
    ),
    (
        "version outside the policy",
        request("double", version=1),
        Code.NOT_FOUND,
        "Servable not found for request: Specific(double, 1)",
    ),
    (
        "unknown label",
        request(label="canary"),
        Code.INVALID_ARGUMENT,
        "Unrecognized servable version label: canary",
    ),
    (
        "unknown signature",
        request(signature="nosig"),
        Code.FAILED_PRECONDITION,
        'Serving signature key "nosig" not found.',
    ),
    (
        "missing input",
        request(),
        Code.INVALID_ARGUMENT,
        MISMATCH.format(0, "", "") + "Missing but required: {image}.",
    ),
    (
        "extra input",
        request(image=IMAGE, extra=IMAGE),
        Code.INVALID_ARGUMENT,
        MISMATCH.format(2, "extra,image", "extra") + "Missing but required: {}.",
    ),
    (
        "wrong name",
        request(picture=IMAGE),
        Code.INVALID_ARGUMENT,
        "input tensor alias not found in signature: picture. Inputs expected to be in the set {image}.",
    ),
    (
        "wrong dtype",
        request(image=IMAGE.astype(np.int32)),
        Code.INVALID_ARGUMENT,
        "Expects arg[0] to be uint8 but int32 is provided",
    ),
    (
        "wrong dtype of the second input",
        request("sequence", frames=np.zeros((1, 2, 12), np.float32), padding_mask=np.zeros((1, 2), np.float32)),
        Code.INVALID_ARGUMENT,
        "Expects arg[1] to be bool but float is provided",
    ),
    (
        "truncated bytes",
        request(image=tensor(tf.uint8, (1, 28, 28, 1), b"\0" * 783)),
        Code.INVALID_ARGUMENT,
        "tensor parsing error: image",
    ),
    (
        "negative dimension",
        request(image=tensor(tf.uint8, (-1, 28, 28, 1), b"\0" * 784)),
        Code.INVALID_ARGUMENT,
        "tensor parsing error: image",
    ),
    (
        "no shape",
        request(image=tensor(tf.uint8, (), b"\0" * 784)),
        Code.INVALID_ARGUMENT,
        "tensor parsing error: image",
    ),
    (
        "no dtype",
        request(image=tensor_pb2.TensorProto()),
        Code.INVALID_ARGUMENT,
        "tensor parsing error: image",
    ),
    (
        "more values than the shape",
        request(image=tensor(tf.uint8, (1, 1, 1, 1), int_val=[1, 2])),
        Code.INVALID_ARGUMENT,
        "tensor parsing error: image",
    ),
    (
        "value out of range",
        request(image=tensor(tf.uint8, (1, 28, 28, 1), int_val=[300])),
        Code.INVALID_ARGUMENT,
        "tensor parsing error: image",
    ),
    (
        "a shape that claims petabytes",
        request(image=tensor(tf.uint8, (1 << 50, 28, 28, 1), int_val=[1])),
        Code.INVALID_ARGUMENT,
        "tensor parsing error: image",
    ),
    (
        "wrong rank",
        request(image=IMAGE[0, :, :, 0]),
        Code.INVALID_ARGUMENT,
        "Input `image` must have shape [?, 28, 28, 1]. Received: [28, 28].",
    ),
    (
        "no batch dimension",
        request(image=IMAGE[0]),
        Code.INVALID_ARGUMENT,
        "Input `image` must have shape [?, 28, 28, 1]. Received: [28, 28, 1]. Add the batch dimension in front.",
    ),
    (
        "scalar",
        request(image=np.uint8(3)),
        Code.INVALID_ARGUMENT,
        "Input `image` must have shape [?, 28, 28, 1]. Received: [].",
    ),
    (
        "27 in place of 28",
        request(image=IMAGE[:, :27]),
        Code.INVALID_ARGUMENT,
        "Input `image` must have shape [?, 28, 28, 1]. Received: [1, 27, 28, 1].",
    ),
    (
        "empty batch",
        request(image=tensor(tf.uint8, (0, 28, 28, 1))),
        Code.INVALID_ARGUMENT,
        "Input `image` holds no examples: its batch size must be at least 1. Received: shape [0, 28, 28, 1].",
    ),
    (
        "unknown output",
        request(image=IMAGE, outputs=["zzz"]),
        Code.INVALID_ARGUMENT,
        "output tensor alias not found in signature: zzz "
        "Outputs expected to be in the set {class_id,label,probabilities}.",
    ),
    (
        "output twice",
        request(image=IMAGE, outputs=["label", "label"]),
        Code.INVALID_ARGUMENT,
        "duplicate output tensor alias: label",
    ),
]


@pytest.mark.parametrize(("message", "code", "text"), [row[1:] for row in ERRORS], ids=[row[0] for row in ERRORS])
def test_predict_error(stub, message, code, text):
    with pytest.raises(grpc.RpcError) as raised:
        stub.Predict(message, timeout=10)
    assert raised.value.code() is code
    assert raised.value.details() == text
    assert stub.Predict(request(image=IMAGE), timeout=10).outputs  # the server lives on


def test_an_assertion_in_the_graph_is_an_invalid_argument(stub):
    with pytest.raises(grpc.RpcError) as raised:
        stub.Predict(request("double", x=np.array([1.0, 200.0], np.float32)), timeout=10)
    assert raised.value.code() is Code.INVALID_ARGUMENT
    details = raised.value.details() or ""
    assert "`x` must be below 100" in details
    assert "[[" not in details  # no names of graph nodes
    assert "\n" not in details


def test_inputs_of_inconsistent_shape_are_an_invalid_argument(stub):
    message = request("sequence", frames=np.zeros((2, 4, 12), np.float32), padding_mask=np.ones((2, 3), np.bool_))
    with pytest.raises(grpc.RpcError) as raised:
        stub.Predict(message, timeout=10)
    assert raised.value.code() is Code.INVALID_ARGUMENT
