"""`serving bench`."""

from __future__ import annotations

import pathlib
from typing import Any

import click
from click.core import ParameterSource

from serving.cli.common import as_json_option, debug_option, print_json, signature_option, version_option
from serving.errors import ServingError, UsageError

__all__ = ["bench"]

_COMMON = ("as_json", "debug")
_LOOKED_AT = {
    "HOST:PORT": ("version", "signature", "clients", "batch_size", "seconds", "inputs", "allow_remote"),
    "ROOT": ("seconds", "rounds"),
    "--swaps": ("swaps", "clients", "processes"),
    "--minutes": ("minutes", "clients", "processes"),
}


@click.command()
@click.argument("address", metavar="HOST:PORT|ROOT")
@click.argument("name")
@version_option
@signature_option
@click.option(
    "--clients",
    type=click.IntRange(1, 256),
    multiple=True,
    default=(1, 8),
    help="Processes; repeat it. Not of ROOT alone.",
)
@click.option("--batch-size", type=click.IntRange(min=1), default=1, help="Rows in a request.")
@click.option("--seconds", type=click.FloatRange(0.1, 600), default=5.0, help="How long each number of clients runs.")
@click.option("--input", "inputs", multiple=True, help="NAME=FILE.npy to send; random arrays without.")
@click.option("--allow-remote", is_flag=True, help="Allow load on a server that is not on this machine.")
@click.option("--rounds", type=click.IntRange(min=1), default=3, help="Of ROOT: turns of each server.")
@click.option("--swaps", type=click.IntRange(min=1), help="Of ROOT: swap versions so often under load instead.")
@click.option("--minutes", type=click.FloatRange(min=0.1), help="Of ROOT: watch memory under load instead.")
@click.option("--processes", type=click.IntRange(min=1), default=1, help="Of the server, with --swaps and --minutes.")
@as_json_option
@debug_option
def bench(address: str, name: str, as_json: bool, debug: bool, **options: Any) -> None:
    """Measure requests per second and latency of model NAME on a running server; or compare servers on ROOT.

    A closed loop: each client is a process of its own that sends its next request on the last answer. Given a
    directory of models, it starts a naive server (grpcio and TensorFlow, as tutorials have it) and this one with each
    engine, in turns, and compares them; then what a client costs to start, and to decode an answer.

    Example: serving bench localhost:8500 digits --clients 1 --clients 8 --seconds 5

    Example: serving bench models digits --json
    """
    from serving.bench.report import run_bench

    root = pathlib.Path(address)
    _refuse_without_effect(_kind(root.is_dir(), options))
    if root.is_dir():
        _bench_root(root, name, as_json, **options)
        return
    for option in ("rounds", "swaps", "minutes", "processes"):
        options.pop(option)
    report = run_bench(address, name, **options)
    if as_json:
        print_json(report)
    else:
        _show_bench(name, report)
    for row in report["results"]:
        failed = sum(row["errors"].values())
        if failed > row["requests"]:
            raise ServingError(
                f"{failed} of {failed + row['requests']} requests of {row['clients']} client(s) failed: "
                f"{row['errors']}. `serving status {address} {name}` shows the state of the model."
            )


def _kind(of_root: bool, options: dict[str, Any]) -> str:
    if not of_root:
        return "HOST:PORT"
    return "--swaps" if options["swaps"] else "--minutes" if options["minutes"] else "ROOT"


def _refuse_without_effect(kind: str) -> None:
    """An option that was given and that this kind of measurement does not look at is a mistake."""
    context = click.get_current_context()
    for parameter in context.command.params:
        given = context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
        if isinstance(parameter, click.Option) and given and parameter.name not in (*_COMMON, *_LOOKED_AT[kind]):
            raise UsageError(f"`{parameter.opts[0]}` has no effect with {kind}. Leave it out; --help tells which have.")


def _bench_root(root: pathlib.Path, name: str, as_json: bool, **options: Any) -> None:
    from serving.bench import comparison, endurance

    clients, processes = max(options["clients"]), options["processes"]
    if options["swaps"] is not None:
        report = endurance.measure_swaps(root, name, swaps=options["swaps"], clients=clients, processes=processes)
    elif options["minutes"] is not None:
        report = endurance.measure_memory(root, name, minutes=options["minutes"], clients=clients, processes=processes)
    else:
        report = comparison.compare(root, name, seconds=options["seconds"], rounds=options["rounds"], with_clients=True)
        if not as_json:
            _show_comparison(report)
            return
    if as_json:
        print_json(report)
        return
    for key, value in report.items():
        click.echo(f"{key}: {value}")


def _show_comparison(report: dict[str, Any]) -> None:
    click.echo(f"{report['model']}, version {report['version']}, {report['rounds']} rounds of {report['seconds']:g} s")
    click.echo("batch  clients  server                     requests/s  by naive  p50 ms  errors")
    for cell in report["cells"]:
        for server, row in cell["servers"].items():
            click.echo(
                f"{cell['batch_size']:5d}  {cell['clients']:7d}  {server:25s}  {row['requests_per_s']:10.0f}  "
                f"{row['by_naive']:8.2f}  {row['p50_ms']:6.2f}  {row['errors']}"
            )
    for server, row in report["client_alone"].items():
        click.echo(f"serving.Client, batch 1, alone, {server}: p50 {row['p50_ms']:.2f} ms")
    client, decode = report["client"], report["decode"]
    click.echo(
        f"first answer of a fresh process: {client['client']['seconds']:.2f} s, {client['seconds_ratio']:.1f} times "
        f"sooner than the published stub; {client['client']['peak_bytes'] / 2**20:.0f} MB, "
        f"{client['memory_ratio']:.1f} times less"
    )
    for form, row in decode.items():
        click.echo(f"decode 32 answers of {form}: {row['decode_us']:.1f} us (tensorflow: {row['tensorflow_us']:.1f})")


def _show_bench(name: str, report: dict[str, Any]) -> None:
    click.echo(f"{name}, version {report['version']}, batch {report['batch_size']}, {report['seconds']} s each")
    click.echo("clients  requests/s  p50 ms  p90 ms  p99 ms  errors")
    for row in report["results"]:
        shown = [f"{row[key]:6.2f}" if row[key] is not None else "     -" for key in ("p50_ms", "p90_ms", "p99_ms")]
        errors = ", ".join(f"{code} {count}" for code, count in row["errors"].items()) or "0"
        click.echo(f"{row['clients']:7d}  {row['requests_per_s']:10.0f}  {'  '.join(shown)}  {errors}")
