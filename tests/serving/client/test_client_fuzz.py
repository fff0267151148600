"""Answers that no server should send: whatever the bytes, the client returns arrays or raises its own error."""

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.client import answers
from serving.errors import RequestError
from serving.protocol import messages as wire
from serving.protocol.codec import DTYPES, encode_content, encode_values

MAX_BYTES = 1 << 16


def predict_response(dtype_index: int, shape: list[int], typed: bool) -> bytes:
    response = wire.PredictResponse()
    dtype = DTYPES[dtype_index % len(DTYPES)]
    array = np.full(shape, b"text", object) if dtype.is_string else np.ones(shape, dtype.numpy)
    (encode_values if typed else encode_content)(array, response.outputs["x"])
    response.model_spec.name = "m"
    return response.SerializeToString()


def metadata_response() -> bytes:
    signatures = wire.SignatureDefMap()
    info = signatures.signature_def["serving_default"].inputs["image"]
    info.dtype = 4
    for size in (-1, 28, 28, 1):
        info.tensor_shape.dim.add(size=size)
    response = wire.GetModelMetadataResponse()
    response.metadata["signature_def"].value = signatures.SerializeToString()
    return response.SerializeToString()


def status_response() -> bytes:
    response = wire.GetModelStatusResponse()
    response.model_version_status.add(version=1, state=30).status.error_message = "text"
    return response.SerializeToString()


def inference_response() -> bytes:
    response = wire.MultiInferenceResponse()
    one, two = response.results.add(), response.results.add()
    one.classification_result.classifications.add().classes.add(label="cat", score=0.5)
    two.regression_result.regressions.add(value=1.5)
    return response.SerializeToString()


def read(message: Any, reader: Any, content: bytes) -> Any:
    """What a call makes of an answer; None for its own error."""
    try:
        return reader(answers.read_message(message, content))
    except RequestError as error:
        if error.code.name != "DATA_LOSS":
            raise
        return None


READERS = {
    "predict": (wire.PredictResponse, lambda response: answers.read_outputs(response, max_bytes=MAX_BYTES)),
    "metadata": (wire.GetModelMetadataResponse, lambda response: answers.read_metadata("m", response)),
    "status": (wire.GetModelStatusResponse, answers.read_states),
    "inference": (wire.MultiInferenceResponse, answers.read_inferences),
}

valid = st.one_of(
    st.builds(predict_response, st.integers(0, 15), st.lists(st.integers(0, 4), max_size=4), st.booleans()),
    st.just(metadata_response()),
    st.just(status_response()),
    st.just(inference_response()),
)
edit = st.tuples(st.sampled_from(["replace", "insert", "delete", "cut"]), st.integers(0, 400), st.binary(max_size=9))


def edited(content: bytes, edits: list[tuple[str, int, bytes]]) -> bytes:
    for kind, where, piece in edits:
        place = where % (len(content) + 1)
        if kind == "insert":
            content = content[:place] + piece + content[place:]
        elif kind == "replace":
            content = content[:place] + piece + content[place + len(piece) :]
        elif kind == "delete":
            content = content[:place] + content[place + len(piece) :]
        else:
            content = content[:place]
    return content


def check(name: str, content: bytes) -> None:
    message, reader = READERS[name]
    found = read(message, reader, content)
    if name == "predict" and found is not None:
        for array in found.values():
            assert isinstance(array, np.ndarray)
            assert array.nbytes <= MAX_BYTES
            assert array.flags.writeable


damaged = st.builds(edited, st.one_of(valid, st.binary(max_size=200)), st.lists(edit, max_size=4))
quiet = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow], "database": None}


@settings(max_examples=500, **quiet)
@given(name=st.sampled_from(sorted(READERS)), content=damaged)
def test_damaged_answers(name, content):
    check(name, content)


@pytest.mark.slow
@settings(max_examples=10_000, **quiet)
@given(name=st.sampled_from(sorted(READERS)), content=damaged)
def test_many_damaged_answers(name, content):
    check(name, content)


@settings(max_examples=100, **quiet)
@given(st.integers(0, 15), st.lists(st.integers(0, 4), max_size=4), st.booleans())
def test_valid_answers_are_read(dtype_index, shape, typed):
    """So that the tests above cannot pass by refusing everything."""
    message, reader = READERS["predict"]
    found = read(message, reader, predict_response(dtype_index, shape, typed))
    assert found is not None
    assert list(found["x"].shape) == shape


CLAIMS = {
    "large": {"dtype": 1, "tensor_shape": {"dim": [{"size": 1 << 40}]}},
    "product": {"dtype": 1, "tensor_shape": {"dim": [{"size": 1 << 20}] * 3}},
    "negative": {"dtype": 1, "tensor_shape": {"dim": [{"size": -1}]}},
    "unknown rank": {"dtype": 1, "tensor_shape": {"unknown_rank": True}},
    "dtype": {"dtype": 99},
    "bytes": {"dtype": 1, "tensor_shape": {"dim": [{"size": 2}]}, "tensor_content": b"123"},
    "values": {"dtype": 1, "float_val": [1.0, 2.0]},
    "range": {"dtype": 4, "int_val": [300]},
}


@pytest.mark.parametrize("proto", CLAIMS.values(), ids=CLAIMS)
def test_an_answer_that_cannot_be_is_data_loss(connect, scripted, proto):
    response = wire.PredictResponse(outputs={"y": proto})
    scripted.scripts["Predict"] = [response.SerializeToString()]
    with pytest.raises(RequestError, match="Output `y` cannot be read") as raised:
        connect(scripted.address).predict("m", x=[1.0])
    assert raised.value.code.name == "DATA_LOSS"


def test_bytes_that_are_no_message(connect, scripted):
    scripted.scripts["GetModelStatus"] = [b"\xff" * 9]
    with pytest.raises(RequestError, match="no GetModelStatusResponse") as raised:
        connect(scripted.address).status("m")
    assert raised.value.code.name == "DATA_LOSS"


def test_metadata_that_is_no_message(connect, scripted):
    response = wire.GetModelMetadataResponse()
    response.metadata["signature_def"].value = b"\xff" * 9
    scripted.scripts["GetModelMetadata"] = [response.SerializeToString()]
    with pytest.raises(RequestError, match="no SignatureDefMap"):
        connect(scripted.address).metadata("m")
