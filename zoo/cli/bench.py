"""`zoo bench`: figures that the README states, measured anew."""

from __future__ import annotations

import dataclasses

import click

from zoo.cli.output import print_json, print_table, quiet_tensorflow

__all__ = ["bench"]


@click.group()
def bench() -> None:
    """Measure what we claim, beside the named alternative, in one run.

    Example: zoo bench train --json
    """


@bench.command("train")
@click.argument("config", default="mnist_cnn")
@click.option("--examples", default=12_800, show_default=True, help="Examples an epoch.")
@click.option("--rounds", default=5, show_default=True, help="Epochs of each side, in turns.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def train(config: str, examples: int, rounds: int, as_json: bool) -> None:
    """Time training of CONFIG beside a plain Keras script of the same model on numpy arrays.

    Example: zoo bench train mnist_cnn --rounds 5 --json
    """
    from zoo.config import find_config

    experiment = find_config(config)
    with quiet_tensorflow():
        from zoo.training.benchmark import measure_training

    result = dataclasses.asdict(measure_training(experiment, examples=examples, rounds=rounds))
    if as_json:
        print_json(result)
    else:
        print_table(["figure", "value"], list(result.items()))
