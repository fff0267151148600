# pyright: reportAttributeAccessIssue=false
"""What Classify, Regress and MultiInference refuse, in TensorFlow Serving's words."""

from typing import Any

import grpc
import pytest
import tensorflow as tf
from example_models import (
    CLASSIFY,
    LIMITS,
    PREDICT,
    REGRESS,
    classify,
    example,
    loaded,
    multi_inference,
    regress,
    tasks,
    write_half_plus_two,
    write_native,
)
from google.protobuf import text_format

from serving.api import examples
from serving.api.inference import predict
from serving.errors import RequestError
from serving.options import Limits
from serving.published import PredictRequest, PredictResponse

Code = grpc.StatusCode


@pytest.fixture(scope="module")
def half_plus_two(tmp_path_factory):
    with loaded(write_half_plus_two, tmp_path_factory.mktemp("half_plus_two")) as predictor:
        yield predictor


@pytest.fixture(scope="module")
def native(tmp_path_factory):
    with loaded(write_native, tmp_path_factory.mktemp("native")) as predictor:
        yield predictor


def error_of(call: Any, *arguments: Any, **named: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(RequestError) as raised:
        call(*arguments, **named)
    return raised.value.code, raised.value.details


CLASSIFY_ERRORS = {
    "unknown signature": ("nosig", [1.0], "No signature was found with the name: nosig"),
    "two inputs": ("two_inputs", [1.0], "Expected one input Tensor."),
    "no known output": (
        "no_outputs",
        [1.0],
        'Expected classification signature outputs to contain at least one of "classes" or "scores". Signature was: ',
    ),
    "input unset": ("classify", None, "Input is empty."),
    "no examples": ("classify", [], "Input is empty."),
    "a context alone": ("classify", (example(x=1.0), []), "Input is empty."),
    "vector": ("flat_scores", [1.0, 2.0], "Expected Tensor shape: [batch_size num_classes] but got [2]"),
    "double": ("double_scores", [1.0], "Expected scores Tensor of DT_FLOAT. Got: DT_DOUBLE"),
    "int64": ("int_classes", [1.0], "Expected classes Tensor of DT_STRING. Got: DT_INT64"),
    "batch size": ("one_row", [1.0, 2.0], "Expected classes output batch size of 2. Got: 1"),
    "widths": ("widths", [1.0], "Tensors class and score should match in dim_size(1). Got 2 vs. 3"),
    "label that is no text": ("bytes", [1.0], "A label of a class must be UTF-8"),
}


@pytest.mark.parametrize(("signature", "given", "text"), CLASSIFY_ERRORS.values(), ids=CLASSIFY_ERRORS)
def test_classify_error(half_plus_two, signature, given, text):
    code, details = error_of(classify, half_plus_two, signature, given)
    assert code is Code.INVALID_ARGUMENT
    assert details.startswith(text) if text[-1] in " 8" else details == text
    assert classify(half_plus_two, "scores", [2.0])  # the model lives on


REGRESS_ERRORS = {
    "unknown signature": ("nosig", [1.0], "No signature was found with the name: nosig"),
    "two inputs": ("two_inputs", [1.0], "Expected one input Tensor."),
    "two outputs": ("classify", [1.0], "Expected one output Tensor."),
    "input unset": ("regress", None, "Input is empty."),
    "floats in place of examples": ("floats", [1.0], "Expects arg[0] to be float but string is provided"),
    "matrix": (
        "wide_values",
        [1.0, 2.0],
        "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got [2,3]",
    ),
    "batch size": ("one_value", [1.0, 2.0], "Input batch size did not match output batch size: 2 vs. 1"),
    "int32": ("int_values", [1.0], "Expected output Tensor of DT_FLOAT.  Got: DT_INT32"),
}


@pytest.mark.parametrize(("signature", "given", "text"), REGRESS_ERRORS.values(), ids=REGRESS_ERRORS)
def test_regress_error(half_plus_two, signature, given, text):
    assert error_of(regress, half_plus_two, signature, given) == (Code.INVALID_ARGUMENT, text)


@pytest.mark.parametrize(
    ("call", "signature", "text"),
    [
        (classify, "", "No classification inputs found in SignatureDef: "),
        (regress, "", "No regression inputs found in SignatureDef: "),
        (regress, "no_names", "No regression outputs found in SignatureDef: "),
    ],
    ids=["classify", "regress inputs", "regress outputs"],
)
def test_the_text_of_a_signature_that_does_not_fit_shows_it(half_plus_two, call, signature, text):
    code, details = error_of(call, half_plus_two, signature, [1.0])
    assert code is Code.INVALID_ARGUMENT
    assert details.startswith(text)
    shown = type(half_plus_two.signature_defs["serving_default"])()
    text_format.Parse(details.removeprefix(text), shown)
    assert shown == half_plus_two.signature_defs[signature or "serving_default"]


def test_a_sparse_input_is_refused_although_its_names_fit(half_plus_two):
    code, details = error_of(regress, half_plus_two, "sparse", [1.0])
    assert code is Code.INVALID_ARGUMENT
    assert 'Serving signature key "sparse" cannot be called' in details


UNFIT = {
    "feature missing": (example(name="a"), "Feature: x (data type: float) is required but could not be found."),
    "another type": (example(x=1), "Data types don't match. Data type: int64 but expected type: float"),
    "another length": (
        tf.train.Example(
            features=tf.train.Features(feature={"x": tf.train.Feature(float_list=tf.train.FloatList(value=[1.0, 2.0]))})
        ),
        "Key: x, Index: 1.  Number of float values != expected.  Values size: 2 but output shape: [1]",
    ),
}


@pytest.mark.parametrize(("unfit", "text"), UNFIT.values(), ids=UNFIT)
def test_an_example_that_does_not_fit_is_the_graphs_to_refuse(half_plus_two, unfit, text):
    code, details = error_of(regress, half_plus_two, "regress", [1.0, unfit])
    assert code is Code.INVALID_ARGUMENT
    assert text in details
    assert "[[" not in details
    assert regress(half_plus_two, "regress", [2.0]) == [3.0]


MULTI_ERRORS = {
    "no tasks": (tasks(), Code.INVALID_ARGUMENT, "ModelSpec has no name specified."),
    "two models": (
        tasks(("regress", REGRESS), ("other/classify", CLASSIFY)),
        Code.INVALID_ARGUMENT,
        "All ModelSpecs in a MultiInferenceRequest must access the same model name.",
    ),
    "signature twice": (
        tasks(("regress", REGRESS), ("regress", REGRESS)),
        Code.INVALID_ARGUMENT,
        "Duplicate evaluation of signature: regress",
    ),
    "unknown signature": (
        tasks(("nosig", REGRESS)),
        Code.INVALID_ARGUMENT,
        "Requested signature not found in model graph: nosig",
    ),
    "predict": (
        tasks(("", PREDICT)),
        Code.UNIMPLEMENTED,
        "Unsupported signature method_name: tensorflow/serving/predict",
    ),
    "regress by classify": (tasks(("classify", REGRESS)), Code.INVALID_ARGUMENT, "Expected one output Tensor."),
    "different inputs": (
        tasks(("regress", REGRESS), ("floats", REGRESS)),
        Code.INVALID_ARGUMENT,
        "Input tensor must be the same for all Signatures.",
    ),
    "no input": (tasks(("regress", REGRESS), given=None), Code.INVALID_ARGUMENT, "Input is empty."),
    "outputs of the second": (
        tasks(("regress", REGRESS), ("int_values", REGRESS)),
        Code.INVALID_ARGUMENT,
        "Expected output Tensor of DT_FLOAT.  Got: DT_INT32",
    ),
}


@pytest.mark.parametrize(("request_", "code", "text"), MULTI_ERRORS.values(), ids=MULTI_ERRORS)
def test_multi_inference_error(half_plus_two, request_, code, text):
    assert error_of(multi_inference, half_plus_two, request_) == (code, text)


def test_tasks_after_the_first_must_name_the_model_too(half_plus_two):
    request = tasks(("regress", REGRESS), ("classify", CLASSIFY))
    request.tasks[1].model_spec.name = ""
    text = "Found ModelSpec with an empty model name."
    assert error_of(multi_inference, half_plus_two, request) == (Code.INVALID_ARGUMENT, text)
    assert examples.spec_of_tasks(request) == request.tasks[0].model_spec
    request.tasks[0].model_spec.name = ""
    assert error_of(examples.spec_of_tasks, request)[1] == "ModelSpec has no name specified."


def test_signatures_of_tensorflow_2_have_an_input_each(native):
    asked = tasks(("", CLASSIFY), ("regress", REGRESS))
    text = "Input tensor must be the same for all Signatures."
    assert error_of(multi_inference, native, asked) == (Code.INVALID_ARGUMENT, text)


def test_too_many_examples(half_plus_two):
    limits = Limits(max_batch_size=2)
    assert len(classify(half_plus_two, "scores", [1.0, 2.0], limits)) == 2
    code, details = error_of(classify, half_plus_two, "scores", [1.0, 2.0, 3.0], limits)
    assert code is Code.INVALID_ARGUMENT
    assert details.startswith("A request must hold at most 2 examples. Received: 3.")


def test_a_context_that_would_fill_the_memory(half_plus_two):
    context = example(name="x" * 1000)
    size = len(context.SerializeToString())
    given = (context, [example(x=1.0)] * 3)
    assert classify(half_plus_two, "scores", given, Limits(max_repeated_bytes=2 * size))
    code, details = error_of(classify, half_plus_two, "scores", given, Limits(max_repeated_bytes=2 * size - 1))
    assert code is Code.INVALID_ARGUMENT
    assert f"The context of {size} bytes for 3 examples would take {2 * size} bytes more" in details


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"garbage", "Could not parse example input, value: 'garbage'"),
        (b"\x0a\x7f", "Could not parse example input, value: '\n\x7f'"),
        (b"", "Feature: x (data type: float) is required but could not be found."),
        (b"\xff", "Could not parse example input"),
    ],
    ids=["text", "length beyond the end", "empty", "no UTF-8"],
)
def test_bytes_that_are_no_example_are_an_invalid_argument_of_predict(half_plus_two, content, text):
    request = PredictRequest()
    request.model_spec.signature_name = "scores"
    request.inputs["inputs"].CopyFrom(tf.make_tensor_proto([content]))
    code, details = error_of(predict, half_plus_two, request, PredictResponse(), limits=LIMITS)
    assert code is Code.INVALID_ARGUMENT
    assert text in details
