"""Training throughput: both sides train the same examples, and a round is as many epochs as its seconds hold."""

import dataclasses

import pytest

from zoo.config import find_config
from zoo.errors import InvalidValueError
from zoo.training.benchmark import measure_training


@pytest.mark.slow
def test_both_sides_are_timed():
    result = measure_training(find_config("digits_cnn"), examples=320, rounds=2, seconds=0.3)
    assert result.examples == 320
    assert result.epochs_a_round >= 1
    assert result.ratio_min <= result.ratio <= result.ratio_max
    assert result.zoo_examples_per_s > 50
    assert result.keras_examples_per_s > 50
    assert dataclasses.asdict(result)["config"] == "digits_cnn"


def test_no_rounds_are_refused():
    with pytest.raises(InvalidValueError, match="rounds"):
        measure_training(find_config("digits_cnn"), examples=320, rounds=0)
