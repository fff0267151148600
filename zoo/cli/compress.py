"""`zoo compress`: a recipe within its budget of accuracy, or a search for what accuracy, bytes and latency allow."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from zoo.cli.output import note, print_json, print_table, quiet_tensorflow
from zoo.cli.train import print_run

__all__ = ["compress"]


@click.command()
@click.argument("run_dir", type=click.Path(path_type=Path))
@click.option("--recipe", help="A name from `zoo list recipes`.")
@click.option("--search", is_flag=True, help="Trace the Pareto front of accuracy, bytes and latency instead.")
@click.option("--run-dir", "out", type=click.Path(path_type=Path), required=True, help="New directory for the result.")
@click.option(
    "--max-loss", type=float, help="What validation may lose, absolute; 0.002 for small, tiny, fast and edge."
)
@click.option("--validation", metavar="SPLIT", help="Judge by this split, train without it: 'train[90%:]'.")
@click.option("--set", "overrides", multiple=True, metavar="PATH=VALUE", help="Set a field: epochs=5, max_loss=0.01.")
@click.option("--points", type=int, help="With --search: how many to compute at most, those that stand included.")
@click.option("--budget-minutes", type=float, help="With --search: begin no point that would end later.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def compress(  # noqa: PLR0913  (one for each option)
    run_dir: Path,
    recipe: str | None,
    search: bool,
    out: Path,
    max_loss: float | None,
    validation: str | None,
    overrides: tuple[str, ...],
    points: int | None,
    budget_minutes: float | None,
    as_json: bool,
) -> None:
    """Compress the model of RUN_DIR on its own data, into a new run, or with --search into a directory of runs.

    Example: zoo compress runs/mnist --recipe tiny --max-loss 0.001 --run-dir runs/mnist-tiny
    """
    from zoo.errors import UsageError
    from zoo.training.run_directory import RunDirectory

    if search == (recipe is not None):
        raise UsageError("Give either `--recipe NAME` (see `zoo list recipes`) or `--search`.")
    if search and max_loss is not None:
        raise UsageError("`--max-loss` belongs to a recipe; a search keeps every point and shows what each loses.")
    if recipe and (points is not None or budget_minutes is not None):
        raise UsageError("`--points` and `--budget-minutes` belong to `--search`.")
    RunDirectory.open(run_dir)
    if recipe:
        _by_recipe(run_dir, recipe, out, overrides, max_loss, validation, as_json)
    else:
        _by_search(run_dir, out, overrides, validation, points, budget_minutes, as_json)


def _by_recipe(
    run_dir: Path,
    name: str,
    out: Path,
    overrides: tuple[str, ...],
    max_loss: float | None,
    validation: str | None,
    as_json: bool,
) -> None:
    from zoo import registry
    from zoo.config import apply_overrides

    recipe = apply_overrides(registry.lookup(registry.RECIPES, "recipe", name)(), overrides)
    with quiet_tensorflow():
        from zoo.training.compress_run import compress_run

    run = compress_run(run_dir, recipe, out, recipe_name=name, max_loss=max_loss, validation=validation)
    metrics = run.metrics()
    if not as_json:
        _print_layers(metrics["compression"]["weights"])
    print_run(run.path, metrics, as_json)


def _by_search(
    run_dir: Path,
    out: Path,
    overrides: tuple[str, ...],
    validation: str | None,
    points: int | None,
    budget_minutes: float | None,
    as_json: bool,
) -> None:
    from zoo.config import apply_overrides
    from zoo.searching.grid import Grid

    grid = apply_overrides(Grid(), overrides)
    with quiet_tensorflow():
        from zoo.searching.search import search_run

    document = search_run(run_dir, out, grid, validation=validation, max_points=points, budget_minutes=budget_minutes)
    if as_json:
        print_json(document)
        return
    figure = document["figure"]
    columns = ["point", "what it is", figure, "bytes", "p50, 1 row", "on the front"]
    rows = [
        (
            point["name"],
            point["transforms"],
            f"{point['value']:.4f}",
            f"{point['bytes']:,}",
            f"{point['p50_ms_1']:.3f} ms",
            "yes" if point.get("on_front") else "",
        )
        for point in (*document["references"], *document["points"])
    ]
    print_table(columns, rows, title=str(out))
    point = out / "points" / "POINT"
    note(f"The plot: {out / 'pareto.svg'}. Next: zoo export {point} --name NAME --form packed --to models")


def _print_layers(weights: Mapping[str, Mapping[str, Any]]) -> None:
    """Shows what became of each weight tensor with two or more axes."""
    rows = [
        (
            path,
            " x ".join(map(str, weight["shape"])),
            f"{weight['sparsity']:.1%}",
            weight["distinct_values"],
            weight["bits"],
            f"{weight['about_bytes']:,}",
        )
        for path, weight in weights.items()
        if len(weight["shape"]) > 1
    ]
    print_table(["weight", "shape", "zeros", "values", "bits", "about bytes, packed"], rows)
