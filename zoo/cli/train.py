"""`zoo train` and `zoo evaluate`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from zoo.cli.output import note, print_json, print_table, quiet_tensorflow

__all__ = ["evaluate", "print_run", "train"]

_SET = click.option("--set", "overrides", multiple=True, metavar="PATH=VALUE", help="Set a field: training.epochs=3.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


@click.command()
@click.argument("config")
@_SET
@click.option("--seed", type=int, help="Short for --set training.seed=N.")
@click.option("--run-dir", type=click.Path(path_type=Path), help="New directory; by default runs/NAME-N.")
@click.option("--resume", is_flag=True, help="Go on with a run that was cut off, after its last backup.")
@_JSON
def train(
    config: str,
    overrides: tuple[str, ...],
    seed: int | None,
    run_dir: Path | None,
    resume: bool,
    as_json: bool,
) -> None:
    """Train CONFIG, a name from `zoo list configs` or a path to a .py file.

    Example: zoo train mnist_cnn --set training.epochs=3 --run-dir runs/mnist
    """
    from zoo.config import apply_overrides, find_config
    from zoo.errors import UsageError

    if resume and run_dir is None:
        raise UsageError("`--resume` needs the `--run-dir` to go on with.")
    experiment = apply_overrides(find_config(config), overrides)
    if seed is not None:
        experiment = apply_overrides(experiment, [f"training.seed={seed}"])
    with quiet_tensorflow():
        from zoo.reporting.plots import plot_history
        from zoo.training.loop import train as train_experiment

    run = train_experiment(experiment, run_dir or _free_run_dir(experiment.name), resume=resume)
    plot_history(run)
    print_run(run.path, run.metrics(), as_json)


@click.command()
@click.argument("run_dir", type=click.Path(path_type=Path))
@click.option("--split", default="test", show_default=True, help="train, validation, test, or in tfds's notation.")
@_JSON
def evaluate(run_dir: Path, split: str, as_json: bool) -> None:
    """Evaluate the model of RUN_DIR on a split, and add the figures to its metrics.json.

    Example: zoo evaluate runs/mnist --split test
    """
    from zoo.training.run_directory import RunDirectory

    run = RunDirectory.open(run_dir)
    with quiet_tensorflow():
        from zoo.training.evaluation import evaluate as evaluate_run

    evaluation = evaluate_run(run, split)
    if as_json:
        print_json({"run": str(run.path), "split": split, **evaluation.scores})
    else:
        print_table(["figure", split], [(name, f"{value:.4f}") for name, value in evaluation.scores.items()])


def _free_run_dir(name: str) -> Path:
    number = 1
    while (path := Path("runs") / f"{name}-{number}").exists():
        number += 1
    return path


def print_run(path: Path, metrics: Mapping[str, Any], as_json: bool) -> None:
    """Shows the figures of a run that has just been made."""
    if as_json:
        print_json({"run": str(path), **metrics})
        return
    rows = [
        (f"{group} {name}", f"{value:.4f}" if isinstance(value, float) else value)
        for group, figures in metrics.items()
        for name, value in figures.items()
        if isinstance(value, int | float | str)
    ]
    print_table(["figure", "value"], rows, title=str(path))
    note(f"The run stands in {path}. Next: zoo evaluate {path}")
