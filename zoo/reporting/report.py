"""One self-contained HTML page of one or more runs."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import DataUnavailableError, RunDirectoryError
from zoo.reporting import plots
from zoo.tasks.base import Findings, Table
from zoo.training.run_directory import RunDirectory

if TYPE_CHECKING:
    import numpy as np

    from zoo.training.evaluation import Evaluation

__all__ = ["Picture", "Section", "run_section", "write_page"]

_FIGURE = re.compile(r"-|[\d.,]+( ?(%|ms|MB))?")  # what stands at the right of its column


@dataclasses.dataclass(frozen=True)
class Picture:
    """An SVG picture and what it shows."""

    title: str
    svg: str


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of a page: a text, a table, pictures, text that a reader unfolds, and more tables to unfold."""

    title: str
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[Any]] = ()
    pictures: Sequence[Picture] = ()
    details: Mapping[str, str] = dataclasses.field(default_factory=dict)
    tables: Sequence[Table] = ()
    text: str = ""


def run_section(run: RunDirectory, *, evaluation: Evaluation | None = None, examples: int = 40) -> Section:
    """Returns curves, figures, confusion matrix and example images of a run, from its test split.

    `evaluation` is that of the test split where it is known already.

    Where the data is not at hand, or the run has no model yet, the pictures that need it are left out and the section
    says so.
    """
    from zoo.training.evaluation import evaluate

    history = plots.read_history(run)
    pictures = [Picture("Training", plots.svg_of(plots.history_figure(history)))] if history else []
    details = {"Configuration": json.dumps(json.loads((run.path / "config.json").read_text()), indent=2)}
    tables: Sequence[Table] = ()
    try:
        evaluation = evaluation or evaluate(run, "test")
        tables = evaluation.findings.tables
        pictures += _pictures(run, evaluation.findings, examples)
    except (DataUnavailableError, RunDirectoryError) as error:
        details["Pictures left out"] = str(error)
    metrics = run.metrics()
    rows = [
        (f"{group}: {name.replace('_', ' ')}", f"{value:.4f}" if isinstance(value, float) else value)
        for group, figures in metrics.items()
        for name, value in figures.items()
        if isinstance(value, int | float | str)
    ]
    return Section(f"{run.path.name}: {run.experiment().name}", ["figure", "value"], rows, pictures, details, tables)


def write_page(path: Path, title: str, sections: Sequence[Section]) -> None:
    """Writes the page; it needs no other file and no network."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.tests["figure"] = lambda cell: bool(_FIGURE.fullmatch(str(cell)))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(environment.get_template("page.html.jinja").render(title=title, sections=sections))


def _pictures(run: RunDirectory, findings: Findings, examples: int) -> list[Picture]:
    """Returns the confusion of a classifier, and images with its answers."""
    pictures = []
    if findings.confusion is not None:
        shown = plots.confusion_figure(findings.confusion.counts, findings.confusion.names)
        pictures.append(Picture("Confusion on the test split", plots.svg_of(shown)))
    experiment, info = run.experiment(), run.info()
    label = experiment.task.labelled()
    if label is not None and "image" in info.tensors and examples:
        raw, answers = _first_answers(run, examples)
        if {"class_id", "probabilities"} <= set(answers):
            certainty = answers["probabilities"].max(axis=-1)
            names = info.names_of(label) or tuple(map(str, range(answers["probabilities"].shape[-1])))
            grid = plots.examples_figure(raw["image"], raw[label], answers["class_id"], certainty, names)
            pictures.append(Picture("Test images and their answers", plots.svg_of(grid)))
    return pictures


def _first_answers(run: RunDirectory, examples: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Returns the first raw examples of the test split, and what a caller would be told of them."""
    import numpy as np

    from zoo.data.pipeline import take_arrays
    from zoo.features.base import compose

    experiment, model = run.experiment(), run.load_model()
    raw = take_arrays(experiment.data, experiment.splits.test, examples)
    featured = compose(experiment.features)(dict(raw))
    outputs: Any = model({name: featured[name] for name in model.input}, training=False)
    answers = experiment.task.answers(outputs, run.info().names_of(experiment.task.labelled()))
    return raw, {name: np.asarray(answer) for name, answer in answers.items()}
