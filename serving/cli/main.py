"""The command `serving`: its sub-commands, and what an error becomes."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Any

import click

from serving import __version__
from serving.cli import ask
from serving.cli.bench import bench
from serving.cli.common import debug_option
from serving.cli.deploy import deploy
from serving.cli.serve import serve
from serving.cli.token import token
from serving.errors import ServingError, UsageError

__all__ = ["main", "serving"]

COMMANDS = (serve, *ask.COMMANDS, bench, deploy, token)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(__version__)
@debug_option
def serving(debug: bool) -> None:
    """A server with TensorFlow Serving's gRPC API, and a client for it.

    Example: serving serve models --port 8500
    """


for _command in COMMANDS:
    serving.add_command(_command)


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
    except ModuleNotFoundError as error:
        _fail(_missing(error), debug)
        sys.exit(1)
    except KeyboardInterrupt:
        _fail("interrupted", debug=False)
        sys.exit(1)
    except Exception as error:
        hint = "" if debug else " Run it again with `--debug` for the traceback."
        _fail(f"unexpected {type(error).__name__}: {error}.{hint}", debug)
        sys.exit(1)


def _missing(error: ModuleNotFoundError) -> str:
    """The client's own distribution has neither the server nor what it is built on."""
    return (
        f"this command needs `{error.name}`, which is not installed. The client alone is `keras-model-zoo-client`; "
        f"install the whole: pip install keras-model-zoo"
    )


def _fail(message: str, debug: bool) -> None:
    if debug:
        traceback.print_exc()
    print(f"serving: {message}", file=sys.stderr)


if __name__ == "__main__":
    main()
