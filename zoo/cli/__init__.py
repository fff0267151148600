"""The command `zoo`."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Any

import click

from zoo import __version__
from zoo.cli.bench import bench
from zoo.cli.compress import compress
from zoo.cli.data import data
from zoo.cli.export import export
from zoo.cli.listing import list_
from zoo.cli.quickstart import quickstart
from zoo.cli.report import report
from zoo.cli.train import evaluate, train
from zoo.errors import UsageError, ZooError

__all__ = ["main", "zoo"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
@click.option("--debug", is_flag=True, help="Show a traceback when something fails.")
def zoo(debug: bool) -> None:
    """Keras 3 models: from a data set to a SavedModel that TensorFlow Serving reads.

    Example: zoo train digits_cnn --run-dir runs/digits
    """


for _command in (list_, data, train, evaluate, compress, export, report, bench, quickstart):
    zoo.add_command(_command)


def main(arguments: list[str] | None = None) -> Any:
    """Runs the command line and exits: 0 done, 1 failed while working, 2 wrong use."""
    # Before TensorFlow is imported by a command; a user's own setting wins.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        zoo(arguments, prog_name="zoo")
    except ZooError as error:
        if "--debug" in arguments:
            traceback.print_exc()
        print(f"zoo: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, UsageError) else 1)
    except KeyboardInterrupt:
        print("zoo: interrupted", file=sys.stderr)
        sys.exit(1)
    except Exception as error:
        if "--debug" in arguments:
            traceback.print_exc()
        hint = "" if "--debug" in arguments else " Run it again as `zoo --debug ...` for the traceback."
        print(f"zoo: unexpected {type(error).__name__}: {error}.{hint}", file=sys.stderr)
        sys.exit(1)
