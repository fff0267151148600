"""The commands that ask a running server."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

import click

from serving.cli.common import (
    as_json_option,
    debug_option,
    print_json,
    signature_option,
    timeout_option,
    version_option,
)

__all__ = ["COMMANDS", "metadata", "predict", "status"]


@click.command()
@click.argument("address", metavar="HOST:PORT")
@click.argument("name")
@click.option("--input", "inputs", multiple=True, required=True, help="NAME=FILE.npy or NAME=FILE.npz; repeat it.")
@version_option
@click.option("--label", help="A version's label, in place of --version.")
@signature_option
@click.option("--batch-size", type=click.IntRange(min=1), help="Rows in a request; all at once without.")
@click.option("--output", type=click.Path(path_type=pathlib.Path, dir_okay=False), help="Write the answers as .npz.")
@timeout_option
@as_json_option
@debug_option
def predict(address: str, name: str, output: pathlib.Path | None, as_json: bool, debug: bool, **options: Any) -> None:
    """Ask model NAME on the server at HOST:PORT.

    Example: serving predict localhost:8500 digits --input image=images.npy --batch-size 64 --output answers.npz
    """
    from serving.client import input_files

    with input_files.writable(output):
        version, outputs = _predict(address, name, **options)
        widened = [] if output is None else input_files.write_outputs(output, outputs)
    if widened:
        click.echo(f"serving: written as float32, for numpy has no bfloat16: {', '.join(widened)}", err=True)
    if as_json:
        described = {key: {"dtype": _dtype_name(array), "shape": list(array.shape)} for key, array in outputs.items()}
        if output is None:
            described = {
                key: {**entry, "values": input_files.to_json(outputs[key])} for key, entry in described.items()
            }
        print_json(
            {"model": name, "version": version, "outputs": described, "output": None if output is None else str(output)}
        )
        return
    click.echo(f"{name}, version {version}" + ("" if output is None else f", written to {output}"))
    for key, array in outputs.items():
        click.echo(f"{key}: {_dtype_name(array)} {list(array.shape)}\n{array}")


def _predict(
    address: str,
    name: str,
    *,
    inputs: tuple[str, ...],
    version: int | None,
    label: str | None,
    signature: str,
    batch_size: int | None,
    timeout_s: float,
) -> tuple[int, dict[str, Any]]:
    from serving.client import input_files
    from serving.client.client import Client

    arrays = input_files.read_inputs(inputs)
    with Client(address) as client:
        # All batches go to the version that is there now, also if a newer one arrives meanwhile.
        number = client.metadata(name, version=version, label=label, timeout_s=timeout_s).version
        answers = [
            client.predict(name, version=number, signature=signature, timeout_s=timeout_s, inputs=batch)
            for batch in input_files.batches(arrays, batch_size)
        ]
    return number, input_files.join(answers)


@click.command()
@click.argument("address", metavar="HOST:PORT")
@click.argument("name")
@version_option
@timeout_option
@as_json_option
@debug_option
def status(address: str, name: str, version: int | None, timeout_s: float, as_json: bool, debug: bool) -> None:
    """Show the state of each version of model NAME, and why a version failed.

    Example: serving status localhost:8500 digits
    """
    from serving.client.client import Client

    with Client(address) as client:
        states = client.status(name, version=version, timeout_s=timeout_s)
    if as_json:
        print_json({"model": name, "versions": [dataclasses.asdict(state) for state in states]})
        return
    for state in states:
        reason = f"  {state.error_code}: {state.error_message}" if state.error_message else ""
        click.echo(f"{name} {state.version}  {state.state}{reason}")


@click.command()
@click.argument("address", metavar="HOST:PORT")
@click.argument("name")
@version_option
@timeout_option
@as_json_option
@debug_option
def metadata(address: str, name: str, version: int | None, timeout_s: float, as_json: bool, debug: bool) -> None:
    """Show the signatures of model NAME: names, dtypes and shapes.

    Example: serving metadata localhost:8500 digits --json
    """
    from serving.client.client import Client

    with Client(address) as client:
        found = client.metadata(name, version=version, timeout_s=timeout_s)
    if as_json:
        signatures = {
            key: {"inputs": _described(signature.inputs), "outputs": _described(signature.outputs)}
            for key, signature in found.signatures.items()
        }
        print_json({"model": name, "version": found.version, "signatures": signatures})
        return
    click.echo(f"{name}, version {found.version}")
    for key, signature in found.signatures.items():
        for role, specs in (("takes", signature.inputs), ("gives", signature.outputs)):
            for spec in specs.values():
                click.echo(f"{key} {role} {spec.name}: {spec.dtype.name} {spec.shape_text()}")


def _described(specs: Any) -> dict[str, Any]:
    return {
        name: {"dtype": spec.dtype.name, "shape": None if spec.shape is None else list(spec.shape)}
        for name, spec in specs.items()
    }


def _dtype_name(array: Any) -> str:
    return "string" if array.dtype == object else array.dtype.name


COMMANDS = (predict, status, metadata)
