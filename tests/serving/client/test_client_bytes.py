# pyright: reportAttributeAccessIssue=false
"""A request joined from bytes is the message that protobuf would have written."""

import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

from serving.protocol import predict_bytes
from serving.protocol.codec import DTYPES, CodecError, decode_tensor
from serving.protocol.predict_bytes import encode_predict

ARRAYS = {
    **{
        dtype.name: np.arange(6).reshape(2, 3).astype(dtype.numpy)
        for dtype in DTYPES
        if not dtype.is_string and dtype.name != "bool"
    },
    "bool": np.array([True, False]),
    "strings": np.array([b"a\0", "\u00fc"], object),
    "fixed width": np.array(["a", "bcd"]),
    "scalar": np.array(1.5, np.float32),
    "scalar of bfloat16": np.array(1.5, ml_dtypes.bfloat16),
    "empty": np.zeros((0, 28, 28), np.uint8),
    "large": np.zeros(200_000, np.float32),
    "transposed": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    "every second": np.arange(10, dtype=np.int64)[::2],
    "of another byte order": np.arange(3, dtype=">f4"),
    "read only": np.frombuffer(b"\1\2\3", np.uint8),
}


@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)
def test_what_is_sent_is_what_tensorflow_reads(array):
    head = predict_pb2.PredictRequest(output_filter=["y"])
    head.model_spec.name = "m"
    sent = predict_pb2.PredictRequest.FromString(encode_predict(head.SerializeToString(), {"x": array}))
    assert (sent.model_spec.name, list(sent.output_filter), list(sent.inputs)) == ("m", ["y"], ["x"])
    for read in (tf.make_ndarray(sent.inputs["x"]), decode_tensor(sent.inputs["x"])):
        assert read.shape == array.shape
        want = [one.encode() if isinstance(one, str) else one for one in array.reshape(-1).tolist()]
        assert read.reshape(-1).tolist() == want


@pytest.mark.parametrize("name", ["", "x" * 200, "\u00fc"], ids=["empty", "long", "not ASCII"])
def test_names(name):
    sent = predict_pb2.PredictRequest.FromString(encode_predict(b"", {name: np.zeros(100), "other": np.zeros(2)}))
    assert sorted(sent.inputs) == sorted([name, "other"])


def test_an_array_without_a_form_is_named():
    with pytest.raises(CodecError, match="Input `x` cannot be sent: An array of dtype datetime64"):
        encode_predict(b"", {"x": np.zeros(2, "datetime64[s]")})


def test_a_request_too_large_for_a_message(monkeypatch):
    monkeypatch.setattr(predict_bytes, "MAX_BYTES", 1000)
    assert encode_predict(b"", {"x": np.zeros(900, np.uint8)})
    with pytest.raises(CodecError, match="smaller batches"):
        encode_predict(b"", {"x": np.zeros(1000, np.uint8)})
