"""From a waveform to a text inside the exported graph: real answers, and requests that no caller should send."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from tones import RATE, Tones

from zoo import registry
from zoo.config import Experiment, Splits, Training
from zoo.data.pipeline import take_arrays
from zoo.errors import DataError
from zoo.exporting.export import export_run
from zoo.features.sequences import SequenceNormalization
from zoo.features.sound import LogMel
from zoo.models.speech_ctc import SpeechCTC
from zoo.tasks.transcription import Transcription
from zoo.training.evaluation import evaluate
from zoo.training.loop import train

EXPERIMENT = Experiment(
    name="tones",
    data=Tones(),
    splits=Splits(),
    features=(LogMel(sample_rate_hz=RATE, num_mels=8), SequenceNormalization()),
    model=SpeechCTC(num_features=8, num_symbols=4, width=16, depth=1, num_heads=2, kernel_size=3, dropout=0.0),
    task=Transcription(alphabet=" ab", beam_width=4),
    training=Training(epochs=14, batch_size=8, learning_rate=1e-2, strategy="none"),
)


@pytest.fixture(scope="module", autouse=True)
def registered():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry.SOURCES, "tones", registry.Entry("tones:Tones", "tones"))
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return train(EXPERIMENT, tmp_path_factory.mktemp("runs") / "tones")


@pytest.fixture(scope="module")
def signature(run, tmp_path_factory):
    published = export_run(run.path, tmp_path_factory.mktemp("models"), name="tones")
    loaded = tf.saved_model.load(str(published.path))
    signature = loaded.signatures["serving_default"]
    signature.keeps = loaded
    return signature


def ask(signature, waveform, mask=None):
    waveform = np.asarray(waveform)
    mask = np.ones(waveform.shape[:2], bool) if mask is None else mask
    arguments = {"waveform": tf.constant(waveform), "padding_mask": tf.constant(mask)}
    outputs = tf.raw_ops.StatefulPartitionedCall(
        args=[*(arguments[name] for name in sorted(arguments)), *signature.captured_inputs],
        Tout=[output.dtype for output in signature.outputs],
        f=signature,
    )
    return dict(zip(sorted(signature.structured_outputs), outputs, strict=True))


def test_it_hears_what_was_played(run, signature):
    scores = evaluate(run, "test").scores
    assert scores["character_error_rate"] < 0.2
    assert scores["constant_character_error_rate"] > 0.4
    raw = take_arrays(EXPERIMENT.data, "test", 8)
    answers = ask(signature, raw["waveform"], raw["padding_mask"])
    heard = [text.decode() for text in answers["text"].numpy()]
    assert sum(text == said.decode() for text, said in zip(heard, raw["text"], strict=True)) >= 5


def test_only_what_the_model_needs_is_asked_for(signature):
    assert set(signature.structured_input_signature[1]) == {"waveform", "padding_mask"}


def test_one_sample_and_silence_are_answered(signature):
    for sound in (np.zeros((1, 1), "int16"), np.zeros((2, 4000), "int16"), np.full((1, 1), -32768, "int16")):
        answers = ask(signature, sound)
        assert np.isfinite(answers["probability"].numpy()).all()
    nothing = ask(signature, np.ones((1, 900), "int16"), np.zeros((1, 900), bool))
    assert nothing["text"].numpy().tolist() == [b""]


def test_an_answer_does_not_depend_on_the_padding(signature):
    raw = take_arrays(EXPERIMENT.data, "test", 1)
    padded = np.concatenate([raw["waveform"], np.full((1, 3333), 9999, "int16")], axis=1)
    mask = np.arange(padded.shape[1])[None] < raw["waveform"].shape[1]
    one, other = ask(signature, raw["waveform"]), ask(signature, padded, mask)
    assert one["text"].numpy().tolist() == other["text"].numpy().tolist()
    np.testing.assert_allclose(one["probability"], other["probability"], rtol=1e-3)


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((1, 0), "no axis empty"),
        ((0, 100), "no axis empty"),
        ((1, 400, 2), r"shape \[batch, length\]"),
        ((400,), r"shape \[batch, length\]"),
    ],
    ids=["no sample", "no clip", "stereo", "no batch"],
)
def test_other_shapes_are_refused(signature, shape, said):
    with pytest.raises(tf.errors.InvalidArgumentError, match=said):
        ask(signature, np.zeros(shape, "int16"), np.ones((1, 400), bool))


def test_sound_of_another_rate_is_refused_before_anything_is_written(tmp_path):
    experiment = dataclasses.replace(EXPERIMENT, data=Tones(sample_rate_hz=16_000))
    with pytest.raises(DataError, match=r"16000 samples a second.*set to 8000"):
        train(experiment, tmp_path / "run")
    assert not (tmp_path / "run").exists()
