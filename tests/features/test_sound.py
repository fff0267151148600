"""Sound to frames: librosa's numbers, and that nothing behind a clip's end changes them."""

import dataclasses
import importlib
from typing import Any

import numpy as np
import pytest
from voice import voiced

from zoo.data import Packaged
from zoo.errors import InvalidValueError
from zoo.features.base import compose
from zoo.features.sound import LPCC, MFCC, LogMel

EACH = {
    "log_mel": LogMel(),
    "mfcc": MFCC(),
    "lpcc": LPCC(deltas=1),
    "mfcc-deltas": MFCC(deltas=2, window="hamming"),
}
each = pytest.mark.parametrize("feature", EACH.values(), ids=EACH.keys())


def frames_of(feature, waveform, **others):
    out = compose([feature])({"waveform": waveform, **others})
    return {name: np.asarray(value) for name, value in out.items()}


@pytest.fixture(scope="module")
def librosa():
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own dependencies
        return importlib.import_module("librosa")


def emphasised(waveform):
    sound = waveform.astype("float64") / 32_768
    return sound - 0.97 * np.concatenate([[0], sound[:-1]])


def mfcc_by_librosa(librosa, waveform, feature):
    # librosa centres a window of 400 samples in its 512 points: 56 zeros on both sides put frame k at 160 k.
    mel = librosa.feature.melspectrogram(
        y=np.pad(emphasised(waveform), (56, 56)), sr=16_000, n_fft=512, win_length=400, hop_length=160, center=False,
        window=feature.window, n_mels=feature.num_mels, fmin=feature.min_hz, fmax=feature.max_hz,
        htk=feature.mel_scale == "htk", norm="slaney",
    )  # fmt: skip
    cepstra = librosa.feature.mfcc(S=np.log(np.maximum(mel, 1e-10)), n_mfcc=feature.num_coefficients, norm="ortho")
    parts = [cepstra, *(librosa.feature.delta(cepstra, order=order) for order in range(1, feature.deltas + 1))]
    return np.concatenate(parts).T


@pytest.mark.parametrize("mel_scale", ["slaney", "htk"])
@pytest.mark.parametrize("window", ["hann", "hamming"])
def test_mfcc_is_librosas(librosa, mel_scale, window):
    feature = MFCC(mel_scale=mel_scale, window=window, deltas=2, max_hz=7600.0)
    waveform = voiced(30_000)
    ours = frames_of(feature, waveform[None])["frames"][0]
    theirs = mfcc_by_librosa(librosa, waveform, feature)
    assert ours.shape == (186, 39)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, theirs, atol=1e-3)


def test_log_mel_is_librosas(librosa):
    waveform = voiced(16_000, seed=1)
    ours = frames_of(LogMel(), waveform[None])["frames"][0]
    mel = librosa.feature.melspectrogram(
        y=np.pad(waveform / 32_768, (56, 56)), sr=16_000, n_fft=512, win_length=400, hop_length=160, center=False,
        fmin=20, n_mels=80,
    )  # fmt: skip
    assert ours.shape == (98, 80)
    np.testing.assert_allclose(ours, np.log(np.maximum(mel, 1e-10)).T, atol=1e-3)


@pytest.mark.slow
def test_mfcc_of_real_speech_is_librosas(librosa):
    feature = MFCC(deltas=2)
    for example in Packaged(name="pocketsphinx_speech").load("test").as_numpy_iterator():
        ours = frames_of(feature, example["waveform"][None])["frames"][0]
        np.testing.assert_allclose(ours, mfcc_by_librosa(librosa, example["waveform"], feature), atol=1e-3)


@each
def test_what_follows_a_clip_changes_nothing(feature):
    lengths = [16_000, 5_000, 2_320, 400, 399, 160, 1, 0]
    longest = 20_000
    random = np.random.default_rng(0)
    waveform = random.integers(-32_768, 32_767, (len(lengths), longest)).astype("int16")
    mask = np.arange(longest) < np.array(lengths)[:, None]
    for row, length in enumerate(lengths):
        waveform[row, :length] = voiced(16_000, seed=row)[4_000 : 4_000 + length] if length < 16_000 else voiced(16_000)
    batch = frames_of(feature, waveform, padding_mask=mask)
    as_float = np.where(mask, waveform / np.float32(32_768), np.nan).astype("float32")
    np.testing.assert_allclose(frames_of(feature, as_float, padding_mask=mask)["frames"], batch["frames"], atol=1e-5)
    assert batch["padding_mask"].sum(axis=1).tolist() == [98, 29, 13, 1, 1, 1, 1, 0]
    assert (batch["frames"][~batch["padding_mask"]] == 0).all()
    assert np.isfinite(batch["frames"]).all()
    for row, length in enumerate(lengths[:-1]):
        alone = frames_of(feature, waveform[row : row + 1, :length])
        assert alone["padding_mask"].all()
        num_frames = alone["frames"].shape[1]
        np.testing.assert_allclose(batch["frames"][row, :num_frames], alone["frames"][0], atol=1e-5)


@each
def test_silence_is_finite(feature):
    assert np.isfinite(frames_of(feature, np.zeros((2, 1_000), "int16"))["frames"]).all()
    assert np.isfinite(frames_of(feature, np.full((1, 1_000), -32_768, "int16"))["frames"]).all()


@each
@pytest.mark.parametrize("dtype", ["int16", "int32", "int64"])
def test_integers_are_parts_of_32768(feature, dtype):
    waveform = voiced(1_200)[None]
    as_float = frames_of(feature, (waveform / 32_768).astype("float32"))["frames"]
    np.testing.assert_allclose(frames_of(feature, waveform.astype(dtype))["frames"], as_float, atol=1e-5)


@each
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 2e9], ids=str)
def test_numbers_that_are_no_sound_end_the_graph(feature, value, tmp_path):
    import tensorflow as tf

    waveform = np.zeros((2, 1_000), "float32")
    waveform[1, 999] = value
    mask = np.ones((2, 1_000), bool)

    module: Any = tf.Module()
    module.serve = tf.function(
        lambda waveform, padding_mask: compose([feature])({"waveform": waveform, "padding_mask": padding_mask}),
        input_signature=[
            tf.TensorSpec([None, None], tf.float32, "waveform"),
            tf.TensorSpec([None, None], tf.bool, "padding_mask"),
        ],
    )
    tf.saved_model.save(module, str(tmp_path), signatures={"serving_default": module.serve.get_concrete_function()})
    loaded = tf.saved_model.load(str(tmp_path)).signatures["serving_default"]
    with pytest.raises(tf.errors.InvalidArgumentError, match="`waveform` holds a NaN or an infinity"):
        loaded(waveform=tf.constant(waveform), padding_mask=tf.constant(mask))
    with pytest.raises(tf.errors.InvalidArgumentError, match="`waveform` holds a NaN or an infinity"):
        frames_of(feature, waveform)

    mask[1, 999] = False  # in the padding it is nothing
    out = loaded(waveform=tf.constant(waveform), padding_mask=tf.constant(mask))
    assert np.isfinite(out["frames"]).all()
    spec = module.serve.get_concrete_function().structured_outputs
    assert spec["frames"].shape[-1] == out["frames"].shape[-1]


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("num_frames", [9, 10, 40])
def test_deltas_are_librosas_and_do_not_see_the_padding(librosa, order, num_frames):
    from zoo.layers.sound import add_deltas

    frames = np.random.default_rng(0).normal(size=(2, 50, 3)).astype("float32")
    ours = np.asarray(add_deltas(frames, np.array([num_frames, 50], "int32"), order))[0, :num_frames, 3 * order :]
    theirs = librosa.feature.delta(frames[0, :num_frames].T, order=order).T
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_deltas_of_clips_too_short_for_librosa():
    from zoo.layers.sound import add_deltas

    frames = np.full((2, 4, 1), 1e3, "float32")
    frames[0, :, 0] = [0, 1, 2, 3]
    frames[1, 0] = 7
    deltas = np.asarray(add_deltas(frames, np.array([4, 1], "int32"), 2))
    repeated = np.concatenate([np.zeros(4), [0, 1, 2, 3], np.full(4, 3.0)])
    slopes = [np.polyfit(np.arange(9), repeated[t : t + 9], 1)[0] for t in range(4)]
    bends = [np.polyfit(np.arange(9), repeated[t : t + 9], 2)[0] * 2 for t in range(4)]
    np.testing.assert_allclose(deltas[0, :, 1:], np.stack([slopes, bends], axis=1), atol=1e-6)
    np.testing.assert_allclose(deltas[1, 0], [7, 0, 0], atol=1e-5)


@each
def test_other_tensors_pass_and_the_sound_leaves(feature):
    out = frames_of(feature, np.zeros((2, 999), "int16"), label=np.array([3, 4]), text=np.array([b"a", b"b"]))
    assert set(out) == {"frames", "padding_mask", "label", "text"}
    assert out["text"].tolist() == [b"a", b"b"]
    renamed = dataclasses.replace(feature, tensor="voice")
    assert set(compose([renamed])({"voice": np.zeros((2, 999), "int16")})) == {"frames", "padding_mask"}


def test_frames_follow_rate_length_and_hop():
    feature = MFCC(sample_rate_hz=8_000, frame_ms=32.0, hop_ms=16.0, num_mels=20, num_coefficients=20)
    out = frames_of(feature, voiced(8_000, sample_rate_hz=8_000)[None])
    assert out["frames"].shape == (1, 1 + (8_000 - 256) // 128, 20)


@pytest.mark.parametrize(
    ("make", "fields", "message"),
    [
        (MFCC, {"sample_rate_hz": 0}, "sample_rate_hz"),
        (MFCC, {"frame_ms": 0.01}, "frame_ms"),
        (MFCC, {"hop_ms": 0.0}, "hop_ms"),
        (MFCC, {"pre_emphasis": 1.5}, "pre_emphasis"),
        (MFCC, {"window": "kaiser"}, "window"),
        (MFCC, {"deltas": 3}, "deltas"),
        (MFCC, {"num_coefficients": 41}, "num_coefficients"),
        (MFCC, {"mel_scale": "bark"}, "mel_scale"),
        (LPCC, {"order": 0}, "order"),
        (LPCC, {"order": 400}, "below a frame's samples"),
        (LPCC, {"num_coefficients": 0}, "num_coefficients"),
        (LogMel, {"max_hz": 8_001.0}, "half the sample rate, 8000"),
        (LogMel, {"min_hz": 300.0, "max_hz": 200.0}, "min_hz"),
        (LogMel, {"num_mels": 0}, "num_mels"),
        (LogMel, {"num_mels": 200}, "31.25 Hz apart"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
def test_values_refused(make, fields, message):
    with pytest.raises(InvalidValueError, match=message):
        make(**fields)
