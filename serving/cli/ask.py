"""The commands that ask a running server; `predict` has a file of its own."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import click

from serving.cli.common import (
    ServerAddress,
    as_json_option,
    asks_a_server,
    debug_option,
    label_option,
    name_argument,
    print_json,
    signature_option,
    timeout_option,
    version_option,
)
from serving.cli.predict import predict
from serving.errors import UsageError

__all__ = ["COMMANDS", "classify", "metadata", "regress", "reload", "status"]

_file = click.Path(path_type=pathlib.Path, dir_okay=False)
example_option = click.option(
    "--example", "examples", multiple=True, required=True, help="""Features as JSON: '{"x": 1.5}'; repeat it."""
)
context_option = click.option("--context", help="Features that all examples share, as JSON.")


def _asks_by_example(command: Callable[..., Any]) -> Callable[..., Any]:
    """The arguments and options of a command whose model takes examples."""
    for decorate in (
        debug_option, as_json_option, timeout_option, signature_option, label_option, version_option,
        context_option, example_option, name_argument, asks_a_server,
    ):  # fmt: skip
        command = decorate(command)
    return command


@click.command()
@_asks_by_example
def classify(
    server: ServerAddress, name: str, examples: tuple[str, ...], context: str | None, as_json: bool, debug: bool,
    **options: Any,
) -> None:  # fmt: skip
    """Ask a classification signature of model NAME, which takes examples with features.

    Example: serving classify localhost:8500 flowers --example '{"petal_length": 1.4, "petal_width": 0.2}'
    """
    features, shared = _features(examples, context)
    with server.connect() as client:
        answers = client.classify(name, features, context=shared, **options)
    if as_json:
        rows = [[dataclasses.asdict(one) for one in classes] for classes in answers]
        print_json({"model": name, "classifications": rows})
        return
    click.echo("example  score   class")
    for index, classes in enumerate(answers):
        for one in sorted(classes, key=lambda one: -one.score):
            click.echo(f"{index:7d}  {one.score:6.4f}  {one.label}")


@click.command()
@_asks_by_example
def regress(
    server: ServerAddress, name: str, examples: tuple[str, ...], context: str | None, as_json: bool, debug: bool,
    **options: Any,
) -> None:  # fmt: skip
    """Ask a regression signature of model NAME, which takes examples with features.

    Example: serving regress localhost:8500 prices --example '{"rooms": 3}' --example '{"rooms": 5}'
    """
    from serving.client import input_files

    features, shared = _features(examples, context)
    with server.connect() as client:
        values = client.regress(name, features, context=shared, **options)
    if as_json:
        print_json({"model": name, "values": input_files.to_json(values)})
        return
    for index, value in enumerate(values.tolist()):
        click.echo(f"{index:7d}  {value:g}")


def _features(examples: Sequence[str], context: str | None) -> tuple[list[Any], Any]:
    read = [_json_object("--example", text) for text in examples]
    return read, None if context is None else _json_object("--context", context)


def _json_object(option: str, text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise UsageError(f"""`{option}` must be JSON like '{{"x": 1.5}}': {error}. Received: {text!r}.""") from error
    if not isinstance(value, dict):
        raise UsageError(f"""`{option}` must be an object like '{{"x": 1.5}}'. Received: {text!r}.""")
    return value


@click.command()
@asks_a_server
@name_argument
@version_option
@timeout_option
@as_json_option
@debug_option
def status(server: ServerAddress, name: str, version: int | None, timeout_s: float, as_json: bool, debug: bool) -> None:
    """Show the state of each version of model NAME, and why a version failed.

    Example: serving status localhost:8500 digits
    """
    with server.connect() as client:
        states = client.status(name, version=version, timeout_s=timeout_s)
    if as_json:
        print_json({"model": name, "versions": [dataclasses.asdict(state) for state in states]})
        return
    for state in states:
        reason = f"  {state.error_code}: {state.error_message}" if state.error_message else ""
        click.echo(f"{name} {state.version}  {state.state}{reason}")


@click.command()
@asks_a_server
@name_argument
@version_option
@timeout_option
@as_json_option
@debug_option
def metadata(
    server: ServerAddress, name: str, version: int | None, timeout_s: float, as_json: bool, debug: bool
) -> None:
    """Show the signatures of model NAME: names, dtypes and shapes.

    Example: serving metadata localhost:8500 digits --json
    """
    with server.connect() as client:
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


@click.command()
@asks_a_server
@click.option("--config", required=True, type=_file, help="File in the form of models.config.")
@click.option(
    "--timeout", "timeout_s", type=click.FloatRange(min=0.001), default=60.0, show_default=True,
    help="Seconds to wait until everything is loaded.",
)  # fmt: skip
@as_json_option
@debug_option
def reload(server: ServerAddress, config: pathlib.Path, timeout_s: float, as_json: bool, debug: bool) -> None:
    """Tell the server what to serve from now on; models that the file does not name are unloaded.

    Example: serving reload localhost:8500 --config models.config
    """
    from serving.client.model_config import server_config

    try:
        text = config.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"`--config {config}` cannot be read: {error}.") from error
    names = [model.name for model in server_config(text).model_config_list.config]
    with server.connect() as client:
        client.reload(text, timeout_s=timeout_s)
    if as_json:
        print_json({"config": str(config), "models": names})
        return
    click.echo(f"reloaded: {', '.join(names) or 'no models'}")


COMMANDS = (predict, classify, regress, status, metadata, reload)
