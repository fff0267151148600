"""`serving bench`."""

from __future__ import annotations

from typing import Any

import click

from serving.cli.common import as_json_option, debug_option, print_json, signature_option, version_option
from serving.errors import ServingError

__all__ = ["bench"]


@click.command()
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


def _show_bench(name: str, report: dict[str, Any]) -> None:
    click.echo(f"{name}, version {report['version']}, batch {report['batch_size']}, {report['seconds']} s each")
    click.echo("clients  requests/s  p50 ms  p90 ms  p99 ms  errors")
    for row in report["results"]:
        shown = [f"{row[key]:6.2f}" if row[key] is not None else "     -" for key in ("p50_ms", "p90_ms", "p99_ms")]
        errors = ", ".join(f"{code} {count}" for code, count in row["errors"].items()) or "0"
        click.echo(f"{row['clients']:7d}  {row['requests_per_s']:10.0f}  {'  '.join(shown)}  {errors}")
