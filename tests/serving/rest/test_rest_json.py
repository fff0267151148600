"""JSON to tensors and back, apart from any server."""

import json
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from serving.errors import InvalidInputError, RequestError
from serving.protocol.codec import DTYPES, decode_tensor, encode_values
from serving.protocol.messages import TensorProto
from serving.rest import answers
from serving.rest.documents import parse_object
from serving.rest.tensors import fill_tensor

BY_NAME = {dtype.name: dtype for dtype in DTYPES}


def read(text: str, dtype: str) -> np.ndarray:
    """The array of `{"v": ...}`."""
    proto = TensorProto()
    fill_tensor(parse_object(b'{"v": ' + text.encode("utf-8", "surrogatepass") + b"}")["v"], BY_NAME[dtype], proto)
    return decode_tensor(proto)


def written(array: Any, name: str = "y") -> Any:
    proto = TensorProto()
    encode_values(np.asarray(array), proto)
    return answers.outputs_text({name: proto}).decode()


@pytest.mark.parametrize(
    ("text", "dtype", "expected"),
    [
        ("[1, 2.5, -0.0]", "float", [1.0, 2.5, -0.0]),
        ("16777215", "float", 16777215),
        ("[0.1]", "double", [0.1]),
        ("9007199254740991", "double", 9007199254740991),
        ("[1.5]", "half", [1.5]),
        ("[1.5]", "bfloat16", [1.5]),
        ("[-128, 127]", "int8", [-128, 127]),
        ("[0, 255]", "uint8", [0, 255]),
        ("[65535]", "uint16", [65535]),
        ("[-9223372036854775808]", "int64", [-(2**63)]),
        ("[18446744073709551615]", "uint64", [2**64 - 1]),
        ("[[true], [false]]", "bool", [[True], [False]]),
        ('["a", {"b64": "/w=="}, {"b64": "YQ"}, "\\u00e9"]', "string", [b"a", b"\xff", b"a", "é".encode()]),
        ('"😀"', "string", "😀".encode()),
        ('"\\ud83d\\ude00"', "string", "😀".encode()),
        ("[[], []]", "float", np.zeros((2, 0))),
        ("[[[1, 2]], [[3, 4]]]", "int32", [[[1, 2]], [[3, 4]]]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_values_become_what_the_signature_wants(text, dtype, expected):
    array = read(text, dtype)
    assert array.dtype == BY_NAME[dtype].numpy
    np.testing.assert_array_equal(array, np.array(expected, array.dtype))
    assert array.shape == np.shape(expected)


def test_nan_and_infinities_are_numbers():
    np.testing.assert_array_equal(read("[NaN, Infinity, -Infinity]", "float"), [np.nan, np.inf, -np.inf])


@pytest.mark.parametrize(
    ("text", "dtype", "message"),
    [
        ("[true]", "float", "JSON Value: true Type: True is not of expected type: float"),
        ('["1"]', "float", 'JSON Value: "1" Type: String is not of expected type: float'),
        ("[null]", "int32", "JSON Value: null Type: Null is not of expected type: int32"),
        ("[1.0]", "int32", "JSON Value: 1.0 Type: Number is not of expected type: int32"),
        ("[256]", "uint8", "JSON Value: 256 Type: Number is not of expected type: uint8"),
        ("[-1]", "uint64", "JSON Value: -1 Type: Number is not of expected type: uint64"),
        ("[9223372036854775808]", "int64", "JSON Value: 9223372036854775808 Type: Number is not of expected type"),
        ("[1]", "bool", "JSON Value: 1 Type: Number is not of expected type: bool"),
        ("[1]", "string", "JSON Value: 1 Type: Number is not of expected type: string"),
        ('[{"a": 1}]', "float", 'JSON Value: {"a": 1} Type: Object is not of expected type: float'),
        ("[16777217]", "float", "Cannot convert JSON value: 16777217 to float without loss of precision."),
        ("[1e39]", "float", "Cannot convert JSON value: 1e+39 to float without loss of precision."),
        ("[70000]", "half", "Cannot convert JSON value: 70000 to half without loss of precision."),
        ("[1e999]", "double", "a number too big for a double to double without loss"),
        ("[Infinity, 1e999]", "float", "a number too big for a double to float without loss"),
        (f"[1{'0' * 400}]", "float", "to float without loss of precision."),
        (f"[{'9' * 5000}]", "float", "JSON Parse error: Number too big"),
        ('[{"b64": "*"}]', "string", "Unable to base64 decode"),
        ('[{"b64": "YQ", "x": 1}]', "string", "not formatted correctly for base64 data"),
        ("[[1, 2], [3]]", "float", "Encountered list at unexpected size: 1 at level: 1 expected size: 2"),
        ("[[1], 2]", "float", "JSON Value: 2 found at incorrect level: 2 in the JSON DOM. Expected at level: 2"),
        ("[1, [2]]", "float", "Encountered list at unexpected level: 1 expected < 1"),
        ("[" * 65 + "1" + "]" * 65, "float", "nested at most 64 deep"),
        ("[1]", "complex64", "Conversion of JSON Value: 1 to type: complex64"),
    ],
    ids=lambda value: value[:40],
)
def test_what_does_not_fit_is_refused(text, dtype, message):
    with pytest.raises(RequestError) as caught:
        read(text, dtype)
    assert message in caught.value.details
    assert len(caught.value.details) < 500


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "JSON Parse error: The document is empty"),
        (b"{", "JSON Parse error: "),
        (b"[1]", "JSON Value: [1] Is not object"),
        (b"3", "JSON Value: 3 Is not object"),
        (b'{"a": 1} x', "JSON Parse error: Extra data at offset: 9"),
        (b'{"a": "\xff"}', "JSON Parse error: Invalid encoding in string at offset: 7"),
        ('{"a": 1}'.encode("utf-16"), "JSON Parse error: Invalid encoding"),
        (b'{"a": 1, "a": 2}', 'the key "a" stands twice in one object'),
        (b'{"a": "\\ud800"}', "The surrogate pair in string is invalid."),
        (b'{"a": ' + b"[" * 200_000, "nested too deeply"),
        (b'{"a": [' + b"[]," * 4_000_001, "more than 4000000 lists and objects"),
    ],
    ids=["empty", "cut", "list", "number", "more", "no UTF-8", "UTF-16", "twice", "surrogate", "deep", "many"],
)
def test_what_is_no_object_is_refused(body, message):
    with pytest.raises(InvalidInputError) as caught:
        parse_object(body)
    assert message in caught.value.details


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.array([0.1, 1.0, 1 / 3, 1e20, 1e-7, -0.0], np.float32), "[0.1, 1.0, 0.333333343, 1e+20, 1e-07, -0.0]"),
        (np.array([0.1, 1 / 3]), "[0.1, 0.33333333333333331]"),
        (np.array([np.nan, np.inf, -np.inf], np.float32), "[NaN, Infinity, -Infinity]"),
        (np.array([0.5, 3.140625], ml_dtypes.bfloat16), "[0.5, 3.14062]"),
        (np.array([0.5], np.float16), "[0.5]"),
        (np.array([[1, 2], [3, 4]], np.int8), "[[1, 2], [3, 4]]"),
        (np.array(2**64 - 1, np.uint64), "18446744073709551615"),
        (np.array([True, False]), "[true, false]"),
        (np.array(["é\n".encode(), b"\xff"], object), '["é\\n", {"b64": "/w=="}]'),
        (np.zeros((2, 0), np.float32), "[[], []]"),
        (np.zeros((0, 2), np.float32), "[]"),
    ],
    ids=["float", "double", "no numbers", "bfloat16", "half", "int8", "uint64", "bool", "string", "2x0", "0x2"],
)
def test_answers_are_spelled_as_tensorflow_serving_does(array, text):
    got = written(array)
    if array.dtype == ml_dtypes.bfloat16:
        got = got.replace("3.140625", "3.14062")  # either: six digits are short of the float, not of the bfloat16
    assert got == f'{{"outputs": {text}}}'


def test_bytes_by_their_name_are_base64():
    assert written(np.array([b"a"], object), "image_bytes") == '{"outputs": [{"b64": "YQ=="}]}'


def test_every_float32_comes_back():
    values = np.random.default_rng(0).integers(0, 2**32, 20_000, np.uint32).view(np.float32)
    values = values[np.isfinite(values)]
    np.testing.assert_array_equal(np.array(json.loads(written(values))["outputs"]).astype(np.float32), values)


def test_complex_answers_have_no_json():
    with pytest.raises(InvalidInputError, match="Failed to write JSON value for tensor type: complex64"):
        written(np.zeros(1, np.complex64))
