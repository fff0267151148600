"""`serving predict`."""

from __future__ import annotations

import dataclasses
import itertools
import pathlib
from collections.abc import Mapping, Sequence
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

__all__ = ["predict"]

_file = click.Path(path_type=pathlib.Path, dir_okay=False)


class _PredictCommand(click.Command):
    """Tells who writes `--json FILE` which option reads a file."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        for option, value in itertools.pairwise(args):
            if option == "--json" and value.endswith(".json"):
                raise click.UsageError(
                    f"`--json` takes no file: it prints the answer as JSON. To send one: --from-json {value}", ctx
                )
        return super().parse_args(ctx, args)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Given:
    """What is to be sent, read from its files before a server is asked."""

    arrays: dict[str, Any]
    images: list[Any]
    texts: Sequence[str]
    sounds: list[Any]
    body: Any
    sample_rate: int | None

    def inputs(self, signature: Any) -> dict[str, Any]:
        """All inputs by name, as `signature` takes them; what the user should know goes to standard error."""
        from serving.client import json_files, media_files

        parts, notes = [self.arrays], []
        for fit, media in (
            (media_files.image_inputs, self.images),
            (media_files.text_inputs, self.texts),
            (_audio_fit(self.sample_rate), self.sounds),
        ):
            if media:
                inputs, told = fit(signature, media)
                parts.append(inputs)
                notes.extend(told)
        if self.body is not None:
            parts.append(json_files.body_inputs(self.body, signature))
        for note in notes:
            click.echo(f"serving: note: {note}", err=True)
        return media_files.merged(parts)


def _audio_fit(rate_hz: int | None) -> Any:
    from serving.client import media_files

    return lambda signature, sounds: media_files.audio_inputs(signature, sounds, rate_hz=rate_hz)


@click.command(cls=_PredictCommand)
@asks_a_server
@name_argument
@click.option("--input", "inputs", multiple=True, help="NAME=FILE.npy or NAME=FILE.npz; repeat it.")
@click.option("--image", "images", multiple=True, type=_file, help="Picture for the input that takes one; repeat it.")
@click.option("--text", "texts", multiple=True, help="Text for the input that takes one; repeat it.")
@click.option("--audio", "audio", multiple=True, type=_file, help="Sound for the input that takes one; repeat it.")
@click.option("--sample-rate", type=click.IntRange(min=1), help="The model's, in Hz: --audio is resampled to it.")
@click.option("--from-json", type=_file, help="Body of a REST request: instances or inputs.")
@version_option
@label_option
@signature_option
@click.option("--batch-size", type=click.IntRange(min=1), help="Rows in a request; all at once without.")
@click.option("--output", type=_file, help="Write the answers as .npz.")
@timeout_option
@as_json_option
@debug_option
def predict(
    server: ServerAddress, name: str, output: pathlib.Path | None, as_json: bool, debug: bool, **options: Any
) -> None:
    """Ask model NAME on the server at HOST:PORT.

    Example: serving predict localhost:8500 digits --image seven.png

    Example: serving predict localhost:8500 digits --input image=images.npy --batch-size 64 --output answers.npz
    """
    from serving.client import input_files, tables

    given = _read(options)
    with input_files.writable(output):
        version, outputs = _predict(server, name, given, **options)
        widened = [] if output is None else input_files.write_outputs(output, outputs)
    if widened:
        click.echo(f"serving: written as float32, for numpy has no bfloat16: {', '.join(widened)}", err=True)
    if as_json:
        document = {"model": name, "version": version, "outputs": _outputs(outputs, with_values=output is None)}
        print_json({**document, "output": None if output is None else str(output)})
        return
    click.echo(f"{name}, version {version}" + ("" if output is None else f", written to {output}"))
    for line in tables.answer_lines(outputs):
        click.echo(line)


def _read(options: dict[str, Any]) -> _Given:
    """The files of the options that name inputs, which are taken out of `options`."""
    from serving.client import input_files, json_files, media_files

    kinds = ("inputs", "images", "texts", "audio", "from_json")
    inputs, images, texts, audio, from_json = (options.pop(kind) for kind in kinds)
    if not (inputs or images or texts or audio or from_json):
        raise click.UsageError("Missing option '--input', '--image', '--text', '--audio' or '--from-json'.")
    return _Given(
        arrays=input_files.read_inputs(inputs),
        images=media_files.read_images(images) if images else [],
        texts=texts,
        sounds=media_files.read_sounds(audio) if audio else [],
        body=json_files.read_body(from_json) if from_json else None,
        sample_rate=options.pop("sample_rate"),
    )


def _predict(
    server: ServerAddress,
    name: str,
    given: _Given,
    *,
    version: int | None,
    label: str | None,
    signature: str,
    batch_size: int | None,
    timeout_s: float,
) -> tuple[int, dict[str, Any]]:
    from serving.client import input_files
    from serving.protocol.signature import Signature

    chosen = (given.body.signature if given.body else None) or signature
    with server.connect() as client:
        # All batches go to the version that is there now, also if a newer one arrives meanwhile.
        found = client.metadata(name, version=version, label=label, timeout_s=timeout_s)
        unknown = Signature(key=chosen, inputs={}, outputs={})  # the server says it in its own words
        inputs = given.inputs(found.signatures.get(chosen, unknown))
        options: dict[str, Any] = {"version": found.version, "signature": chosen, "timeout_s": timeout_s}
        answers = list(client.predict_many(name, inputs, batch_size=batch_size, **options))
    return found.version, input_files.join(answers)


def _outputs(outputs: Mapping[str, Any], *, with_values: bool) -> dict[str, Any]:
    from serving.client import input_files, tables

    return {
        key: {"dtype": tables.dtype_name(array), "shape": list(array.shape)}
        | ({"values": input_files.to_json(array)} if with_values else {})
        for key, array in outputs.items()
    }
