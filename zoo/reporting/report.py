"""One self-contained HTML page of one or more runs."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import DataUnavailableError, RunDirectoryError
from zoo.reporting import plots
from zoo.training.run_directory import RunDirectory

if TYPE_CHECKING:
    from zoo.training.evaluation import Evaluation

__all__ = ["Picture", "Section", "run_section", "write_page"]


@dataclasses.dataclass(frozen=True)
class Picture:
    """An SVG picture and what it shows."""

    title: str
    svg: str


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of a page: a table, pictures, and text that a reader unfolds."""

    title: str
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[Any]] = ()
    pictures: Sequence[Picture] = ()
    details: Mapping[str, str] = dataclasses.field(default_factory=dict)


def run_section(run: RunDirectory, *, evaluation: Evaluation | None = None, examples: int = 40) -> Section:
    """Returns curves, figures, confusion matrix and example images of a run, from its test split.

    `evaluation` is that of the test split where it is known already.

    Where the data is not at hand, or the run has no model yet, the pictures that need it are left out and the section
    says so.
    """
    history = plots.read_history(run)
    pictures = [Picture("Training", plots.svg_of(plots.history_figure(history)))] if history else []
    details = {"Configuration": json.dumps(json.loads((run.path / "config.json").read_text()), indent=2)}
    try:
        pictures += _answers(run, evaluation, examples)
    except (DataUnavailableError, RunDirectoryError) as error:
        details["Pictures left out"] = str(error)
    metrics = run.metrics()
    rows = [
        (f"{group}: {name.replace('_', ' ')}", f"{value:.4f}" if isinstance(value, float) else value)
        for group, figures in metrics.items()
        for name, value in figures.items()
        if isinstance(value, int | float | str)
    ]
    return Section(run.experiment().name, ["figure", "value"], rows, pictures, details)


def write_page(path: Path, title: str, sections: Sequence[Section]) -> None:
    """Writes the page; it needs no other file and no network."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(environment.get_template("page.html.jinja").render(title=title, sections=sections))


def _answers(run: RunDirectory, evaluation: Evaluation | None, examples: int) -> list[Picture]:
    """Returns the pictures of a classifier's answers on the test split."""
    import numpy as np

    from zoo.data.pipeline import take_arrays
    from zoo.tasks.classification import Classification
    from zoo.training.evaluation import evaluate

    experiment, info = run.experiment(), run.info()
    if not isinstance(experiment.task, Classification):
        return []
    evaluation = evaluation or evaluate(run, "test")
    labels, logits = evaluation.targets[experiment.task.output], evaluation.outputs[experiment.task.output]
    predicted = logits.argmax(axis=-1)
    names = info.label_names or tuple(map(str, range(logits.shape[-1])))
    pictures = [Picture("Confusion on the test split", plots.svg_of(plots.confusion_figure(labels, predicted, names)))]
    raw = take_arrays(experiment.data, experiment.splits.test, examples)
    if "image" in raw:
        shown = slice(len(raw["image"]))
        odds = np.exp(logits[shown] - logits[shown].max(axis=-1, keepdims=True))
        certainty = odds.max(axis=-1) / odds.sum(axis=-1)
        grid = plots.examples_figure(raw["image"], labels[shown], predicted[shown], certainty, names)
        pictures.append(Picture("Test images and their answers", plots.svg_of(grid)))
    return pictures
