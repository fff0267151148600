"""Preparation says what goes on, and refuses what its recipe does not state."""

from __future__ import annotations

import dataclasses
import logging
import sys

import pytest

import zoo.data.recipe
from zoo.data import DataInfo, TensorInfo
from zoo.data.grouping import LeftOut
from zoo.data.recipe import GeneratedRecipe
from zoo.errors import DataError


def examples(split, files):
    for number in range(5):
        print(f"making {split} {number}", file=sys.stderr)
        logging.getLogger(__name__).warning("about %d", number)
        yield str(number), {"label": number}


def recipe(num_examples, arrange=None) -> GeneratedRecipe:
    info = DataInfo(
        name="tiny",
        tensors={"label": TensorInfo(shape=(), dtype="int64")},
        num_examples=num_examples,
        licence="none",
        citation="none",
    )
    return GeneratedRecipe(
        info=info, kind="numbers", version="1.0.0", size_bytes=1, homepage="", examples=examples, arrange=arrange
    )


def test_progress_and_the_log_are_seen_while_tfds_is_silenced(tmp_path, monkeypatch, capsys, caplog):
    monkeypatch.setattr(zoo.data.recipe, "_PROGRESS_EVERY_S", -1.0)
    said = []
    recipe({"train": 5}).prepare(tmp_path / "out", tmp_path, tmp_path, said.append)
    assert said == [f"preparing tiny train: {count} of 5" for count in range(1, 6)]
    assert [line for line in capsys.readouterr().err.splitlines() if line] == [f"making train {n}" for n in range(5)]
    assert [record.getMessage() for record in caplog.records if record.name == __name__][-1] == "about 4"


def test_other_numbers_of_examples_are_an_error(tmp_path):
    with pytest.raises(DataError, match=r"expected {'train': 5, 'test': 4}, received {'train': 5, 'test': 5}"):
        recipe({"train": 5, "test": 4}).prepare(tmp_path / "out", tmp_path, tmp_path, print)


def test_files_that_cannot_be_read_may_be_missing_and_nothing_else(tmp_path, caplog):
    def examples(split, files):
        left_out = LeftOut(f"tiny {split}")
        for number in range(200):
            if number == 7:
                left_out.unreadable("seven.ogg", ValueError("no ogg"))
            else:
                yield str(number), {"label": number}
        left_out.close(199)

    whole = dataclasses.replace(recipe({"train": 200}), examples=examples)
    whole.prepare(tmp_path / "out", tmp_path, tmp_path, print)
    assert "seven.ogg was skipped" in caplog.text
    assert "tiny train: 199 examples; left out: 1 unreadable" in caplog.text
    fewer = dataclasses.replace(recipe({"train": 201}), examples=examples)
    with pytest.raises(DataError, match="with 1 files that cannot be read"):
        fewer.prepare(tmp_path / "less", tmp_path, tmp_path, print)


def test_what_splits_share_is_done_once(tmp_path):
    def arrange(files, progress):
        with (files / "arranged").open("a") as file:
            file.write("once ")
        progress("arranging")

    said = []
    recipe({"train": 5, "test": 5}, arrange).prepare(tmp_path / "out", tmp_path, tmp_path, said.append)
    assert (tmp_path / "arranged").read_text() == "once "
    assert said[0] == "arranging"
