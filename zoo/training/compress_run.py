"""Compression of a run: its model on its own data, into a new run."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from zoo.errors import InvalidValueError
from zoo.recipes.recipe import Flight, Ladder, Recipe
from zoo.training.held_out import check_validated, was_trained_on
from zoo.training.ladder_run import climb_ladder, say
from zoo.training.run_directory import RunDirectory
from zoo.training.workshop import Workshop

__all__ = ["compress_run"]


def compress_run(
    source: Path | str,
    recipe: Recipe | Ladder,
    run_dir: Path | str,
    *,
    recipe_name: str = "custom",
    seed: int | None = None,
    max_loss: float | None = None,
    validation: str | None = None,
) -> RunDirectory:
    """Compresses the model of a run on its own data, and leaves a new run directory.

    A ladder is climbed until its budget of accuracy would be exceeded on the validation split; what it tried and kept
    stands in the new run's metrics. Of a run that was compressed before, the budget counts from the run before any
    compression, where that is still there. A recipe is done as it is, or with `max_loss` written only where that holds.

    Args:
        source: the run.
        recipe: what is done.
        run_dir: new or empty.
        recipe_name: stands in the new run's metrics.
        seed: of the order of examples; by default that of the run.
        max_loss: in place of the ladder's own.
        validation: a split to judge by, in place of the experiment's own; training leaves its examples out.

    Raises:
        RunDirectoryError: `source` is no finished run, or `run_dir` is in use.
        UsageError: there is a budget and no validation split, `validation` is no part to hold out, or what the run went
            through already cannot be followed by the recipe.
        CompressionError: nothing that was tried is within the budget; nothing is written.
    """
    recipe = _with_budget(recipe, max_loss)
    RunDirectory.free(run_dir)
    if isinstance(recipe, Ladder) and validation is None:
        check_validated(RunDirectory.open(source).experiment())
    workshop = Workshop(source, seed=seed, validation=validation)
    for tried in recipe.recipes() if isinstance(recipe, Ladder) else (recipe,):
        workshop.check(tried)
    if validation is not None and was_trained_on(
        workshop.run.experiment(), validation, workshop.run.info().num_examples
    ):
        say(f"the dense run was trained on {validation}: its figure there is too good, and the budget strict")
    if isinstance(recipe, Ladder):
        candidate, about = climb_ladder(workshop, recipe)
    else:
        candidate, about = workshop.compressed(workshop.start, recipe), {}
    # Not before: a compression that was cut off leaves nothing.
    return workshop.write(candidate, run_dir, {"recipe": recipe_name, **about})


def _with_budget(recipe: Recipe | Ladder, max_loss: float | None) -> Recipe | Ladder:
    """Returns the ladder with the budget asked for; a recipe with a budget as a ladder of one rung."""
    if max_loss is None:
        return recipe
    if not max_loss >= 0:
        raise InvalidValueError("max_loss", "0 or more", max_loss)
    if isinstance(recipe, Ladder):
        return dataclasses.replace(recipe, max_loss=max_loss)
    return Ladder(flights=(Flight(rungs=(recipe,)),), max_loss=max_loss)
