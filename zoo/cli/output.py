"""How commands talk: tables and lines for people on standard output, one JSON document for programs."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

__all__ = ["note", "print_json", "print_table", "quiet_tensorflow"]


def print_json(document: Any) -> None:
    """Prints the one document of a `--json` command."""
    print(json.dumps(document, indent=2))


def note(text: str) -> None:
    """Prints a line for people to standard error, where no program reads."""
    print(text, file=sys.stderr, flush=True)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], title: str = "") -> None:
    """Prints a table for people; as wide as its content where no terminal limits it."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title or None, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    console = Console() if sys.stdout.isatty() else Console(width=160)
    console.print(table)


@contextlib.contextmanager
def quiet_tensorflow() -> Iterator[None]:
    """Imports TensorFlow and looks for devices, with the greetings of its C++ start-up left out; errors pass."""
    sys.stderr.flush()
    saved, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        import tensorflow

        tensorflow.config.list_physical_devices()
        tensorflow.get_logger().setLevel("ERROR")  # its warnings are for programmers
        logging.getLogger("absl").setLevel("ERROR")  # and so are those of tensorflow-datasets
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)
    yield
