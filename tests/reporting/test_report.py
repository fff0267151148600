"""The page of a run: its test figures and pictures, and what it says where a run has none."""

import dataclasses
import re

import descriptors
import pytest

from zoo.data.synthetic import Synthetic
from zoo.reporting.report import run_section, write_page
from zoo.training.loop import train
from zoo.training.run_directory import RunDirectory

TINY = descriptors.MODELS["conv2d"]["dense"].experiment(epochs=2)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return train(TINY, tmp_path_factory.mktemp("runs") / "tiny")


def test_first_report_states_the_test_figures_beside_their_pictures(run):
    assert "test" not in run.metrics()
    section = run_section(run, examples=4)
    rows = {row[0]: row[1] for row in section.rows}
    assert rows["test: accuracy"] == f"{run.metrics()['test']['accuracy']:.4f}"
    assert [picture.title for picture in section.pictures] == [
        "Training",
        "Confusion on the test split",
        "Test images and their answers",
    ]
    assert all("<svg" in picture.svg for picture in section.pictures)


def test_unfinished_run_is_shown_without_pictures_of_answers(tmp_path):
    unfinished = RunDirectory.create(tmp_path / "unfinished", TINY)
    unfinished.write_info(TINY.data.info())
    section = run_section(unfinished)
    assert section.pictures == []
    assert "There is no model" in section.details["Pictures left out"]


def test_page_needs_no_other_file_and_escapes_what_it_is_told(run, tmp_path):
    section = dataclasses.replace(run_section(run, examples=2), title="<script>alert(1)</script>")
    write_page(tmp_path / "deep" / "report.html", "Tiny & co", [section])
    page = (tmp_path / "deep" / "report.html").read_text()
    assert "Tiny &amp; co" in page
    assert "<script>alert" not in page
    assert page.count("<svg") == 3
    assert not re.search(r"""(src|href)=["'](?!#)""", re.sub(r"<svg.*?</svg>", "", page, flags=re.DOTALL))
    assert Synthetic.__name__.lower() in page  # the configuration
