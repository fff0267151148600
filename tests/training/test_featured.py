"""Costly features are computed once and kept; what a model is fed is the same as if they were computed each time."""

from typing import Any

import numpy as np
from tones import RATE, Tones

from zoo.config import Experiment, Splits, Training
from zoo.data.pipeline import batches
from zoo.features.augmentation import RandomFlip, SpecAugment
from zoo.features.base import compose
from zoo.features.images import ImageScaling
from zoo.features.sequences import SequenceNormalization, UtteranceNormalization
from zoo.features.sound import LogMel
from zoo.models.speech_ctc import SpeechCTC
from zoo.tasks.transcription import Transcription
from zoo.training import inputs
from zoo.training.featured import Featured

MEL = LogMel(sample_rate_hz=RATE, num_mels=8)
NORMAL = SequenceNormalization(mean=(0.0,) * 8, std=(2.0,) * 8)


def in_order(source, batch_size=8) -> list[Any]:
    found = batches(source, "train", batch_size=batch_size, shuffle=False, seed=0)
    return [{name: value.numpy() for name, value in batch.items()} for batch in found]


def test_kept_examples_are_what_the_features_give():
    features = (MEL, NORMAL)
    kept = in_order(Featured(source=Tones(), features=features))
    computed = [compose(features)(batch) for batch in in_order(Tones())]
    assert len(kept) == len(computed) == 8
    for ours, theirs in zip(kept, computed, strict=True):
        assert set(ours) == set(theirs) == {"frames", "padding_mask", "text", "speaker"}
        np.testing.assert_array_equal(ours["padding_mask"], theirs["padding_mask"])
        np.testing.assert_allclose(ours["frames"], theirs["frames"], atol=1e-4)
        assert list(ours["text"]) == list(np.asarray(theirs["text"]))


def test_info_is_that_of_the_examples_behind_the_features():
    info = Featured(source=Tones(), features=(MEL,)).info()
    assert info.tensors["frames"].shape == (None, 8)
    assert info.mask_names() == {"frames": "padding_mask"}
    assert info.tensors["text"] == Tones().info().tensors["text"]
    assert "waveform" not in info.tensors
    assert info.num_examples == Tones().info().num_examples


def test_kept_is_what_is_costly_and_comes_before_chance():
    def kept(*features):
        return inputs._kept_and_computed(features)

    spec, utterance = SpecAugment(), UtteranceNormalization()
    assert kept(MEL, NORMAL, spec) == ((MEL,), (NORMAL, spec))
    assert kept(utterance, MEL) == ((utterance, MEL), ())
    assert kept(spec, MEL) == ((), (spec, MEL))
    assert kept(RandomFlip(), ImageScaling()) == ((), (RandomFlip(), ImageScaling()))


def test_a_second_pass_computes_no_sound_again(monkeypatch):
    calls = []
    original = LogMel.layer

    def counted(feature):
        layer = original(feature)
        call = layer.call

        def counting(tensors, training=False):
            import tensorflow as tf

            tf.py_function(lambda: calls.append(1), [], [])
            return call(tensors, training=training)

        layer.call = counting
        return layer

    monkeypatch.setattr(LogMel, "layer", counted)
    experiment = Experiment(
        name="tones",
        data=Tones(),
        splits=Splits(),
        features=(MEL, NORMAL),
        model=SpeechCTC(num_features=8, num_symbols=4),
        task=Transcription(alphabet=" ab"),
        training=Training(epochs=1, batch_size=8),
    )
    dataset = inputs.model_batches(experiment, "train", ["frames", "padding_mask"], training=True)
    computed = len(calls)
    assert computed > 0
    for _ in range(2):
        assert sum(len(targets["logits"]) for _, targets in dataset) == 64
    assert len(calls) == computed
