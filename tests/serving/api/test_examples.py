# pyright: reportAttributeAccessIssue=false
"""What Classify, Regress and MultiInference answer on loaded versions."""

import numpy as np
import pytest
from example_models import (
    CLASSIFY,
    LABELS,
    LIMITS,
    REGRESS,
    classify,
    example,
    filled,
    loaded,
    multi_inference,
    regress,
    tasks,
    write_half_plus_two,
    write_native,
)
from tensorflow_serving.apis import regression_pb2

from serving.api import examples


@pytest.fixture(scope="module")
def half_plus_two(tmp_path_factory):
    with loaded(write_half_plus_two, tmp_path_factory.mktemp("half_plus_two")) as predictor:
        yield predictor


@pytest.fixture(scope="module")
def native(tmp_path_factory):
    with loaded(write_native, tmp_path_factory.mktemp("native")) as predictor:
        yield predictor


def test_classify_answers_labels_and_scores(half_plus_two):
    rows = classify(half_plus_two, "classify", [2.0, -4.0])
    assert rows == [[(label, score) for score, label in enumerate(LABELS, first)] for first in (3, 0)]


def test_a_signature_may_answer_classes_or_scores_alone(half_plus_two):
    assert classify(half_plus_two, "scores", [2.0]) == [[("", 3.0), ("", 4.0), ("", 5.0)]]
    assert classify(half_plus_two, "other_output", [2.0]) == classify(half_plus_two, "scores", [2.0])
    assert classify(half_plus_two, "classes", [example(x=1.0, name="ä"), example(x=1.0)]) == [
        [("ä", 0.0)],
        [("?", 0.0)],
    ]


@pytest.mark.parametrize(("signature", "expected"), [("regress", [3.0, 0.0]), ("regress_flat", [4.0, 1.0])])
def test_regress_answers_a_value_for_each_example(half_plus_two, signature, expected):
    assert regress(half_plus_two, signature, [2.0, -4.0]) == expected


def test_the_default_signature_and_predict_as_its_method(native):
    assert classify(native, "", [2.0]) == [[("small", 3.0), ("große", -3.0)]]
    assert regress(native, "regress", [2.0, 4.0]) == [3.0, 4.0]


def test_the_context_counts_for_every_example_that_does_not_say_otherwise(half_plus_two):
    context = example(name="shared", x=-4.0)
    given = (context, [example(x=2.0), example(x=4.0, name="own"), example()])
    assert regress(half_plus_two, "regress", given) == [3.0, 4.0, 0.0]
    assert [row[0][0] for row in classify(half_plus_two, "classes", given)] == ["shared", "own", "shared"]


def test_something_else_may_run_the_signature(half_plus_two):
    seen = []

    def run(key, arrays):
        seen.append((key, [array.tolist() for array in arrays]))
        return {"outputs": np.array([7.0, 8.0], np.float32)}

    request = filled(regression_pb2.RegressionRequest(), "regress", [1.0, 2.0])
    response = regression_pb2.RegressionResponse()
    examples.regress(half_plus_two, request, response, limits=LIMITS, run=run)
    assert [one.value for one in response.result.regressions] == [7.0, 8.0]
    assert seen == [("regress", [[example(x=1.0).SerializeToString(), example(x=2.0).SerializeToString()]])]


def test_multi_inference_answers_its_tasks_in_their_order(half_plus_two):
    asked = tasks(("regress", REGRESS), ("classify", CLASSIFY), ("regress_flat", REGRESS), given=[2.0, 4.0])
    keys, response = multi_inference(half_plus_two, asked)
    assert keys == ["regress", "classify", "regress_flat"]
    first, second, third = response.results
    assert [one.value for one in first.regression_result.regressions] == [3.0, 4.0]
    assert [row.classes[0].score for row in second.classification_result.classifications] == [3.0, 4.0]
    assert [one.value for one in third.regression_result.regressions] == [4.0, 5.0]
    specs = [
        (one.model_spec.name, one.model_spec.signature_name, one.model_spec.version.value) for one in response.results
    ]
    assert specs == [("m", key, 7) for key in keys]


def test_multi_inference_of_one_task_takes_the_default_signature(native):
    keys, response = multi_inference(native, tasks(("", CLASSIFY)))
    assert keys == ["serving_default"]
    assert response.results[0].model_spec.signature_name == "serving_default"
