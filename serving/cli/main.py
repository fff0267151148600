"""The command `serving`."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import sys
import traceback
from typing import Any

import click
from click.core import ParameterSource

from serving import __version__
from serving.errors import ServingError, UsageError

__all__ = ["main", "serving"]

DEFAULT_TIMEOUT_S = 10.0

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on standard output.")
debug_option = click.option("--debug", is_flag=True, help="Show a traceback when something fails.")
version_option = click.option("--version", type=click.IntRange(min=0), help="The version; the newest without.")
signature_option = click.option("--signature", default="serving_default", show_default=True)
timeout_option = click.option(
    "--timeout", "timeout_s", type=click.FloatRange(min=0.001), default=DEFAULT_TIMEOUT_S, show_default=True,
    help="Seconds to wait for an answer.",
)  # fmt: skip


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(__version__)
@click.option("--debug", is_flag=True, help="Show a traceback when something fails.")
def serving(debug: bool) -> None:
    """A server with TensorFlow Serving's gRPC API, and a client for it.

    Example: serving serve models --port 8500
    """


@serving.command()
@click.argument("root", type=click.Path(path_type=pathlib.Path))
@click.option("--host", default="127.0.0.1", help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8500, help="Port to listen on; 0 takes a free one.")
@click.option(
    "--poll-seconds", type=click.FloatRange(min=0), default=2.0, help="Pause between looks at ROOT; 0: never."
)
@click.option("--grace", "grace_s", type=click.FloatRange(min=0), default=10.0, help="Seconds to finish on SIGTERM.")
@click.option("--workers", type=click.IntRange(min=1), default=4, help="Requests worked on at a time.")
@click.option("--intra-op", type=click.IntRange(min=0), default=1, help="TensorFlow threads in an operation; 0: all.")
@click.option(
    "--inter-op", type=click.IntRange(min=0), default=1, help="TensorFlow threads between operations; 0: all."
)
@click.option("--versions", type=click.Choice(["all", "latest"]), default="all", help="Without ROOT/models.config.")
@click.option(
    "--max-batch-size", type=click.IntRange(min=1), default=65_536, help="Most rows in a request; more are refused."
)
@click.option(
    "--max-message-bytes", type=click.IntRange(1, 2**31 - 1), default=256 << 20,
    help="Largest request, and largest array made of one.",
)  # fmt: skip
@as_json_option
@debug_option
def serve(
    root: pathlib.Path, grace_s: float, intra_op: int, inter_op: int, as_json: bool, debug: bool, **options: Any
) -> None:
    """Serve every model under ROOT, and follow its changes, until SIGTERM or Ctrl-C.

    ROOT holds <name>/<version>/ directories. If ROOT/models.config exists (TensorFlow Serving's format), its list,
    version policies and labels hold. With --json, a ready line {"event": "ready", "port": ..., ...} is printed.

    Example: serving serve models --port 8500
    """
    from serving import process
    from serving.options import ServerOptions

    given = click.get_current_context().get_parameter_source("versions")
    if given is ParameterSource.COMMANDLINE and (root / "models.config").is_file():
        click.echo(
            f"serving: warning: `--versions {options['versions']}` has no effect, for {root / 'models.config'} says "
            f"which versions to serve. Change its `model_version_policy`, or move the file away.",
            err=True,
        )
    settings = process.ProcessOptions(grace_s=grace_s, intra_op=intra_op, inter_op=inter_op, as_json=as_json)
    sys.exit(process.run(root, ServerOptions(**options), settings))


@serving.command()
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
        _print_json(
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


@serving.command()
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
        _print_json({"model": name, "versions": [dataclasses.asdict(state) for state in states]})
        return
    for state in states:
        reason = f"  {state.error_code}: {state.error_message}" if state.error_message else ""
        click.echo(f"{name} {state.version}  {state.state}{reason}")


@serving.command()
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
        _print_json({"model": name, "version": found.version, "signatures": signatures})
        return
    click.echo(f"{name}, version {found.version}")
    for key, signature in found.signatures.items():
        for role, specs in (("takes", signature.inputs), ("gives", signature.outputs)):
            for spec in specs.values():
                click.echo(f"{key} {role} {spec.name}: {spec.dtype.name} {spec.shape_text()}")


@serving.command()
@click.argument("address", metavar="HOST:PORT")
@click.argument("name")
@version_option
@signature_option
@click.option("--clients", type=click.IntRange(1, 256), multiple=True, default=(1, 8), help="Processes; repeat it.")
@click.option("--batch-size", type=click.IntRange(min=1), default=1, help="Rows in a request.")
@click.option("--seconds", type=click.FloatRange(0.1, 600), default=5.0, help="How long each number of clients runs.")
@click.option("--input", "inputs", multiple=True, help="NAME=FILE.npy to send; random arrays without.")
@click.option("--allow-remote", is_flag=True, help="Allow load on a server that is not on this machine.")
@as_json_option
@debug_option
def bench(address: str, name: str, as_json: bool, debug: bool, **options: Any) -> None:
    """Measure requests per second and latency of model NAME on a running server.

    A closed loop: each client is a process of its own that sends its next request on the last answer.

    Example: serving bench localhost:8500 digits --clients 1 --clients 8 --seconds 5
    """
    from serving.bench.report import run_bench

    report = run_bench(address, name, **options)
    if as_json:
        _print_json(report)
    else:
        _show_bench(name, report)
    for row in report["results"]:
        failed = sum(row["errors"].values())
        if failed > row["requests"]:
            raise ServingError(
                f"{failed} of {failed + row['requests']} requests of {row['clients']} client(s) failed: "
                f"{row['errors']}. `serving status {address} {name}` shows the state of the model."
            )


def _show_bench(name: str, report: dict[str, Any]) -> None:
    click.echo(f"{name}, version {report['version']}, batch {report['batch_size']}, {report['seconds']} s each")
    click.echo("clients  requests/s  p50 ms  p90 ms  p99 ms  errors")
    for row in report["results"]:
        shown = [f"{row[key]:6.2f}" if row[key] is not None else "     -" for key in ("p50_ms", "p90_ms", "p99_ms")]
        errors = ", ".join(f"{code} {count}" for code, count in row["errors"].items()) or "0"
        click.echo(f"{row['clients']:7d}  {row['requests_per_s']:10.0f}  {'  '.join(shown)}  {errors}")


def _described(specs: Any) -> dict[str, Any]:
    return {
        name: {"dtype": spec.dtype.name, "shape": None if spec.shape is None else list(spec.shape)}
        for name, spec in specs.items()
    }


def _dtype_name(array: Any) -> str:
    return "string" if array.dtype == object else array.dtype.name


def _print_json(document: Any) -> None:
    click.echo(json.dumps(document, allow_nan=False))


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line and exit: 0 done, 1 failed while working, 2 wrong use."""
    os.environ.setdefault(
        "TF_CPP_MIN_LOG_LEVEL", "3"
    )  # TensorFlow is silent about missing GPUs; its errors are logged by us
    arguments = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in arguments
    try:
        serving(arguments, prog_name="serving")
    except ServingError as error:
        _fail(str(error), debug)
        sys.exit(2 if isinstance(error, UsageError) else 1)
    except KeyboardInterrupt:
        _fail("interrupted", debug=False)
        sys.exit(1)
    except Exception as error:
        hint = "" if debug else " Run it again with `--debug` for the traceback."
        _fail(f"unexpected {type(error).__name__}: {error}.{hint}", debug)
        sys.exit(1)


def _fail(message: str, debug: bool) -> None:
    if debug:
        traceback.print_exc()
    print(f"serving: {message}", file=sys.stderr)
