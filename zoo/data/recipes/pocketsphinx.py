"""Ten English utterances with transcripts, 1 to 7 s long: five of an audio book, five that name playing cards.

Enough to test sound features and decoding on real speech, not to train: there is a split `test` only. Two speakers;
transcripts are lower case words of the letters a to z, as the package states them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from zoo.data.apt import AptPackage
from zoo.data.base import DataInfo, TensorInfo
from zoo.data.grouping import LeftOut
from zoo.data.recipe import Example, GeneratedRecipe
from zoo.data.sound import SAMPLE_RATE_HZ, Clip, clip_examples

__all__ = ["RECIPES"]

_DATA = "usr/share/pocketsphinx/test/data"
_TRANSCRIPTIONS = {"librivox": "transcription", "cards": "cards.transcription"}
_MAX_S = 30.0


def _clips(files: Path) -> Iterator[Clip]:
    """Yields a clip for each line `<s> ten of clubs </s> (001)` of the transcriptions."""
    for folder, name in _TRANSCRIPTIONS.items():
        directory = files / _DATA / folder
        for text, stem in re.findall(r"<s>(.*)</s>\s*\((.*)\)", (directory / name).read_text(encoding="utf-8")):
            clip_text = " ".join(text.split())
            yield Clip(key=f"{folder}/{stem}", path=directory / f"{stem}.wav", tensors={"text": clip_text})


def _examples(split: str, files: Path) -> Iterator[tuple[str, Example]]:
    return clip_examples(_clips(files), LeftOut(f"pocketsphinx_speech {split}"), max_s=_MAX_S)


_RECIPE = GeneratedRecipe(
    info=DataInfo(
        name="pocketsphinx_speech",
        tensors={
            "waveform": TensorInfo(shape=(None,), dtype="int16", sample_rate_hz=SAMPLE_RATE_HZ),
            "text": TensorInfo(shape=(), dtype="string"),
        },
        num_examples={"test": 10},
        licence="BSD-2-Clause (the package), public domain (the audio book)",
        citation=(
            "CMU Sphinx, PocketSphinx 0.8+5prealpha+1: test data, of which librivox is J. Austen, Sense and "
            "Sensibility, chapter 1, read for LibriVox. https://cmusphinx.github.io"
        ),
    ),
    kind="speech",
    version="1.0.0",
    size_bytes=1_110_000,
    homepage="https://cmusphinx.github.io",
    packages=(
        AptPackage(
            name="pocketsphinx-testdata",
            version="0.8+5prealpha+1-15",
            sha256="eaeb7a01d54f20b799d1a81ef110ec544b2cb47ea006614078220737a33019f0",
            wanted=rf"{_DATA}/({'|'.join(_TRANSCRIPTIONS)})/.*",
        ),
    ),
    examples=_examples,
)

RECIPES = {_RECIPE.info.name: _RECIPE}
