"""The recipes of speech over small files of the same layout, and (slow) over the real packages."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import zoo.data
from zoo.data import Packaged
from zoo.data.packaged import RECIPES, recipe_of
from zoo.data.recipes import fillets, pocketsphinx, tuxpaint
from zoo.data.recipes.fillets import subtitles
from zoo.data.sound import SAMPLE_RATE_HZ, letters_and_digits


def write_sound(path: Path, seed: int | str, length_s: float = 0.5) -> None:
    """Writes noise that is the same for the same `seed`."""
    digest = hashlib.sha256(str(seed).encode()).digest()
    noise = np.random.default_rng(list(digest)).uniform(-0.5, 0.5, round(SAMPLE_RATE_HZ * length_s))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, noise, SAMPLE_RATE_HZ)


def examples_of(recipe, files):
    return {split: dict(recipe.examples(split, files)) for split in recipe.info.num_examples}


def everything(parts):
    return {key: example for part in parts.values() for key, example in part.items()}


def write_stamp(files: Path, name: str, texts: dict[str, str], sounds: dict[str, str]) -> None:
    stamp = files / tuxpaint._STAMPS / name
    for language, seed in sounds.items():
        write_sound(stamp.with_name(f"{stamp.name}_desc_{language}.ogg"), seed, length_s=1.0)
    lines = [
        texts.get("en", f"English {name}"),
        *(f"{key}.utf8= {text} " for key, text in texts.items() if key != "en"),
    ]
    stamp.with_name(f"{stamp.name}.txt").write_text("\n".join(lines), encoding="utf-8")


@pytest.fixture
def stamps(tmp_path):
    """Sixty stamps of their own, and a few that break a rule each."""
    for number in range(60):
        texts = {"fr": f"Un animal {number}.", "ro": f"Un animal {number}."}
        write_stamp(tmp_path, f"animals/animal{number:02d}", texts, {"fr": f"fr{number}", "ro": f"ro{number}"})
    write_stamp(tmp_path, "twins/a", {"fr": "Une étoile."}, {"fr": "star"})  # composed and decomposed, case aside
    write_stamp(tmp_path, "twins/b", {"fr": "une e\u0301toile"}, {"fr": "another star"})
    write_stamp(tmp_path, "twins/c", {"fr": "Une étoile."}, {"fr": "star", "ro": "stea"})
    write_stamp(tmp_path, "twins/d", {}, {"ro": "stea"})
    write_stamp(tmp_path, "odd/untranslated", {"en": "Confetti.", "fr": "Confetti."}, {"fr": "confetti"})
    write_stamp(tmp_path, "odd/textless", {}, {"fr": "textless"})
    write_stamp(tmp_path, "odd/pawn_white", {"fr": "Un pion."}, {"fr": "pawn"})
    write_stamp(tmp_path, "odd/pawn_black", {"fr": "Un fou."}, {"fr": "pawn"})
    write_stamp(tmp_path, "odd/verbose", {"fr": "Bien plus de texte que l'on n'en dit en ce temps."}, {"fr": "verbose"})
    write_stamp(tmp_path, "odd/dutch", {"nl": "Een das."}, {"nl": "das"})
    write_sound(tmp_path / tuxpaint._STAMPS / "odd/effect.ogg", "effect")
    return tmp_path


def test_transcription_takes_what_is_spoken_and_written(stamps):
    parts = examples_of(tuxpaint.RECIPES["tuxpaint_fr"], stamps)
    made = everything(parts)
    assert {key for key in made if not key.startswith("animals/")} == {"twins/a_fr", "twins/b_fr"}
    assert sum(key.startswith("animals/") for key in made) == 60
    assert made["twins/b_fr"]["text"] == "une étoile"
    assert made["twins/a_fr"]["waveform"].dtype == np.int16
    assert made["twins/a_fr"]["waveform"].shape == (SAMPLE_RATE_HZ,)


def test_languages_take_every_sound_once(stamps):
    parts = examples_of(tuxpaint.RECIPES["tuxpaint_languages"], stamps)
    made = everything(parts)
    names = tuxpaint.RECIPES["tuxpaint_languages"].info.names_of("label")
    assert {names[example["label"]] for example in made.values()} == {"fr", "ro"}
    assert all(key.endswith(f"_{names[example['label']]}") for key, example in made.items())
    sounds = [example["waveform"].tobytes() for example in made.values()]
    assert len(sounds) == len(set(sounds)) == 60 + 60 + len({"star", "another star", "stea"}) + 4


def test_stamps_that_share_a_text_or_a_sound_in_any_language_are_in_one_split(stamps):
    languages = examples_of(tuxpaint.RECIPES["tuxpaint_languages"], stamps)
    french = examples_of(tuxpaint.RECIPES["tuxpaint_fr"], stamps)
    (split,) = [name for name, part in languages.items() if "twins/a_fr" in part]
    assert {"twins/b_fr", "twins/c_ro"} <= set(languages[split])
    assert {"twins/a_fr", "twins/b_fr"} <= set(french[split])
    for name, part in french.items():
        others = {letters_and_digits(e["text"]) for other in french if other != name for e in french[other].values()}
        assert not others & {letters_and_digits(example["text"]) for example in part.values()}
        assert set(part) <= set(languages[name])
    assert all(len(part) >= 3 for part in french.values())


LUA = r"""
-- dialogs of a level
dialogId("m-eye", "font_small", "An \"eye\".")
dialogStr("Je to \"oko\".")

dialogId("v-two", "font_big",
"Two
lines")
-- aside
dialogStr(
"Dva řádky.")

dialogId("silent", "font_big", "No translation")

dialogId("empty", "font_big", "Letters")
dialogStr("")
"""


def test_subtitles_are_read_from_lua():
    assert subtitles(LUA) == {"m-eye": 'Je to "oko".', "v-two": "Dva řádky.", "empty": ""}


def write_level(files: Path, level: str, lines: dict[str, str], script: str) -> None:
    game = files / fillets._GAME
    (game / "script" / script).parent.mkdir(parents=True, exist_ok=True)
    with (game / "script" / script).open("a", encoding="utf-8") as file:
        for name, text in lines.items():
            file.write(f'dialogId("{name}", "font_small", "English")\ndialogStr("{text}")\n\n')
            write_sound(game / "sound" / level / "cs" / f"{name}.ogg", f"{level} {name}")


def test_levels_are_held_out_and_no_line_is_in_two_splits(tmp_path):
    for number in range(40):
        lines = {"own": f"Místnost {number}.", "common": "Dobrý nápad!", "number": "A%1.", "mixed": "Смотри, ryba."}
        write_level(tmp_path, f"level{number}", lines, f"level{number}/dialogs_cs.lua")
    write_level(tmp_path, "share/jokes", {"joke": "Vtip."}, "share/bore_dialogs_cs.lua")
    write_sound(tmp_path / fillets._GAME / "sound/level0/cs/silent.ogg", "silent")
    parts = examples_of(fillets.RECIPES["fillets_cs"], tmp_path)
    made = everything(parts)
    assert made["share/jokes/joke"]["text"] == "Vtip."
    assert {key.split("/")[-1] for key in made} == {"own", "common", "joke"}
    assert sum(key.endswith("own") for key in made) == 40
    levels = {split: {key.rsplit("/", 1)[0] for key in part} for split, part in parts.items()}
    assert not levels["train"] & levels["test"]
    assert not levels["train"] & levels["validation"]
    assert not levels["validation"] & levels["test"]
    common = {split for split, part in parts.items() if any(key.endswith("common") for key in part)}
    assert common == {"test"}


def test_utterances_stand_with_their_transcripts(tmp_path):
    data = tmp_path / pocketsphinx._DATA
    for folder, name in pocketsphinx._TRANSCRIPTIONS.items():
        write_sound(data / folder / "001.wav", folder)
        (data / folder / name).write_text("<s> ten of  clubs  </s> (001)\n")
    parts = examples_of(pocketsphinx.RECIPES["pocketsphinx_speech"], tmp_path)
    assert {key: example["text"] for key, example in parts["test"].items()} == {
        "librivox/001": "ten of clubs",
        "cards/001": "ten of clubs",
    }


def test_prepared_sound_is_what_was_read(data_root, tmp_path, stamps, monkeypatch):
    """Through tfds and back: bytes, lengths, text."""
    original = tuxpaint.RECIPES["tuxpaint_fr"]
    expected = examples_of(original, stamps)
    info = dataclasses.replace(original.info, num_examples={split: len(part) for split, part in expected.items()})
    recipe = dataclasses.replace(
        original, info=info, packages=(), examples=lambda split, _: iter(expected[split].items())
    )
    monkeypatch.setitem(tuxpaint.RECIPES, "tuxpaint_fr", recipe)
    zoo.data.fetch("tuxpaint_fr")
    for split, part in expected.items():
        made = {example["text"]: example["waveform"] for example in part.values()}
        stored: list[Any] = list(Packaged(name="tuxpaint_fr").load(split).as_numpy_iterator())
        assert {example["text"].decode() for example in stored} == set(made)
        assert all(np.array_equal(example["waveform"], made[example["text"].decode()]) for example in stored)
        assert all(example["waveform"].dtype == np.int16 for example in stored)


@pytest.mark.slow
@pytest.mark.timeout(900)  # nine packages are fetched, decoded and resampled
@pytest.mark.parametrize("name", [name for name in RECIPES if recipe_of(name).kind == "speech"])
def test_the_real_packages(data_root, name):
    """Counts are asserted by the preparation; here: content."""
    zoo.data.fetch(name, print)
    seen: set[bytes] = set()
    for split, number in recipe_of(name).info.num_examples.items():
        waveforms = [example["waveform"] for example in Packaged(name=name).load(split).as_numpy_iterator()]
        assert len(waveforms) == number
        assert all(0.19 * SAMPLE_RATE_HZ <= len(waveform) <= 31 * SAMPLE_RATE_HZ for waveform in waveforms)
        assert np.median([np.abs(waveform).max() for waveform in waveforms]) > 2000
        sounds = {waveform.tobytes() for waveform in waveforms}
        assert len(sounds) == number
        assert not sounds & seen
        seen |= sounds
