# pyright: reportAttributeAccessIssue=false
"""`tf.Example` requests and reload requests as the published messages read them, and answers as they write them."""

import math

import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.example import example_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    predict_pb2,
    regression_pb2,
)

from serving import ClassScore, ModelConfig
from serving.client.examples import fill_example
from serving.errors import InvalidInputError, PreconditionError, UsageError
from serving.protocol import messages as wire

PUBLISHED = [
    predict_pb2.PredictRequest,
    predict_pb2.PredictResponse,
    classification_pb2.ClassificationRequest,
    classification_pb2.ClassificationResponse,
    regression_pb2.RegressionRequest,
    regression_pb2.RegressionResponse,
    inference_pb2.MultiInferenceRequest,
    inference_pb2.MultiInferenceResponse,
    get_model_metadata_pb2.GetModelMetadataRequest,
    get_model_metadata_pb2.GetModelMetadataResponse,
    get_model_metadata_pb2.SignatureDefMap,
    get_model_status_pb2.GetModelStatusRequest,
    get_model_status_pb2.GetModelStatusResponse,
    model_management_pb2.ReloadConfigRequest,
    model_management_pb2.ReloadConfigResponse,
    example_pb2.Example,
]


@pytest.mark.parametrize("published", PUBLISHED, ids=lambda message: message.DESCRIPTOR.name)
def test_fields_are_numbered_as_published(published):
    """And both are loaded here, so nothing clashes."""
    seen = set()

    def compare(ours, theirs):
        if (ours.full_name, theirs.full_name) in seen:
            return
        seen.add((ours.full_name, theirs.full_name))
        for field in ours.fields:
            other = theirs.fields_by_name[field.name]
            enum = 14
            assert field.number == other.number, field.full_name
            assert field.type == other.type or (other.type == enum and field.type == 5), field.full_name
            assert field.is_repeated == other.is_repeated, field.full_name
            if field.message_type is not None:
                compare(field.message_type, other.message_type)

    compare(getattr(wire, published.DESCRIPTOR.name).DESCRIPTOR, published.DESCRIPTOR)
    assert len(seen) >= 1


@pytest.mark.parametrize(
    ("value", "kind", "want"),
    [
        (1.5, "float_list", [1.5]),
        ([1, 2.5], "float_list", [1.0, 2.5]),
        (np.array([[1.5, 2.5], [3.5, 4.5]]), "float_list", [1.5, 2.5, 3.5, 4.5]),
        (np.array([1.5], ml_dtypes.bfloat16), "float_list", [1.5]),
        (np.float16(0.5), "float_list", [0.5]),
        (7, "int64_list", [7]),
        ([True, False], "int64_list", [1, 0]),
        (np.array([255], np.uint8), "int64_list", [255]),
        (-(2**63), "int64_list", [-(2**63)]),
        ("a", "bytes_list", [b"a"]),
        (["a", b"b\0", "\u00fc"], "bytes_list", [b"a", b"b\0", b"\xc3\xbc"]),
        (np.array(["a", "bc"]), "bytes_list", [b"a", b"bc"]),
        (np.array([b"\xff"], object), "bytes_list", [b"\xff"]),
    ],
    ids=str,
)
def test_features(value, kind, want):
    example = wire.Example()
    fill_example(example, {"x": value})
    feature = tf.train.Example.FromString(example.SerializeToString()).features.feature["x"]
    assert feature.WhichOneof("kind") == kind
    assert list(getattr(feature, kind).value) == want


@pytest.mark.parametrize(
    "value",
    [None, ["a", 1], [[1], [1, 2]], 1j, {"y": 1}, np.array([None]), 2**63, np.array([2**63], np.uint64), object()],
    ids=["none", "mixed", "ragged", "complex", "mapping", "array of None", "int", "uint64", "object"],
)
def test_values_without_a_form_are_refused(value):
    with pytest.raises(InvalidInputError, match="Feature `x`"):
        fill_example(wire.Example(), {"x": value})


def test_one_example_in_place_of_a_list_is_refused(connect, scripted):
    with pytest.raises(UsageError, match="one mapping"):
        connect(scripted.address).classify("m", {"x": 1.0})
    assert not scripted.asked


def test_classify(connect, scripted):
    response = classification_pb2.ClassificationResponse()
    for scores in ({"cat": 0.75, "dog": 0.25}, {"cat": 0.5}):
        classes = response.result.classifications.add().classes
        for label, score in scores.items():
            classes.add(label=label, score=score)
    scripted.scripts["Classify"] = [response.SerializeToString()]
    answers = connect(scripted.address).classify(
        "m", [{"x": 1.0}, {"x": 2.0}], context={"who": "me"}, label="stable", signature="animals"
    )
    assert answers == [
        [ClassScore(label="cat", score=0.75), ClassScore(label="dog", score=0.25)],
        [ClassScore(label="cat", score=0.5)],
    ]
    request = classification_pb2.ClassificationRequest.FromString(scripted.requests[0])
    spec = request.model_spec
    assert (spec.name, spec.version_label, spec.signature_name) == ("m", "stable", "animals")
    sent = request.input.example_list_with_context
    assert [example.features.feature["x"].float_list.value[0] for example in sent.examples] == [1.0, 2.0]
    assert sent.context.features.feature["who"].bytes_list.value[0] == b"me"


def test_regress(connect, scripted):
    response = regression_pb2.RegressionResponse()
    for value in (1.5, math.inf):
        response.result.regressions.add(value=value)
    scripted.scripts["Regress"] = [response.SerializeToString()]
    answer = connect(scripted.address).regress("m", [{"x": 1}, {"x": 2}], version=3)
    assert (answer.dtype, answer.tolist()) == (np.float32, [1.5, math.inf])
    request = regression_pb2.RegressionRequest.FromString(scripted.requests[0])
    assert request.model_spec.version.value == 3
    assert len(request.input.example_list.examples) == 2


def test_multi_inference(connect, scripted):
    response = inference_pb2.MultiInferenceResponse()
    classes, values = response.results.add(), response.results.add()
    classes.model_spec.signature_name, values.model_spec.signature_name = "animals", "age"
    classes.classification_result.classifications.add().classes.add(label="cat", score=1.0)
    values.regression_result.regressions.add(value=4.0)
    scripted.scripts["MultiInference"] = [response.SerializeToString()]
    client = connect(scripted.address)
    answer = client.multi_inference("m", [{"x": 1.0}], classify=["animals"], regress=["age"])
    assert answer.classifications == {"animals": [[ClassScore(label="cat", score=1.0)]]}
    assert answer.regressions["age"].tolist() == [4.0]
    tasks = inference_pb2.MultiInferenceRequest.FromString(scripted.requests[0]).tasks
    assert [(task.model_spec.signature_name, task.method_name) for task in tasks] == [
        ("animals", "tensorflow/serving/classify"),
        ("age", "tensorflow/serving/regress"),
    ]
    with pytest.raises(UsageError, match="at least one signature"):
        client.multi_inference("m", [{"x": 1.0}])


MODELS = [
    ModelConfig(name="a", base_path="/models/a", num_latest=2),
    ModelConfig(name="b", base_path="/models/b", versions="all"),
    ModelConfig(name="c", base_path="/models/c", versions=[1, 3], labels={"stable": 1}),
]
TEXT = """
model_config_list {
  config { name: "a" base_path: "/models/a" model_platform: "tensorflow"
           model_version_policy { latest { num_versions: 2 } } }
  config { name: "b" base_path: "/models/b" model_platform: "tensorflow" model_version_policy { all {} } }
  config { name: "c" base_path: "/models/c" model_platform: "tensorflow"
           model_version_policy { specific { versions: 1 versions: 3 } } version_labels { key: "stable" value: 1 } }
}
"""


@pytest.mark.parametrize("models", [MODELS, TEXT], ids=["list", "text"])
def test_reload(connect, scripted, models):
    from google.protobuf import text_format

    scripted.scripts["HandleReloadConfigRequest"] = [b""]
    connect(scripted.address).reload(models)
    request = model_management_pb2.ReloadConfigRequest.FromString(scripted.requests[0])
    assert request.config == text_format.Parse(TEXT, type(request.config)())


def test_reload_with_nothing_unloads_everything(connect, scripted):
    scripted.scripts["HandleReloadConfigRequest"] = [b""]
    connect(scripted.address).reload([])
    request = model_management_pb2.ReloadConfigRequest.FromString(scripted.requests[0])
    assert request.config.WhichOneof("config") == "model_config_list"


def test_a_refused_reload(connect, scripted):
    response = model_management_pb2.ReloadConfigResponse()
    response.status.error_code, response.status.error_message = 9, "no such version"
    scripted.scripts["HandleReloadConfigRequest"] = [response.SerializeToString()]
    with pytest.raises(PreconditionError, match="no such version"):
        connect(scripted.address).reload(MODELS)


@pytest.mark.parametrize("text", ["", "model_config_list { config { nosuch: 1 } }", "junk {"], ids=repr)
def test_a_text_that_is_no_config_is_not_sent(connect, scripted, text):
    with pytest.raises(UsageError, match="The text"):
        connect(scripted.address).reload(text)
    assert not scripted.asked


@pytest.mark.parametrize("options", [{"versions": "newest"}, {"num_latest": 0}], ids=str)
def test_a_wrong_policy_is_refused(options):
    with pytest.raises(UsageError, match=f"`{next(iter(options))}`"):
        ModelConfig(name="m", base_path="/m", **options)
