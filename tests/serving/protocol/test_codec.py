# pyright: reportAttributeAccessIssue=false
import time
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2

from serving.protocol import messages as wire
from serving.protocol.codec import DTYPES, CodecError, DType, decode_tensor, dtype_of, encode_content, encode_values

BY_NAME = {dtype.name: dtype for dtype in DTYPES}


def extremes(dtype: DType) -> np.ndarray:
    """Values at the ends of a dtype's range, the last one repeated, [2, 3]."""
    if dtype.is_string:
        values = [b"", b"a\0", "\u00fc".encode(), b"\xff\xfe", b"z", b"z"]
    elif dtype.name == "bool":
        values = [True, False, True, False, False, False]
    elif dtype.numpy.kind in "iu":
        info = np.iinfo(dtype.numpy)
        values = [info.min, info.max, 0, 1, 7, 7]
    elif dtype.numpy.kind == "c":
        values = [1 + 2j, -3j, 0, 5, 1.5 - 0.5j, 1.5 - 0.5j]
    else:
        info = ml_dtypes.finfo(dtype.numpy)
        values = [info.max, info.tiny, -0.0, np.inf, 1.5, 1.5]
    return np.array(values, dtype.numpy).reshape(2, 3)


def equal_bits(left: np.ndarray, right: np.ndarray) -> bool:
    if left.dtype == object:
        return left.dtype == right.dtype and left.shape == right.shape and bool((left == right).all())
    return (left.dtype, left.shape, left.tobytes()) == (right.dtype, right.shape, right.tobytes())


@pytest.mark.parametrize("message", [wire.TensorProto, tensor_pb2.TensorProto], ids=["private", "published"])
@pytest.mark.parametrize("encode", [encode_values, encode_content], ids=["values", "content"])
@pytest.mark.parametrize("name", BY_NAME)
def test_round_trip(name, encode, message):
    array = extremes(BY_NAME[name])
    proto = message()
    encode(array, proto)
    assert equal_bits(decode_tensor(message.FromString(proto.SerializeToString())), array)


@pytest.mark.parametrize("encode", [encode_values, encode_content], ids=["values", "content"])
@pytest.mark.parametrize("name", BY_NAME)
def test_tensorflow_reads_what_we_write(name, encode):
    array = extremes(BY_NAME[name])
    proto = tensor_pb2.TensorProto()
    encode(array, proto)
    assert equal_bits(tf.make_ndarray(proto), array)


@pytest.mark.parametrize("name", BY_NAME)
def test_we_read_what_tensorflow_writes(name):
    array = extremes(BY_NAME[name])
    assert equal_bits(decode_tensor(tf.make_tensor_proto(array)), array)


@pytest.mark.parametrize(
    ("values", "kept"),
    [([1, 2, 3], 3), ([1, 2, 2, 2], 2), ([5, 5, 5], 1), ([4], 1), ([], 0), ([0.0, -0.0], 2), ([np.nan, np.nan], 1)],
    ids=["none", "some", "all", "one", "empty", "signed zeros", "nan"],
)
def test_repeats_at_the_end_are_left_out(values, kept):
    array = np.array(values, np.float32)
    proto = wire.TensorProto()
    encode_values(array, proto)
    assert len(proto.float_val) == kept
    assert equal_bits(decode_tensor(proto), array)


@pytest.mark.parametrize(
    ("values", "want"),
    [([3], [3, 3, 3, 3]), ([1, 2], [1, 2, 2, 2]), ([], [0, 0, 0, 0])],
    ids=["one value", "shortened", "none"],
)
def test_short_lists_repeat_their_last_value(values, want):
    proto = wire.TensorProto(dtype=BY_NAME["int64"].number, int64_val=values)
    proto.tensor_shape.dim.add(size=4)
    assert decode_tensor(proto).tolist() == want


def malformed(shape: tuple[int, ...] = (2,), dtype: str = "float", **fields) -> Any:
    proto = wire.TensorProto(dtype=BY_NAME[dtype].number, **fields)
    for size in shape:
        proto.tensor_shape.dim.add(size=size)
    return proto


@pytest.mark.parametrize(
    ("proto", "text"),
    [
        (wire.TensorProto(), "data type number 0"),
        (wire.TensorProto(dtype=11), "data type number 11"),
        (malformed(tensor_content=b"1234567"), "are 8 bytes. Received: 7"),
        (malformed(tensor_content=b"123456789"), "are 8 bytes. Received: 9"),
        (malformed((-1,)), "not negative"),
        (malformed((2, -3)), "not negative"),
        (malformed(float_val=[1, 2, 3]), "2 elements of float expected. Received: 3"),
        (malformed(dtype="int8", int_val=[128]), "out of range for int8"),
        (malformed(dtype="half", half_val=[70000]), "out of range for half"),
        (malformed(dtype="complex64", scomplex_val=[1, 2, 3]), "2 elements of complex64"),
        (malformed(dtype="string", tensor_content=b"ab"), "string_val"),
        (malformed((1 << 40, 1 << 40), float_val=[1]), "larger than"),
        (malformed((1 << 62, 4, 0)), "larger than"),
        (malformed((1,) * 65), "at most 64 dimensions. Received: 65"),
    ],
    ids=lambda value: None if isinstance(value, str) else "",
)
def test_malformed(proto, text):
    with pytest.raises(CodecError, match=text):
        decode_tensor(proto)


@pytest.mark.parametrize("message", [wire.TensorProto, tensor_pb2.TensorProto], ids=["private", "published"])
@pytest.mark.parametrize("name", ["float", "double", "complex64", "complex128", "half", "int64"])
@pytest.mark.parametrize("size", [255, 256, 40_000])
def test_long_answers_are_the_messages_that_protobuf_writes(name, message, size):
    dtype = BY_NAME[name]
    array = np.arange(size).astype(dtype.numpy)
    array[-2:] = 0, 1
    proto, plain = message(), message(dtype=dtype.number)
    plain.tensor_shape.dim.add(size=size)
    getattr(plain, dtype.field).extend(array.view(dtype.element or dtype.numpy).tolist())
    encode_values(array, proto)
    assert proto == plain
    assert proto.SerializeToString(deterministic=True) == plain.SerializeToString(deterministic=True)


def test_a_million_floats_are_written_in_one_piece():
    array = np.random.default_rng(0).random(1_000_000, np.float32)
    encode_values(array, tensor_pb2.TensorProto())
    times = []
    for encode in (encode_values, lambda array, proto: proto.float_val.extend(array.tolist())):
        proto = tensor_pb2.TensorProto()
        started = time.thread_time()
        encode(array, proto)
        times.append(time.thread_time() - started)
    assert times[0] < times[1] / 2


def test_strings_count_with_their_length():
    proto = malformed((100,), dtype="string", string_val=[b"x" * 1000])
    assert decode_tensor(proto, max_bytes=102_400)[99] == b"x" * 1000
    with pytest.raises(CodecError, match="102400 bytes in all, is larger than 102399"):
        decode_tensor(proto, max_bytes=102_399)


def test_a_bool_byte_is_0_or_1_in_memory():
    decoded = decode_tensor(malformed(dtype="bool", tensor_content=b"\x02\x00"))
    assert decoded.view(np.uint8).tolist() == [1, 0]


def test_numpy_strings_and_byte_order():
    proto = wire.TensorProto()
    encode_content(np.array([["a", "b\u00fc"]]), proto)
    assert decode_tensor(proto).tolist() == [[b"a", "b\u00fc".encode()]]
    proto = wire.TensorProto()
    encode_content(np.array([1, 2], ">i4"), proto)
    assert decode_tensor(proto).tolist() == [1, 2]


@pytest.mark.parametrize("array", [np.zeros(2, "M8[s]"), np.array([object()])], ids=["dates", "objects"])
def test_arrays_without_a_form(array):
    with pytest.raises(CodecError, match=r"datetime64|bytes or str"):
        encode_content(array, wire.TensorProto())


def test_every_dtype_is_found_again():
    assert [dtype_of(np.zeros(1, dtype.numpy)) for dtype in DTYPES] == list(DTYPES)
