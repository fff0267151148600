"""Transcription: texts to places and back, the loss beside a sum over paths, decoding, figures, and bad texts."""

import itertools
import math
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo.errors import DataError, InvalidValueError
from zoo.tasks.ctc import CTCLoss, SymbolErrorRate, decoded, num_frames
from zoo.tasks.transcription import Transcription
from zoo.tasks.transcripts import error_rate

TASK = Transcription(alphabet=" abcé")


def places(texts, task=TASK):
    _, targets = task.split({"frames": None, "text": tf.constant(texts)})
    return targets["logits"].numpy()


def random_logits(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32") * 2


def test_texts_are_normalised_alike_in_python_and_in_the_graph():
    texts = ["A, b…", "  C\tÉ!", "«abc»-É", ""]
    assert [TASK.normalized(text) for text in texts] == ["a b", "c é", "abc é", ""]
    assert TASK.spelled(places(texts)) == ["a b", "c é", "abc é", ""]
    assert places(["ab", "c"]).tolist() == [[1, 2], [3, -1]]


def test_a_character_of_the_alphabet_is_not_ignored():
    assert Transcription(alphabet=" ab-").normalized("A-B") == "a-b"


def test_a_character_outside_the_alphabet_is_named():
    with pytest.raises(tf.errors.InvalidArgumentError, match="outside the alphabet"):
        places(["abc", "až"])


def brute_force(logits, label):
    """Returns -log of the summed probability of every path that spells `label`."""
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    blank, total = logits.shape[-1] - 1, 0.0
    for path in itertools.product(range(logits.shape[-1]), repeat=len(logits)):
        joined = [symbol for index, symbol in enumerate(path) if index == 0 or symbol != path[index - 1]]
        if [symbol for symbol in joined if symbol != blank] == label:
            total += math.prod(probabilities[frame, symbol] for frame, symbol in enumerate(path))
    return -math.log(total)


def padded(logits, frames):
    rest = np.full((len(logits), frames, logits.shape[-1]), -1e9, "float32")
    rest[..., -1] = 0
    return np.concatenate([logits, rest], axis=1)


def test_loss_is_the_sum_over_all_paths_whatever_the_padding():
    logits = random_logits((2, 4, 4))
    labels = np.array([[0, 1, -1], [2, 2, -1]])
    expected = [brute_force(logits[0], [0, 1]), brute_force(logits[1], [2, 2])]
    loss: Any = CTCLoss(reduction="none")
    np.testing.assert_allclose(loss(labels, logits), expected, rtol=1e-4)
    np.testing.assert_allclose(loss(labels, padded(logits, 3)), expected, rtol=1e-4)
    np.testing.assert_array_equal(num_frames(padded(logits, 3)), [4, 4])


def test_padded_frames_get_no_gradient():
    logits: Any = tf.Variable(tf.constant(padded(random_logits((1, 4, 4)), 2)))
    with tf.GradientTape() as tape:
        loss: Any = CTCLoss()(np.array([[0, 1]]), logits)
    gradient = tf.convert_to_tensor(tape.gradient(loss, logits)).numpy()
    assert np.abs(gradient[:, :4]).max() > 1e-3
    assert not gradient[:, 4:].any()


def test_a_wide_beam_finds_the_most_probable_text():
    logits = random_logits((5, 3, 3), seed=3)
    paths, log_probability = decoded(tf.constant(padded(logits, 2)), 30)
    for row, one in enumerate(logits):
        texts = [list(text) for length in range(4) for text in itertools.product(range(2), repeat=length)]
        costs = [brute_force(one, text) if reachable(text, 3) else math.inf for text in texts]
        best = int(np.argmin(costs))
        assert [place for place in paths.numpy()[row] if place >= 0] == texts[best]
        assert -log_probability.numpy()[row] == pytest.approx(costs[best], rel=1e-4)


def reachable(text, frames):
    return len(text) + sum(a == b for a, b in itertools.pairwise(text)) <= frames


def test_answers_are_texts_with_their_probability():
    logits = np.full((2, 3, 6), -5.0, "float32")
    for frame, place in enumerate((1, 5, 4)):
        logits[0, frame, place] = 5
    logits[1, :, 5] = 5
    answers = TASK.answers({"logits": logits}, ())
    assert [text.decode() for text in answers["text"].numpy()] == ["aé", ""]
    assert (answers["probability"].numpy() > 0.99).all()
    greedy = Transcription(alphabet=" abcé", beam_width=1).answers({"logits": logits}, ())
    assert greedy["text"].numpy().tolist() == answers["text"].numpy().tolist()


def test_error_rate_of_the_metric_is_that_of_the_scorer():
    truths, answered = ["abc", "b a", "cc"], ["abb", "", "cac"]
    logits = np.full((3, 9, 6), -9.0, "float32")
    for row, text in enumerate(answered):
        for frame in range(9):
            spelled = text[frame // 2] if frame % 2 == 0 and frame // 2 < len(text) else None
            logits[row, frame, TASK.alphabet.index(spelled) if spelled else 5] = 9
    metric = SymbolErrorRate()
    metric.update_state(places(truths), logits)
    scorer = TASK.scorer(())
    for row in range(3):
        scorer.update({"logits": places(truths)[row : row + 1]}, {"logits": logits[row : row + 1]})
    figures = scorer.figures()
    assert float(metric.result()) == pytest.approx((1 + 3 + 1) / 8)
    assert figures["character_error_rate"] == pytest.approx((1 + 3 + 1) / 8)
    assert figures["word_error_rate"] == pytest.approx(4 / 4)
    assert figures["exact"] == 0
    assert figures["unreachable"] == 0
    assert scorer.findings().tables[0].rows == list(zip(truths, answered, strict=True))


def test_the_constant_answer_is_the_best_of_the_frequent_ones():
    scorer = TASK.scorer(())
    logits = np.zeros((4, 1, 6), "float32")
    scorer.update({"logits": places(["ab", "ab", "c", "abc"])}, {"logits": logits})
    figures = scorer.figures()
    assert figures["constant_word_error_rate"] == 0.5
    assert figures["constant_character_error_rate"] == pytest.approx((0 + 0 + 2 + 1) / 8)
    assert figures["unreachable"] == 0.75, "three texts have more characters than the one frame"


def test_error_rate_counts_each_kind_of_edit():
    assert error_rate(["abcd"], ["xbc"]) == 0.5
    assert error_rate(["a"], ["abc"]) == 2


def test_what_does_not_fit_is_refused():
    frames = keras.Input((None, 4), name="frames")
    model = keras.Model({"frames": frames}, {"logits": keras.layers.Dense(5)(frames)})
    with pytest.raises(DataError, match="num_symbols=6"):
        TASK.check(model, ())
    Transcription(alphabet=" abc").check(model, ())
    with pytest.raises(InvalidValueError, match="alphabet"):
        Transcription(alphabet="aab ")
    with pytest.raises(InvalidValueError, match="beam_width"):
        Transcription(beam_width=0)


def test_another_text_is_a_difference_unless_equally_probable():
    expected = {"text": np.array([b"a", b"b"]), "probability": np.array([0.5, 0.4])}
    served = {"text": np.array([b"a", b"c"]), "probability": np.array([0.5, 0.4])}
    assert TASK.difference(served, expected, 1e-4) is None
    assert TASK.difference({**served, "probability": np.array([0.5, 0.3])}, expected, 1e-4) == "text"
