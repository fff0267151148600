"""`serving serve`."""

from __future__ import annotations

import pathlib
import sys
from typing import Any

import click
from click.core import ParameterSource

from serving.cli.common import as_json_option, debug_option

__all__ = ["serve"]


@click.command()
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
