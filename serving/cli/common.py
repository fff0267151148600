"""Options and output that several commands share."""

from __future__ import annotations

import json
from typing import Any

import click

__all__ = [
    "as_json_option",
    "debug_option",
    "print_json",
    "signature_option",
    "timeout_option",
    "version_option",
]

DEFAULT_TIMEOUT_S = 10.0

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on standard output.")
debug_option = click.option("--debug", is_flag=True, help="Show a traceback when something fails.")
version_option = click.option("--version", type=click.IntRange(min=0), help="The version; the newest without.")
signature_option = click.option("--signature", default="serving_default", show_default=True)
timeout_option = click.option(
    "--timeout", "timeout_s", type=click.FloatRange(min=0.001), default=DEFAULT_TIMEOUT_S, show_default=True,
    help="Seconds to wait for an answer.",
)  # fmt: skip


def print_json(document: Any) -> None:
    """Print `document` on one line; NaN and infinities are refused, for JSON lacks them."""
    click.echo(json.dumps(document, allow_nan=False))
