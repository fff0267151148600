# pyright: reportAttributeAccessIssue=false
"""What a client of TensorFlow Serving relies on where nothing is wrong: labels, filters, several signatures at once."""

import numpy as np
import pytest
import tensorflow as tf
from published_requests import about, metadata, predict, tasks, with_examples
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2

IMAGE = np.zeros((2, 28, 28, 1), np.uint8)
AVAILABLE = get_model_status_pb2.ModelVersionStatus.AVAILABLE


@pytest.mark.parametrize(
    ("spec", "version"),
    [({}, 2), ({"version": 1}, 1), ({"version": 2}, 2), ({"label": "stable"}, 1)],
    ids=["newest", "1", "2", "label"],
)
def test_the_version_asked_for_answers_and_says_so(call, spec, version):
    answered = call("Predict", predict("conv", {"image": IMAGE}, **spec)).model_spec
    assert (answered.name, answered.version.value, answered.signature_name) == ("conv", version, "serving_default")
    described = call("GetModelMetadata", metadata("conv", "signature_def", **spec)).model_spec
    assert (described.name, described.version.value) == ("conv", version)


@pytest.mark.parametrize(
    ("spec", "versions"), [({}, [2, 1]), ({"version": 2}, [2]), ({"label": "stable"}, [1])], ids=["all", "2", "label"]
)
def test_status(call, spec, versions):
    shown = call("GetModelStatus", about("GetModelStatus", "conv", **spec)).model_version_status
    assert [(one.version, one.state, one.status.error_code) for one in shown] == [(v, AVAILABLE, 0) for v in versions]


@pytest.mark.parametrize(
    "outputs", [("label",), ("probabilities", "class_id"), ("label", "class_id", "probabilities")], ids=str
)
def test_an_output_filter_leaves_what_it_names(call, outputs):
    response = call("Predict", predict("conv", {"image": IMAGE}, outputs=outputs))
    assert set(response.outputs) == set(outputs)
    assert {tf.make_ndarray(tensor).shape[0] for tensor in response.outputs.values()} == {2}


def test_multi_inference_answers_each_task_in_turn(call):
    request = tasks(
        ("examples", "classify", "tensorflow/serving/classify"), ("examples", "regress", "tensorflow/serving/regress")
    )
    first, second = call("MultiInference", with_examples(request, 2.0, 4.0)).results
    assert (first.model_spec.signature_name, second.model_spec.signature_name) == ("classify", "regress")
    assert [one.classes[0].score for one in first.classification_result.classifications] == [3.0, 4.0]
    assert [one.value for one in second.regression_result.regressions] == [3.0, 4.0]
    assert {one.model_spec.version.value for one in (first, second)} == {1}


def test_classify_and_regress_name_what_answered(call):
    classified = call("Classify", with_examples(about("Classify", "examples", signature="classify"), 2.0))
    assert [(one.label, one.score) for one in classified.result.classifications[0].classes] == [
        ("small", 3.0),
        ("gro\u00dfe", 4.0),
        ("huge", 5.0),
    ]
    regressed = call("Regress", with_examples(about("Regress", "examples", signature="regress"), 2.0))
    for answer, key in ((classified, "classify"), (regressed, "regress")):
        spec = answer.model_spec
        assert (spec.name, spec.signature_name, spec.version.value) == ("examples", key, 1)


def test_metadata_shows_every_signature(call):
    response = call("GetModelMetadata", metadata("double", "signature_def"))
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    assert {"serving_default", "spin", "echo", "half", "lengths"} <= set(signatures.signature_def)
