"""`serving serve`."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import sys
from collections.abc import Callable
from typing import Any

import click
from click.core import ParameterSource

from serving.cli.common import as_json_option, debug_option
from serving.errors import UsageError

__all__ = ["serve"]

_file = click.Path(path_type=pathlib.Path, dir_okay=False)
_count = click.IntRange(min=1)
_port = click.IntRange(0, 65535)
_limit = click.IntRange(min=0)

_WHERE = (
    click.option("--host", default="127.0.0.1", help="Address to listen on."),
    click.option("--port", type=_port, default=8500, help="Port of gRPC; 0 takes a free one."),
    click.option("--rest-port", type=_port, help="Port of REST and the web page; neither without."),
    click.option("--allow-insecure", is_flag=True, help="Listen in clear text where other machines reach it."),
)
_MODELS = (
    click.option("--poll-seconds", type=click.FloatRange(min=0), default=2.0, help="Pause between looks; 0: never."),
    click.option("--versions", type=click.Choice(["all", "latest"]), default="all", help="Without models.config."),
    click.option("--engine", type=click.Choice(["auto", "tensorflow", "litert"]), default="auto",
                 help="For versions that hold the files of both."),
    click.option("--require-manifest", is_flag=True, help="Refuse versions without the zoo's checksums."),
    click.option("--no-scan", "scan", is_flag=True, flag_value=False, default=True,
                 help="Load graphs whatever they do; a SavedModel is code."),
    click.option("--allow-op", "allowed_ops", multiple=True, help="An operation that passes the scan; repeat it."),
)  # fmt: skip
_WORK = (
    click.option("--processes", type=_count, default=1, help="Server processes on the same ports."),
    click.option("--workers", type=_count, default=os.cpu_count() or 1, help="Calls of one model at a time."),
    click.option("--intra-op", type=_limit, default=1, help="TensorFlow threads in an operation; 0: all."),
    click.option("--inter-op", type=_limit, default=1, help="TensorFlow threads between operations; 0: all."),
    click.option("--batching", type=click.Choice(["natural", "off"]), default="natural",
                 help="Answer requests that wait together by one call."),
    click.option("--batching-file", type=_file, help="TensorFlow Serving's, in place of --batching."),
    click.option("--grace", "grace_s", type=click.FloatRange(min=0), default=10.0,
                 help="Seconds to finish on SIGTERM."),
)  # fmt: skip
_LIMITS = (
    click.option("--max-batch-size", type=_count, default=65_536, help="Most rows in a request."),
    click.option("--max-message-bytes", type=click.IntRange(1, 2**31 - 1), default=256 << 20,
                 help="Largest request, and largest array made of one."),
    click.option("--max-connections", type=_count, default=1024, help="Of gRPC, and of REST, in a process."),
    click.option("--max-connection-idle", "max_connection_idle_s", type=click.FloatRange(min=0.1), default=3600.0,
                 help="Seconds after which an unused gRPC connection is closed."),
    click.option("--rate-limit", "requests_per_s", type=click.FloatRange(min=0), default=0.0,
                 help="Requests a second of one caller, in a process; 0: any."),
    click.option("--rate-burst", "burst", type=_limit, default=0, help="Requests at once; 0: one second's."),
    click.option("--max-concurrent", type=_limit, default=0, help="Requests at a time, in a process; 0: any."),
    click.option("--max-concurrent-per-caller", type=_limit, default=0, help="The same of one caller."),
)  # fmt: skip
_SECURITY = (
    click.option("--tls-cert", type=_file, help="Certificate (PEM), for gRPC and REST."),
    click.option("--tls-key", type=_file, help="Its private key (PEM)."),
    click.option("--tls-client-ca", type=_file, help="Every client must show a certificate of these CAs."),
    click.option("--ssl-config-file", type=_file, help="TensorFlow Serving's, in place of the three."),
    click.option("--tokens", type=_file, help="Callers and their rights, as `serving token` writes them."),
    click.option("--access-log", help="File for a line about each request; - is standard error."),
)


def _with(*groups: tuple[Callable[..., Any], ...]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed([option for group in groups for option in group]):
            function = option(function)
        return function

    return add


@click.command()
@click.argument("root", type=click.Path(path_type=pathlib.Path))
@_with(_WHERE, _MODELS, _WORK, _LIMITS, _SECURITY)
@as_json_option
@debug_option
def serve(root: pathlib.Path, as_json: bool, debug: bool, **options: Any) -> None:
    """Serve every model under ROOT, and follow its changes, until SIGTERM or Ctrl-C.

    ROOT holds <name>/<version>/ directories. If ROOT/models.config exists (TensorFlow Serving's format), its list,
    version policies and labels hold. With --json, a ready line {"event": "ready", "port": ..., ...} is printed.

    Example: serving serve models --port 8500 --rest-port 8501
    """
    import serving.process as process
    from serving.options import LoaderOptions, ServerOptions
    from serving.security.gate import GateOptions
    from serving.security.limits import LimiterOptions

    given = click.get_current_context().get_parameter_source("versions")
    if given is ParameterSource.COMMANDLINE and (root / "models.config").is_file():
        click.echo(
            f"serving: warning: `--versions {options['versions']}` has no effect, for {root / 'models.config'} says "
            f"which versions to serve. Change its `model_version_policy`, or move the file away.",
            err=True,
        )
    options["allowed_ops"] = frozenset(options["allowed_ops"])
    gate = GateOptions(
        tokens=options.pop("tokens"),
        limits=LimiterOptions(**_taken(options, LimiterOptions)),
        access_log=options.pop("access_log"),
    )
    settings = process.ProcessOptions(
        loader=LoaderOptions(**_taken(options, LoaderOptions)),
        gate=gate,
        tls=_tls(options),
        as_json=as_json,
        **{name: options.pop(name) for name in ("grace_s", "processes", "intra_op", "inter_op")},
    )
    sys.exit(process.run(root, ServerOptions(**options), settings))


def _taken(options: dict[str, Any], kind: Any) -> dict[str, Any]:
    """The options that are fields of `kind`, taken out."""
    return {field.name: options.pop(field.name) for field in dataclasses.fields(kind)}


def _tls(options: dict[str, Any]) -> Any:
    from serving.security.ssl_config import read_ssl_config
    from serving.security.tls import TLSOptions

    cert, key, client_ca, file = (
        options.pop(name) for name in ("tls_cert", "tls_key", "tls_client_ca", "ssl_config_file")
    )
    if file is not None:
        if cert or key or client_ca:
            raise UsageError("Give `--ssl-config-file`, or `--tls-cert`, `--tls-key` and `--tls-client-ca`; not both.")
        return read_ssl_config(file)
    if cert is None and key is None and client_ca is None:
        return None
    if cert is None or key is None:
        raise UsageError("TLS needs both `--tls-cert` and `--tls-key`.")
    return TLSOptions(cert=cert, key=key, client_ca=client_ca)
