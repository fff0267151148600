"""`zoo bench`: figures that the README states, measured anew."""

from __future__ import annotations

import dataclasses
import statistics

import click

from zoo.cli.output import note, print_json, print_table, quiet_tensorflow

__all__ = ["FAMILIES", "bench"]

# Family, to the configuration that stands for it.
FAMILIES = {
    "conv1d": "vowels_conv1d",
    "conv2d": "mnist_cnn",
    "conv_attention": "mnist_conv_attention",
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
