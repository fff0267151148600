"""A ladder climbed on the data of a run: each rung trained, judged on the validation split, told to people."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from zoo.compression.recipe_summary import about_bytes, weights_summary
from zoo.errors import CompressionError, TrainingError
from zoo.recipes.recipe import Flight, Ladder, Recipe, label
from zoo.training.budget import Budget
from zoo.training.climb import climb
from zoo.training.workshop import Candidate, Workshop

__all__ = ["climb_ladder", "say"]


def say(text: str) -> None:
    """Prints a line of progress for people."""
    print(text, file=sys.stderr, flush=True)


def climb_ladder(
    workshop: Workshop, ladder: Ladder, tell: Callable[[str], None] = say
) -> tuple[Candidate, dict[str, Any]]:
    """Returns the strongest candidate within the budget, and what stands of the search for it in a run's metrics.

    Args:
        workshop: of a run with a validation split.
        ladder: what to try.
        tell: is called with a line after each rung.

    Raises:
        CompressionError: nothing holds.
    """
    path = workshop.original.path.resolve()
    if workshop.no_original is not None:
        tell(
            f"{workshop.run.path} was compressed before, and is judged against itself, so that what it lost then comes "
            f"on top: the run before is not at hand. {workshop.no_original}"
        )
    budget = Budget.of(workshop.experiment.task, workshop.scores(workshop.dense), ladder.max_loss)
    tell(f"dense: {budget.figure} {budget.baseline:.4f} on {workshop.experiment.splits.validation}")
    if workshop.dense is not workshop.start:
        told = budget.told(workshop.scores(workshop.start)[budget.figure])
        tell(f"dense is {path}, before any compression; {workshop.run.path} begins with {told}")
    flights = ladder.set_flights()
    trial = _Trial(workshop, flights, budget, tell)
    best = climb(flights, workshop.start, trial.attempt)
    if best is workshop.start and ladder.fallback is not None:
        tell("no rung holds; what needs no training is tried")
        best = trial.attempt(ladder.fallback, workshop.start) or best
    if best is workshop.start:
        raise CompressionError(_nothing_held(budget, trial.rows))
    tell(f"kept: {label(best.transforms)}")
    kept = next(row for row in reversed(trial.rows) if row["transforms"] == label(best.transforms) and row["held"])
    about = {
        "figure": budget.figure,
        "split": workshop.experiment.splits.validation,
        "dense": budget.baseline,
        "judged_against": str(path),
        "max_loss": budget.max_loss,
        **{name: kept[name] for name in ("value", "loss", "about_bytes")},
        "rungs": trial.rows,
    }
    return best, about


class _Trial:
    """Tries rungs, and keeps a row of figures of each."""

    def __init__(self, workshop: Workshop, flights: Sequence[Flight], budget: Budget, tell: Callable[[str], None]):
        self._workshop, self._budget, self._tell = workshop, budget, tell
        self._ahead = [list(flight.rungs) for flight in flights]
        self._seconds = self._epochs = 0.0
        self.rows: list[dict[str, Any]] = []

    def attempt(self, recipe: Recipe, start: Candidate) -> Candidate | None:
        """Returns what a rung makes of a candidate, itself where that changes nothing, None where it does not hold."""
        started, row = time.monotonic(), {"transforms": label((*start.transforms, *recipe.transforms))}
        candidate = self._made(recipe, start, row)
        seconds = time.monotonic() - started
        self._seconds, self._epochs = self._seconds + seconds, self._epochs + self._num_epochs(recipe)
        row |= {"held": candidate is not None and candidate is not start, "seconds": round(seconds, 1)}
        self.rows.append(row)
        self._tell_row(row, recipe, ends=candidate is None)
        return candidate

    def _made(self, recipe: Recipe, start: Candidate, row: dict[str, Any]) -> Candidate | None:
        try:
            candidate = self._workshop.compressed(start, recipe)
        except (CompressionError, TrainingError) as error:
            row["refused"] = str(error)
            return None
        if candidate.is_like(start):
            row["refused"] = "It changes nothing."
            return start
        scores = self._workshop.scores(candidate)
        value = scores[self._budget.figure]
        transforms = (*self._workshop.experiment.transforms, *candidate.transforms)
        row |= {
            "value": value,
            "loss": self._budget.loss(value),
            "about_bytes": about_bytes(weights_summary(candidate.model, transforms)),
        }
        return candidate if self._budget.holds(value) else None

    def _tell_row(self, row: dict[str, Any], recipe: Recipe, *, ends: bool) -> None:
        if "refused" in row:
            figures = row["refused"]
        else:
            verdict = "holds" if row["held"] else "too much"
            figures = f"{self._budget.told(row['value'])}: {verdict}; about {row['about_bytes'] / 1e3:.1f} KB packed"
        left = self._epochs_ahead(recipe, ends=ends) * self._seconds / max(1.0, self._epochs)
        self._tell(
            f"rung {len(self.rows)}: {row['transforms']}: {figures}; {row['seconds']} s, about {left:.0f} s left"
        )

    def _epochs_ahead(self, recipe: Recipe, *, ends: bool) -> int:
        """Returns the epochs of all rungs not tried yet, less `recipe`, and with `ends` less the rest of its flight."""
        for rungs in self._ahead:
            place = next((index for index, rung in enumerate(rungs) if rung is recipe), None)
            if place is not None:
                del rungs[: None if ends else place + 1]
        return sum(self._num_epochs(rung) for rungs in self._ahead for rung in rungs)

    def _num_epochs(self, recipe: Recipe) -> int:
        return recipe.num_epochs(self._workshop.steps_per_epoch)


def _nothing_held(budget: Budget, rows: list[dict[str, Any]]) -> str:
    tried = "; ".join(
        f"{row['transforms']}: {row['refused'] if 'refused' in row else format(row['value'], '.4f')}" for row in rows
    )
    return (
        f"Nothing that was tried keeps {budget.figure} within {budget.max_loss:g} of the dense run's "
        f"{budget.baseline:.4f} on the validation split, and nothing was written. Tried: {tried}. Allow more by "
        "`--max-loss`, train longer by `--set epochs=N`, or take a milder recipe (`zoo list recipes`)."
    )
