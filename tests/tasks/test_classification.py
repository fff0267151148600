"""Classification: figures beside scikit-learn's and by hand, answers, and outputs that do not fit."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo.errors import DataError
from zoo.tasks.classification import Classification
from zoo.training.graph_errors import told_as_data_errors


def test_score_by_hand():
    logits = np.array([[2.0, 0, 0], [2, 0, 0], [0, 2, 0], [0, 2, 0]])
    scorer = Classification().scorer(["a", "b", "c"])
    for part in (slice(0, 1), slice(1, 4)):
        scorer.update({"logits": np.array([0, 1, 1, 2])[part]}, {"logits": logits[part]})
    scores = scorer.figures()
    assert scores["accuracy"] == 0.5
    # class 0: 1 of 2 answers right, 1 of 1 found; class 1: 1 of 2, 1 of 2; class 2: never answered
    assert scores["macro_precision"] == pytest.approx((0.5 + 0.5 + 0) / 3)
    assert scores["macro_recall"] == pytest.approx((1 + 0.5 + 0) / 3)
    assert scores["macro_f1"] == pytest.approx((2 / 3 + 0.5 + 0) / 3)
    right, wrong = -np.log(np.exp(2) / (np.exp(2) + 2)), -np.log(1 / (np.exp(2) + 2))
    assert scores["cross_entropy"] == pytest.approx((right + wrong + right + wrong) / 4)
    findings = scorer.findings()
    assert findings.confusion is not None
    assert findings.confusion.counts.tolist() == [[1, 0, 0], [1, 1, 0], [0, 1, 0]]
    assert findings.tables[0].rows == [
        ("a", 1, "0.500", "1.000"),
        ("b", 2, "0.500", "0.500"),
        ("c", 1, "", "0.000"),
    ]


def value(tensor: Any) -> float:
    return float(tensor)


def test_a_label_may_be_shares_of_classes():
    logits = keras.ops.array([[2.0, 0.0, 1.0], [0.0, 3.0, 1.0]])
    loss, (accuracy,) = Classification().losses()["logits"], Classification().metrics()["logits"]
    ids, shares = np.array([0, 2]), np.array([[1.0, 0, 0], [0, 0, 1]], "float32")
    expected = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(ids, logits)
    assert value(loss(ids, logits)) == pytest.approx(value(expected))
    assert value(loss(shares, logits)) == pytest.approx(value(expected))
    for labels in (ids, shares):
        accuracy.reset_state()
        accuracy.update_state(labels, logits)
        assert value(accuracy.result()) == 0.5
    half = np.array([[0.5, 0, 0.5], [0, 1, 0]], "float32")
    soft = keras.losses.CategoricalCrossentropy(from_logits=True)(half, logits)
    assert value(loss(half, logits)) == pytest.approx(value(soft))


def test_label_smoothing_is_that_of_keras():
    logits, ids = np.random.default_rng(0).normal(size=(5, 4)).astype("float32"), np.array([0, 1, 2, 3, 0])
    smoothed = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    expected = value(smoothed(keras.utils.to_categorical(ids, 4), logits))
    loss = Classification(label_smoothing=0.1).losses()["logits"]
    assert value(loss(ids, logits)) == pytest.approx(expected, rel=1e-5)


def test_a_tie_is_no_difference_and_another_class_is():
    expected = {"class_id": np.array([0, 1]), "probabilities": np.array([[0.5, 0.49999], [0.2, 0.8]])}
    task = Classification()
    assert task.difference({"class_id": np.array([1, 1])}, expected, 1e-4) is None
    assert task.difference({"class_id": np.array([0, 0])}, expected, 1e-4) == "class_id"


def test_answers_hold_names_and_probabilities():
    logits = np.array([[0.0, 1.0], [3.0, 1.0]], "float32")
    answers = Classification().answers({"logits": logits}, ["cat", "dog"])
    assert list(answers["label"].numpy()) == [b"dog", b"cat"]
    assert list(answers["class_id"].numpy()) == [1, 0]
    np.testing.assert_allclose(answers["probabilities"].numpy().sum(axis=-1), 1, rtol=1e-6)
    assert "label" not in Classification().answers({"logits": logits}, [])


def test_check_names_what_does_not_fit():
    image = keras.Input((4,), name="image")
    model = keras.Model({"image": image}, {"logits": keras.layers.Dense(3)(image)})
    Classification().check(model, ["a", "b", "c"])
    with pytest.raises(DataError, match="2 classes and the model answers 3"):
        Classification().check(model, ["a", "b"])
    with pytest.raises(DataError, match="no output `scores`.*logits"):
        Classification(output="scores").check(model, [])


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("strange", [-1, 3])
def test_a_class_id_that_the_model_does_not_know_is_an_error(smoothing, strange):
    task = Classification(label="kind", label_smoothing=smoothing)
    loss = tf.function(task.losses()["logits"])
    labels, logits = np.array([0, strange]), np.zeros((2, 3), "float32")
    with (
        pytest.raises(DataError, match=rf"`kind` holds a class id outside 0 to 2.*{strange}"),
        told_as_data_errors("x"),
    ):
        loss(tf.constant(labels), tf.constant(logits))
    with pytest.raises(DataError, match=rf"`kind` holds the class id {strange}, outside 0 to 2"):
        task.scorer(()).update({"logits": labels}, {"logits": logits})
