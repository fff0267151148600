"""Spoken names of Tux Paint's stamps: short recordings in nine languages, with the text that the game shows.

`tuxpaint_languages` asks which language is spoken. Each language is spoken by about one voice (Danish by 322
recordings, the others by 681 to 928), so voice, room and language cannot be told apart: a model that answers well has
recognised any of them, and nothing is known of how it does on other voices.

`tuxpaint_<language>` asks what is said: one voice, clips of 0.3 to 10 s, mostly one noun phrase.

Splits. Stamps are linked where a recording of the one is the recording of the other or where both have the same text,
in any of the nine languages, case and punctuation aside; linked stamps (704 groups, the largest of ten) go to one split
by the hash of the first of them in order of name. So no text and no recording is in two splits, and a stamp is in the
same split in every data set of this module. About 70% train, 15% validation, 15% test.

Left out, each counted in the log: a recording that is there under another stamp already (about 150 of 920); clips
shorter than 0.2 s or longer than 10 s (0 to 8). From transcription also: no text, or the English one left untranslated
(0 to 22); a recording that stands under different texts (Greek 134, Spanish 2); a text of more than 25 characters for
each second of sound, which is more than these voices speak, so that the recording must be of another, shorter text
(Catalan 156, Belarusian 35, Greek 31, French 18, others 0 to 3). A text that is only a little longer than what is said
is not found so, which must be expected of the first three. Numbers ("0,10 $", "6x7=42") and foreign names stand as the
game writes them, not as they are said.

Sound effects (`X.ogg`, without `_desc`) are no speech and not taken. Dutch, English, Lithuanian and Malayalam have
fewer than 100 recordings.
"""

from __future__ import annotations

import collections
import dataclasses
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from zoo.data.apt import AptPackage
from zoo.data.base import DataInfo, TensorInfo
from zoo.data.grouping import LeftOut, groups_of, split_of
from zoo.data.recipe import Example, GeneratedRecipe
from zoo.data.sound import SAMPLE_RATE_HZ, Clip, clip_examples, content_digest, letters_and_digits

__all__ = ["RECIPES"]

_STAMPS = "usr/share/tuxpaint/stamps"
_MAX_S = 10.0
_MAX_CHARACTERS_S = 25.0

_LANGUAGES = ("be", "bg", "ca", "da", "el", "es", "fr", "ro", "ru")


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Recording:
    """The name of a stamp, spoken in one language; `text` is empty where the game has no translation of it."""

    stamp: str
    language: str
    path: Path
    digest: str
    text: str


def _texts(path: Path) -> dict[str, str]:
    """Reads a stamp's text file: English, then `fr.utf8=...` for every other language. English left as it is counts
    as no translation."""
    english, *lines = path.read_text(encoding="utf-8").splitlines()
    translations = dict(line.split(".utf8=", 1) for line in lines if ".utf8=" in line)
    texts = {language: unicodedata.normalize("NFC", text.strip()) for language, text in translations.items()}
    return {language: text for language, text in texts.items() if text != unicodedata.normalize("NFC", english.strip())}


def _recordings(files: Path) -> list[_Recording]:
    """Returns every spoken name in one of the nine languages, in order of stamp and language."""
    stamps, texts, found = files / _STAMPS, {}, []
    for path in sorted(stamps.rglob("*_desc_*.ogg")):
        match = re.fullmatch(r"(.+)_desc_([a-z]+)\.ogg", path.name)
        if match is None or match[2] not in _LANGUAGES:
            continue
        stamp = path.with_name(match[1])
        if stamp not in texts:
            text_path = stamp.parent / f"{stamp.name}.txt"
            texts[stamp] = _texts(text_path) if text_path.exists() else {}
        found.append(
            _Recording(
                stamp=stamp.relative_to(stamps).as_posix(),
                language=match[2],
                path=path,
                digest=content_digest(path),
                text=texts[stamp].get(match[2], ""),
            )
        )
    return found


def _splits_of_stamps(recordings: list[_Recording]) -> dict[str, str]:
    """Returns the split of each stamp: what shares a recording or a text goes together."""
    traits: dict[str, set[str]] = collections.defaultdict(set)
    for recording in recordings:
        traits[recording.stamp].add(recording.digest)
        if letters_and_digits(recording.text):
            traits[recording.stamp].add(f"{recording.language} {letters_and_digits(recording.text)}")
    return {stamp: split_of(group) for stamp, group in groups_of(traits).items()}


def _clips(
    recordings: list[_Recording], left_out: LeftOut, tensors: Callable[[_Recording], Mapping[str, object]]
) -> Iterator[Clip]:
    """Yields each sound once."""
    seen = set()
    for recording in recordings:
        if recording.digest in seen:
            left_out.count("of a sound that is there already")
            continue
        seen.add(recording.digest)
        key = f"{recording.stamp}_{recording.language}"
        yield Clip(key=key, path=recording.path, tensors=tensors(recording))


def _language_examples(split: str, files: Path) -> Iterator[tuple[str, Example]]:
    """Yields `waveform` and the position of its language in `_LANGUAGES`."""
    recordings = _recordings(files)
    splits = _splits_of_stamps(recordings)
    left_out = LeftOut(f"tuxpaint_languages {split}")
    chosen = [recording for recording in recordings if splits[recording.stamp] == split]
    clips = _clips(chosen, left_out, lambda recording: {"label": _LANGUAGES.index(recording.language)})
    return clip_examples(clips, left_out, max_s=_MAX_S)


def _transcribed(recordings: list[_Recording], left_out: LeftOut) -> Iterator[_Recording]:
    """Yields the recordings that have a text, and the same one wherever they stand."""
    texts = collections.defaultdict(set)
    for recording in recordings:
        texts[recording.digest].add(letters_and_digits(recording.text))
    for recording in recordings:
        if not letters_and_digits(recording.text):
            left_out.count("without a text of their own")
        elif len(texts[recording.digest] - {""}) > 1:
            left_out.count("of a sound that stands under different texts")
        else:
            yield recording


def _transcription_examples(language: str, split: str, files: Path) -> Iterator[tuple[str, Example]]:
    """Yields `waveform` and `text` of one language."""
    recordings = _recordings(files)
    splits = _splits_of_stamps(recordings)
    left_out = LeftOut(f"tuxpaint_{language} {split}")
    chosen = [item for item in recordings if item.language == language and splits[item.stamp] == split]
    clips = _clips(list(_transcribed(chosen, left_out)), left_out, lambda recording: {"text": recording.text})
    return clip_examples(clips, left_out, max_s=_MAX_S, max_characters_s=_MAX_CHARACTERS_S)


def _recipe(
    name: str,
    answer: Mapping[str, TensorInfo],
    num_examples: Mapping[str, int],
    size_bytes: int,
    examples: Callable[[str, Path], Iterator[tuple[str, Example]]],
) -> GeneratedRecipe:
    return GeneratedRecipe(
        info=DataInfo(
            name=name,
            tensors={"waveform": TensorInfo(shape=(None,), dtype="int16", sample_rate_hz=SAMPLE_RATE_HZ), **answer},
            num_examples=num_examples,
            licence="GPL-2",
            citation=(
                "B. Kendrick and contributors (2002-2022). Tux Paint Stamps 2022.06.04: names of stamps, spoken and "
                "translated by its volunteers. https://tuxpaint.org"
            ),
        ),
        kind="speech",
        version="1.0.0",
        size_bytes=size_bytes,
        homepage="https://tuxpaint.org",
        packages=(
            AptPackage(
                name="tuxpaint-stamps-default",
                version="2022.06.04-1",
                sha256="6db6c1bfc870a47f1499d6203b083522eacb57c5f9c87d468f2e92eb6d9d5f34",
                wanted=rf"{_STAMPS}/.*(_desc_({'|'.join(_LANGUAGES)})\.ogg|\.txt)",
            ),
        ),
        examples=examples,
    )


# Language, to the number of examples of each split and the size of the prepared data in bytes.
_TRANSCRIBED: Mapping[str, tuple[Mapping[str, int], int]] = {
    "be": ({"train": 405, "validation": 105, "test": 72}, 26_800_000),
    "bg": ({"train": 534, "validation": 129, "test": 108}, 33_100_000),
    "ca": ({"train": 448, "validation": 112, "test": 78}, 21_900_000),
    "el": ({"train": 328, "validation": 88, "test": 52}, 26_100_000),
    "es": ({"train": 512, "validation": 125, "test": 105}, 40_400_000),
    "fr": ({"train": 517, "validation": 129, "test": 103}, 33_300_000),
    "ro": ({"train": 525, "validation": 133, "test": 109}, 46_800_000),
    "ru": ({"train": 534, "validation": 134, "test": 111}, 38_200_000),
}

RECIPES = {
    "tuxpaint_languages": _recipe(
        "tuxpaint_languages",
        {"label": TensorInfo(shape=(), dtype="int64", names=_LANGUAGES)},
        {"train": 4237, "validation": 1054, "test": 839},
        287_000_000,
        _language_examples,
    ),
    **{
        f"tuxpaint_{language}": _recipe(
            f"tuxpaint_{language}",
            {"text": TensorInfo(shape=(), dtype="string")},
            num_examples,
            size_bytes,
            partial(_transcription_examples, language),
        )
        for language, (num_examples, size_bytes) in _TRANSCRIBED.items()
    },
}
