"""Dialogues of the game Fish Fillets, spoken in Czech and in Dutch, with their subtitles.

A fish of each sex speaks most of the lines, a few dozen other figures the rest, some with an altered voice. Clips are
of 0.4 to 12 s, mostly one sentence of 20 to 60 characters, acted rather than read.

Splits. Whole levels are held out: a level goes to a split by the hash of its name, to the same one in both languages. A
line that is spoken in several splits ("Dobrý nápad.") is left out of train where validation or test have it, and out of
validation where test has it, case and punctuation aside.

Also left out, each counted in the log, of 1,882 and 1,616: clips without a subtitle (68 and 1; `ending` reads letters
and numbers); subtitles with a number that the game fills in, "A%1." (21 and 0), or in Cyrillic and Latin (1); clips
longer than 12 s (11 and 3) or shorter than 0.2 s (0 and 2); a recording that is there already. What is left are 98 and
95 minutes.
"""

from __future__ import annotations

import collections
import re
import unicodedata
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from zoo.data.apt import AptPackage
from zoo.data.base import DataInfo, TensorInfo
from zoo.data.grouping import SPLITS, LeftOut, split_of
from zoo.data.recipe import Example, GeneratedRecipe
from zoo.data.sound import SAMPLE_RATE_HZ, Clip, clip_examples, content_digest, letters_and_digits

__all__ = ["RECIPES"]

_GAME = "usr/share/games/fillets-ng"
_VERSION = "1.0.1-1.1"
_MAX_S = 12.0

_STRING = r'"((?:[^"\\]|\\.)*)"'
_COMMENTS = r"(?:\s|--[^\n]*)*"
# dialogId("let-m-oko", "font_small", "English text") followed by dialogStr("text of the language")
_DIALOG = re.compile(
    rf"dialogId\(\s*{_STRING}\s*,\s*{_STRING}\s*,\s*{_STRING}\s*\){_COMMENTS}dialogStr\(\s*{_STRING}\s*\)"
)


def subtitles(script: str) -> dict[str, str]:
    r"""Returns the texts of a level's dialogues by their ids, in Unicode's composed form.

    Args:
        script: of one language, in Lua: for each dialogue its id, its font and its English text, then its text.

    >>> subtitles('dialogId("m-oko", "font_small", "An eye.")\n-- aside\ndialogStr("To není \\"oko\\".")')
    {'m-oko': 'To není "oko".'}
    """
    found = {match[1]: re.sub(r"\\(.)", _unescaped, match[4]) for match in _DIALOG.finditer(script)}
    return {name: unicodedata.normalize("NFC", text).strip() for name, text in found.items()}


def _unescaped(match: re.Match[str]) -> str:
    return " " if match[1] == "n" else match[1]


def _level_of(path: Path, files: Path) -> str:
    """Returns the level of a clip `sound/<level>/<language>/<id>.ogg`."""
    return path.parent.parent.relative_to(files / _GAME / "sound").as_posix()


def _texts_of(level: str, language: str, scripts: Path) -> dict[str, str]:
    """Returns the texts of a level by their ids; jokes told in any level (`share/...`) stand in files of one folder."""
    pattern = f"share/*_dialogs_{language}.lua" if level.startswith("share/") else f"{level}/dialogs_{language}.lua"
    texts = {}
    for path in sorted(scripts.glob(pattern)):
        texts.update(subtitles(path.read_text(encoding="utf-8")))
    return texts


def _clips_by_split(language: str, files: Path) -> dict[str, list[Clip]]:
    """Returns every clip of a language, in order of level and id; `text` is empty where there is no subtitle."""
    texts: dict[str, dict[str, str]] = {}
    clips: dict[str, list[Clip]] = {split: [] for split in SPLITS}
    for path in sorted((files / _GAME / "sound").rglob(f"{language}/*.ogg")):
        level = _level_of(path, files)
        if level not in texts:
            texts[level] = _texts_of(level, language, files / _GAME / "script")
        text = texts[level].get(path.stem, "")
        clips[split_of(level)].append(Clip(key=f"{level}/{path.stem}", path=path, tensors={"text": text}))
    return clips


def _examples(language: str, split: str, files: Path) -> Iterator[tuple[str, Example]]:
    """Yields `waveform` and `text` of one language."""
    clips = _clips_by_split(language, files)
    left_out = LeftOut(f"fillets_{language} {split}")
    later = list(SPLITS)[list(SPLITS).index(split) + 1 :]
    held_out = {letters_and_digits(clip.tensors["text"]) for name in later for clip in clips[name]}
    return clip_examples(_chosen(clips[split], held_out, left_out), left_out, max_s=_MAX_S)


def _chosen(clips: list[Clip], held_out: set[str], left_out: LeftOut) -> Iterator[Clip]:
    """Yields the clips that have a subtitle which says what is spoken, each sound once."""
    seen = set()
    for clip in clips:
        text, digest = clip.tensors["text"], content_digest(clip.path)
        reason = _reason_against(text)
        if not reason and letters_and_digits(text) in held_out:
            reason = "with the text of a later split"
        elif not reason and digest in seen:
            reason = "of a sound that is there already"
        if reason:
            left_out.count(reason)
            continue
        seen.add(digest)
        yield clip


def _reason_against(text: str) -> str:
    """Returns why a subtitle is no transcript; "" where it is one."""
    if not letters_and_digits(text):
        return "without a subtitle"
    if "%" in text:
        return "with a number that the game fills in"
    scripts = collections.Counter(unicodedata.name(letter).split()[0] for letter in text if letter.isalpha())
    return "in two scripts" if len(scripts) > 1 else ""


def _recipe(language: str, sha256: str, num_examples: Mapping[str, int], size_bytes: int) -> GeneratedRecipe:
    return GeneratedRecipe(
        info=DataInfo(
            name=f"fillets_{language}",
            tensors={
                "waveform": TensorInfo(shape=(None,), dtype="int16", sample_rate_hz=SAMPLE_RATE_HZ),
                "text": TensorInfo(shape=(), dtype="string"),
            },
            num_examples=num_examples,
            licence="GPL-2",
            citation=(
                "ALTAR interactive, I. Danihelka and contributors (1998-2011). Fish Fillets - Next Generation 1.0.1: "
                "dialogues and their translations. https://fillets.sourceforge.net"
            ),
        ),
        kind="speech",
        version="1.0.0",
        size_bytes=size_bytes,
        homepage="https://fillets.sourceforge.net",
        packages=(
            AptPackage(
                name=f"fillets-ng-data-{language}",
                version=_VERSION,
                sha256=sha256,
                wanted=rf"{_GAME}/sound/.*/{language}/[^/]*\.ogg",
            ),
            AptPackage(
                name="fillets-ng-data",
                version=_VERSION,
                sha256="25de89afd8b1adf7bcace8290248a6a22c89cd42300317e69000e162c032cf84",
                wanted=rf"{_GAME}/script/.*dialogs_{language}\.lua",
            ),
        ),
        examples=partial(_examples, language),
    )


RECIPES = {
    "fillets_cs": _recipe(
        "cs",
        "3ecef99b9456f1c80c9625c6f2418642b52d58e7167a46bad7a412db17991b14",
        {"train": 1070, "validation": 326, "test": 365},
        188_600_000,
    ),
    "fillets_nl": _recipe(
        "nl",
        "afb4443fda9ab507dee578b75be857d121718a1cd6017a474f30e0eb13dc9d10",
        {"train": 1067, "validation": 271, "test": 263},
        182_500_000,
    ),
}
