"""Classification: figures beside scikit-learn's and by hand, answers, and outputs that do not fit."""

import keras
import numpy as np
import pytest

from zoo.errors import DataError
from zoo.tasks.classification import Classification


def test_score_by_hand():
    logits = np.array([[2.0, 0, 0], [2, 0, 0], [0, 2, 0], [0, 2, 0]])
    scores = Classification().score({"logits": np.array([0, 1, 1, 2])}, {"logits": logits})
    assert scores["accuracy"] == 0.5
    # class 0: 1 of 2 answers right, 1 of 1 found; class 1: 1 of 2, 1 of 2; class 2: never answered
    assert scores["macro_precision"] == pytest.approx((0.5 + 0.5 + 0) / 3)
    assert scores["macro_recall"] == pytest.approx((1 + 0.5 + 0) / 3)
    assert scores["macro_f1"] == pytest.approx((2 / 3 + 0.5 + 0) / 3)
    right, wrong = -np.log(np.exp(2) / (np.exp(2) + 2)), -np.log(1 / (np.exp(2) + 2))
    assert scores["cross_entropy"] == pytest.approx((right + wrong + right + wrong) / 4)


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
