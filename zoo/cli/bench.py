"""`zoo bench`: figures that the README states, measured anew."""

from __future__ import annotations

import dataclasses
import statistics
from pathlib import Path
from typing import Any

import click

from zoo.cli.output import note, print_json, print_table, quiet_tensorflow

__all__ = ["FAMILIES", "bench"]

# Family, to the configuration that stands for it.
FAMILIES = {
    "conv1d": "vowels_conv1d",
    "conv2d": "mnist_cnn",
    "conv_attention": "mnist_conv_attention",
    "mlp": "mnist_lenet300",
    "resnet": "fashion_resnet20",
    "rnn": "vowels_lstm",
    "speech_ctc": "speech_ctc_ro",
    "transformer": "vowels_transformer",
}


@click.group()
def bench() -> None:
    """Measure what we claim, beside the named alternative, in one run.

    Example: zoo bench train --json
    """


@bench.command("train")
@click.argument("configs", nargs=-1)
@click.option("--examples", default=12_800, show_default=True, help="Examples an epoch, at most.")
@click.option("--rounds", default=5, show_default=True, help="Turns of each side.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def train(configs: tuple[str, ...], examples: int, rounds: int, as_json: bool) -> None:
    """Time training of CONFIGS, by default one of each family, beside plain Keras scripts on numpy arrays.

    Example: zoo bench train mnist_cnn --rounds 5 --json
    """
    from zoo.config import find_config

    experiments = [find_config(config) for config in configs or FAMILIES.values()]
    with quiet_tensorflow():
        from zoo.training.benchmark import measure_training

    results = []
    for experiment in experiments:
        result = measure_training(experiment, examples=examples, rounds=rounds)
        spread = f"{result.ratio_min:.2f} to {result.ratio_max:.2f}"
        note(f"{result.config}: {result.ratio:.2f} times as fast as plain Keras ({spread})")
        results.append(dataclasses.asdict(result))
    mean = round(statistics.mean(result["ratio"] for result in results), 3)
    if as_json:
        print_json({"results": results, "mean_ratio": mean})
    else:
        print_table(list(results[0]), [list(result.values()) for result in results], title=f"mean ratio {mean}")


@bench.command("serve")
@click.argument("configs", nargs=-1)
@click.option("--calls", default=200, show_default=True, help="Calls of each side at each batch size.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def serve(configs: tuple[str, ...], calls: int, as_json: bool) -> None:
    """Time the exported signature of CONFIGS' models, by default one of each family, beside `keras.Model.export`.

    The weights are fresh ones, which takes no data. Example: zoo bench serve mnist_cnn --json
    """
    from zoo.config import find_config

    experiments = [find_config(config) for config in configs or FAMILIES.values()]
    with quiet_tensorflow():
        from zoo.exporting.benchmark import measure_signatures

    results = []
    for experiment in experiments:
        note(f"{experiment.name}: exported both ways, then called in turns")
        for latency in measure_signatures(experiment.model.build(), calls=calls):
            results.append({"config": experiment.name, **dataclasses.asdict(latency)})
    if as_json:
        print_json({"results": results})
    else:
        print_table(list(results[0]), [list(result.values()) for result in results])


@bench.command("artifact")
@click.argument("configs", nargs=-1)
@click.option("--seeds", default=3, show_default=True, help="Trainings of each model that has a target.")
@click.option(
    "--work",
    type=click.Path(path_type=Path),
    default=Path("runs/bench-artifact"),
    show_default=True,
    help="What stands there of the same settings is not done again.",
)
@click.option("--fresh", is_flag=True, help="Bytes and latency of fresh weights alone: no data, no training, minutes.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def artifact(configs: tuple[str, ...], seeds: int, work: Path, fresh: bool, as_json: bool) -> None:
    """Train, compress, export and measure CONFIGS, by default all with a target and one of each family; takes hours.

    Each is also packed as it was trained, and with weights of 8 bits. Cut off, it goes on where it was.

    Example: zoo bench artifact mnist_lenet300 --seeds 1 --json
    """
    from zoo.errors import InvalidValueError

    if seeds < 1:
        raise InvalidValueError("seeds", "at least 1", seeds)
    tables = _fresh(configs) if fresh else _artifacts(configs, seeds, work)
    documents = {name: [dataclasses.asdict(row) for row in rows] for name, rows in tables.items()}
    if as_json:
        print_json(documents)
        return
    for name, rows in documents.items():
        if rows:
            print_table(list(rows[0]), [list(row.values()) for row in rows], title=name)


def _artifacts(configs: tuple[str, ...], seeds: int, work: Path) -> dict[str, list[Any]]:
    from zoo.benchmarks.rows import summarised
    from zoo.benchmarks.targets import TARGETS
    from zoo.config import find_config

    chosen = [find_config(config) for config in configs or dict.fromkeys((*TARGETS, *FAMILIES.values()))]
    with quiet_tensorflow():
        from zoo.benchmarks.artifact import ArtifactBench

    bench = ArtifactBench(work, note)
    compressed = [
        bench.compressed(experiment, TARGETS[experiment.name], seed)
        for experiment in chosen
        if experiment.name in TARGETS
        for seed in range(seeds)
    ]
    untrained = [bench.untrained(experiment) for experiment in chosen]
    return {"summary": summarised(compressed, TARGETS), "compressed": compressed, "untrained": untrained}


def _fresh(configs: tuple[str, ...]) -> dict[str, list[Any]]:
    from zoo.config import find_config

    chosen = [find_config(config) for config in configs or FAMILIES.values()]
    with quiet_tensorflow():
        from zoo.benchmarks.fresh import measure_fresh

    rows = []
    for experiment in chosen:
        note(f"{experiment.name}: exported four ways, measured side by side")
        rows.append(measure_fresh(experiment))
    return {"fresh": rows}
