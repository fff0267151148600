from __future__ import annotations

import numpy as np
import pytest
import soundfile

from zoo.data.grouping import LeftOut
from zoo.data.sound import (
    SAMPLE_RATE_HZ,
    Clip,
    UnreadableSoundError,
    clip_examples,
    content_digest,
    duration_s,
    read_waveform,
)


def tone(frequency_hz: float, rate_hz: int, length_s: float = 0.5, amplitude: float = 0.5) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * frequency_hz * np.arange(round(rate_hz * length_s)) / rate_hz)


def test_sound_at_the_rate_comes_through_bit_for_bit(tmp_path):
    samples = np.random.default_rng(0).integers(-32768, 32768, 800).astype(np.int16)
    soundfile.write(tmp_path / "noise.wav", samples, SAMPLE_RATE_HZ)
    assert np.array_equal(read_waveform(tmp_path / "noise.wav"), samples)
    assert duration_s(tmp_path / "noise.wav") == 0.05


@pytest.mark.parametrize("rate_hz", [8000, 22050, 44100, 48000])
def test_a_tone_keeps_its_pitch_and_level(tmp_path, rate_hz):
    soundfile.write(tmp_path / "tone.wav", tone(1000, rate_hz), rate_hz)
    waveform = read_waveform(tmp_path / "tone.wav")
    assert (waveform.dtype, waveform.shape) == (np.int16, (SAMPLE_RATE_HZ // 2,))
    expected = 32768 * tone(1000, SAMPLE_RATE_HZ)
    inner = slice(500, -500)  # the filter's ends fade
    assert np.abs(waveform[inner] - expected[inner]).max() < 0.01 * 32768


def test_what_the_rate_cannot_hold_is_filtered_not_folded(tmp_path):
    soundfile.write(tmp_path / "high.wav", tone(11_000, 44100), 44100)
    assert np.abs(read_waveform(tmp_path / "high.wav")[500:-500]).max() < 0.02 * 32768


def test_channels_are_averaged_and_loud_ones_clipped(tmp_path):
    left, right = tone(500, SAMPLE_RATE_HZ), tone(700, SAMPLE_RATE_HZ)
    soundfile.write(tmp_path / "stereo.wav", np.stack([left, right], axis=1), SAMPLE_RATE_HZ)
    assert np.abs(read_waveform(tmp_path / "stereo.wav") - 32768 * (left + right) / 2).max() <= 1.5
    soundfile.write(tmp_path / "loud.wav", 3 * left, SAMPLE_RATE_HZ, subtype="FLOAT")
    assert (read_waveform(tmp_path / "loud.wav").min(), read_waveform(tmp_path / "loud.wav").max()) == (-32768, 32767)


def write_ogg(path, samples, title: str) -> None:
    with soundfile.SoundFile(path, "w", SAMPLE_RATE_HZ, 1, format="OGG", subtype="VORBIS") as file:
        file.title = title
        file.write(samples)


def test_the_digest_sees_the_sound_and_not_the_comments(tmp_path):
    write_ogg(tmp_path / "a.ogg", tone(500, SAMPLE_RATE_HZ), "a bear")
    write_ogg(tmp_path / "b.ogg", tone(500, SAMPLE_RATE_HZ), "an entirely different animal " * 40)
    write_ogg(tmp_path / "c.ogg", tone(500, SAMPLE_RATE_HZ, length_s=0.49), "a bear")
    write_ogg(tmp_path / "d.ogg", tone(510, SAMPLE_RATE_HZ), "a bear")
    assert (tmp_path / "a.ogg").read_bytes() != (tmp_path / "b.ogg").read_bytes()
    assert np.array_equal(read_waveform(tmp_path / "a.ogg"), read_waveform(tmp_path / "b.ogg"))
    a, b, c, d = (content_digest(tmp_path / f"{name}.ogg") for name in "abcd")
    assert a == b
    assert len({a, c, d}) == 3
    (tmp_path / "text.txt").write_text("OggS")
    assert len({content_digest(tmp_path / "text.txt"), a}) == 2


def test_clips_are_chosen_by_length_pace_and_legibility(tmp_path, caplog):
    caplog.set_level("INFO")
    for name, length_s in {"short": 0.1, "right": 1.0, "fast": 0.5, "long": 3.0}.items():
        soundfile.write(tmp_path / f"{name}.wav", tone(500, SAMPLE_RATE_HZ, length_s), SAMPLE_RATE_HZ)
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    with pytest.raises(UnreadableSoundError, match="broken.wav cannot be read as sound"):
        read_waveform(tmp_path / "broken.wav")
    texts = {"short": "a", "right": "ten chars.", "fast": "ten chars.", "long": "a", "broken": "a"}
    clips = [Clip(key=name, path=tmp_path / f"{name}.wav", tensors={"text": text}) for name, text in texts.items()]
    made = clip_examples([*clips, *[clips[1]] * 100], LeftOut("set train"), max_s=2.0, max_characters_s=15.0)
    (key, example), *others = made
    assert (key, example["text"], example["waveform"].shape) == ("right", "ten chars.", (SAMPLE_RATE_HZ,))
    assert len(others) == 100
    assert "set train: broken was skipped" in caplog.text
    assert (
        "1 longer than 2 s, 1 shorter than 0.2 s, 1 with more than 15 characters a second, 1 unreadable" in caplog.text
    )
