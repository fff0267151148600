"""What `fit` is fed, by the fields of an experiment."""

import dataclasses

import descriptors
import numpy as np

from zoo.config import apply_overrides
from zoo.training.inputs import model_batches

EXPERIMENT = dataclasses.replace(descriptors.MODELS["conv1d"]["average"].experiment(batch_size=4), features=())


def share_of_padding(experiment):
    batches = model_batches(experiment, "train", ["frames", "padding_mask"], training=True)
    masks = [inputs["padding_mask"].numpy() for inputs, _ in batches]
    return 1 - np.mean([mask.mean() for mask in masks])


def test_batches_of_examples_of_like_length_hold_less_padding():
    by_chance = share_of_padding(EXPERIMENT)
    assert share_of_padding(apply_overrides(EXPERIMENT, ["training.length_window=8"])) < by_chance / 2
