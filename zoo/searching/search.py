"""The search: points made one after the other, each a run and a packed version, then measured side by side."""

from __future__ import annotations

import dataclasses
import itertools
import math
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from zoo.config import Experiment
from zoo.errors import CompressionError, ExportError, InvalidValueError, RunDirectoryError, TrainingError
from zoo.exporting.export import export_run
from zoo.exporting.measure import Measured, bytes_of, measure
from zoo.recipes.recipe import label
from zoo.searching.dense import EXPORTER, examples_of, keras_export
from zoo.searching.front import Point, front
from zoo.searching.grid import DENSE, Grid, Setting, between, parent_of
from zoo.searching.plot import pareto_svg
from zoo.searching.record import Record
from zoo.training.budget import Budget, monitored
from zoo.training.held_out import check_validated
from zoo.training.ladder_run import say
from zoo.training.run_directory import RunDirectory
from zoo.training.workshop import Candidate, Workshop

__all__ = ["about", "search_run"]

_UNCHANGED = 1e-6  # one example of a million


def search_run(
    source: Path | str,
    folder: Path | str,
    grid: Grid,
    *,
    validation: str | None = None,
    max_points: int | None = None,
    budget_minutes: float | None = None,
    measuring: Callable[..., list[Measured]] | None = None,
) -> dict[str, Any]:
    """Traces what accuracy, bytes and latency the model of a run can have at once.

    Leaves `points/NAME`, a run each, `models/NAME`, its packed version, `search.json` and `pareto.svg`. The same call
    goes on with a search that was cut off; what stands is not made again.

    Args:
        source: the dense run.
        folder: new, empty, or of the same search.
        grid: what to try; then come points between neighbours of the front.
        validation: a split to judge by, in place of the experiment's own; training leaves its examples out.
        max_points: how many there are in the end at most, those that stand included.
        budget_minutes: of this call; no point is begun that would end later.
        measuring: measures version directories with examples side by side, in place of `zoo.exporting.measure`.

    Returns:
        What stands in `search.json`.

    Raises:
        RunDirectoryError: `source` is no finished run, or `folder` holds something else.
        UsageError: there is no validation split, or a value is out of range.
    """
    if max_points is not None and max_points < 1:
        raise InvalidValueError("points", "at least 1", max_points)
    if budget_minutes is not None and not budget_minutes > 0:
        raise InvalidValueError("budget_minutes", "above 0", budget_minutes)
    experiment = RunDirectory.open(source).experiment()
    if validation is None:
        check_validated(experiment)
    record = Record(Path(folder), about(experiment, source, grid, validation))
    search = _Search(Workshop(source, validation=validation), record, grid)
    search.make_references()
    search.make_points(max_points or sys.maxsize, 60 * (budget_minutes or math.inf))
    search.measure(measuring or measure)
    return record.document()


def about(experiment: Experiment, source: Path | str, grid: Grid, validation: str | None) -> dict[str, Any]:
    """Returns what a search is of: what must be the same for it to go on."""
    return {
        "source": str(Path(source).resolve()),
        "figure": monitored(experiment.task),
        "mode": experiment.task.MONITOR_MODE,
        "validation": validation or experiment.splits.validation,
        "grid": dataclasses.asdict(grid),
    }


class _Search:
    def __init__(self, workshop: Workshop, record: Record, grid: Grid):
        self._workshop, self._record, self._grid = workshop, record, grid
        for setting in grid.settings():
            workshop.check(grid.recipe(setting, DENSE))
        scores = workshop.scores(workshop.start)
        self._budget = Budget.of(workshop.experiment.task, scores, 0.0)

    def _path(self, kind: str, name: str) -> Path:
        return self._record.folder / kind / name

    def make_references(self) -> None:
        """Exports the dense model, packed and as Keras does it."""
        if self._record.references:
            self._check_unchanged(self._record.references[0].value)
            return
        dense, by_keras = self._path("models", "dense"), self._path("keras_export", "1")
        for left_over in (dense, by_keras):
            shutil.rmtree(left_over, ignore_errors=True)
        packed = export_run(self._workshop.run.path, dense.parent, name="dense", form="packed").path
        keras_export(self._workshop.run, self._workshop.start.model, by_keras)
        self._record.references = [
            Point(name=name, transforms=what, value=self._budget.baseline, loss=0.0, bytes=bytes_of(path))
            for name, what, path in (
                ("dense", "dense, packed", packed),
                ("keras_export", f"dense, {EXPORTER}", by_keras),
            )
        ]
        self._record.write()

    def _check_unchanged(self, value: float) -> None:
        if abs(value - self._budget.baseline) > _UNCHANGED:
            raise RunDirectoryError(
                f"{self._workshop.run.path} is another model than when {self._record.folder} was begun: its "
                f"{self._budget.figure} was {value:.6f} and is {self._budget.baseline:.6f}. Name another `--run-dir`."
            )

    def make_points(self, max_points: int, budget_s: float) -> None:
        """Makes points until there are enough, the time is over or nothing is left to try."""
        started = time.monotonic()
        while len(self._record.points) < max_points:
            setting = self._next()
            if setting is None:
                return
            if time.monotonic() - started + self._seconds_of(setting) > budget_s:
                say(f"no time is left for {setting.slug()}, about {self._seconds_of(setting):.0f} s")
                return
            self._make(setting)
            ahead = self._to_do()[: max_points - len(self._record.points)]
            left = max(0.0, min(sum(map(self._seconds_of, ahead)), budget_s - (time.monotonic() - started)))
            say(f"  {len(self._record.points)} points stand, {len(ahead)} of the grid to come; {left:.0f} s left")

    def _is_open(self, setting: Setting) -> bool:
        return setting not in self._record.settings() and setting.slug() not in self._record.refused

    def _to_do(self) -> list[Setting]:
        return [setting for setting in self._grid.settings() if self._is_open(setting)]

    def _next(self) -> Setting | None:
        """Returns the next point of the grid, then one between neighbours of the front, after what it goes on from."""
        in_grid = self._to_do()
        wanted = in_grid[0] if in_grid else self._refinement()
        while wanted is not None:
            parent = parent_of(wanted, self._record.settings())
            if parent in self._record.settings():
                return wanted
            if not self._is_open(parent):  # refused
                self._refuse(wanted, f"It goes on from {parent.slug()}, which could not be made.")
                return self._next()
            wanted = parent
        return None

    def _refinement(self) -> Setting | None:
        """Returns what lies between the two neighbours of the front that are farthest apart, if anything new does.

        It stays chosen until it is made or refused, though what it goes on from has moved the front meanwhile.
        """
        chosen = self._record.refinements
        if chosen and self._is_open(chosen[-1]):
            return chosen[-1]
        if len(chosen) >= self._grid.refinements:
            return None
        dense = [dataclasses.replace(self._record.references[0], setting=DENSE)]
        known = [dataclasses.replace(point, p50_ms_1=None) for point in (*self._record.points, *dense)]
        best = sorted(front(known, self._budget.mode), key=lambda point: point.bytes)
        pairs = sorted(itertools.pairwise(best), key=_apart, reverse=True)
        middles = [between(one.setting or DENSE, other.setting or DENSE) for one, other in pairs]
        found = next((middle for middle in middles if middle is not None and self._is_open(middle)), None)
        if found is not None:
            chosen.append(found)
        return found

    def _make(self, setting: Setting) -> None:
        """Makes a point: its run, its packed version, its line in the record; or notes why it cannot be made."""
        parent = parent_of(setting, self._record.settings())
        name = f"{len(self._record.points) + 1:03d}-{setting.slug()}"
        say(f"{name}, from {parent.slug()}")
        started = time.monotonic()
        self._clear(name)  # of a search that was cut off here
        try:
            point = self._made(name, setting, parent)
        except (CompressionError, TrainingError, ExportError) as error:
            self._clear(name)
            self._refuse(setting, str(error))
            return
        point = dataclasses.replace(point, seconds=round(time.monotonic() - started, 1))
        self._record.points.append(point)
        self._record.write()
        say(f"  {point.transforms}: {self._budget.figure} {point.value:.4f}, {point.bytes:,} bytes; {point.seconds} s")

    def _clear(self, name: str) -> None:
        for kind in ("points", "models"):
            shutil.rmtree(self._path(kind, name), ignore_errors=True)

    def _made(self, name: str, setting: Setting, parent: Setting) -> Point:
        workshop = self._workshop
        candidate = workshop.compressed(self._candidate(parent), self._grid.recipe(setting, parent))
        scores = workshop.scores(candidate)
        value = scores[self._budget.figure]
        told = {"recipe": "search", "parent": parent.slug(), "value": value, "loss": self._budget.loss(value)}
        run = workshop.write(candidate, self._path("points", name), told)
        published = export_run(run.path, self._record.folder / "models", name=name, form="packed")
        return Point(
            name=name,
            transforms=label(candidate.transforms),
            value=value,
            loss=self._budget.loss(value),
            bytes=bytes_of(published.path),
            setting=setting,
            parent=parent,
        )

    def _candidate(self, setting: Setting) -> Candidate:
        """Returns the model of a point that stands, as it was saved."""
        if setting == DENSE:
            return self._workshop.start
        run = RunDirectory.open(self._path("points", self._record.point(setting).name))
        transforms = run.experiment().transforms[len(self._workshop.experiment.transforms) :]
        return Candidate(model=self._workshop.load_model(run), transforms=transforms)

    def _refuse(self, setting: Setting, why: str) -> None:
        say(f"  {setting.slug()} cannot be made: {why}")
        self._record.refused[setting.slug()] = why
        self._record.write()

    def _seconds_of(self, setting: Setting) -> float:
        """Returns about how long a point takes, from those that stand: so much for each, so much for an epoch."""
        if not self._record.points:
            return 0.0
        epochs = [self._epochs_of(point.setting) for point in self._record.points if point.setting]
        seconds = [point.seconds for point in self._record.points]
        untrained = [took for took, count in zip(seconds, epochs, strict=True) if not count]
        base = min(untrained or [0.0])
        per_epoch = max(0.0, sum(seconds) - base * len(seconds)) / max(1, sum(epochs))
        return base + per_epoch * self._epochs_of(setting)

    def _epochs_of(self, setting: Setting) -> int:
        return self._grid.recipe(setting, DENSE).num_epochs(self._workshop.steps_per_epoch)

    def measure(self, measuring: Callable[..., list[Measured]]) -> None:
        """Measures all models in turns, tells which are on the front, and draws them."""
        record = self._record
        known = [*record.references, *record.points]
        say(f"{len(known)} models are measured side by side")
        paths = [
            self._path("keras_export" if one.name == "keras_export" else f"models/{one.name}", "1") for one in known
        ]
        workshop = self._workshop  # its validation split: test data must not choose, and latency does
        examples = examples_of(workshop.run, workshop.start.model, workshop.experiment.splits.validation or "")
        costs = measuring(paths, examples=examples)
        timed = [dataclasses.replace(one, p50_ms_1=cost.p50_ms_1) for one, cost in zip(known, costs, strict=True)]
        best = front(timed, self._budget.mode)
        told = [dataclasses.replace(point, on_front=point in best) for point in timed]
        count = len(record.references)
        record.references, record.points = told[:count], told[count:]
        record.write()
        title = f"{workshop.experiment.name}: {len(record.points)} compressed models"
        svg = pareto_svg(
            record.points, record.references, figure=self._budget.figure, mode=self._budget.mode, title=title
        )
        (record.folder / "pareto.svg").write_text(svg)


def _apart(pair: tuple[Point, Point]) -> float:
    """Returns how far two neighbours of the front are apart, in bytes and in what they lose."""
    one, other = pair
    return math.log(other.bytes / one.bytes) * (abs(other.value - one.value) + 1e-4)
