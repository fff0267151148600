"""`history.csv`: the figures of each epoch, there as soon as the epoch is over."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

__all__ = ["HistoryLog", "read_history", "write_history"]

_TEXT = "transform"


def read_history(path: Path) -> list[dict[str, float]]:
    """Returns one dictionary per epoch, the number of the epoch included; empty where there is no file."""
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return [{name: float(row[name]) for name in row if name != _TEXT} for row in csv.DictReader(file)]


def write_history(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes one line for each row, all with the columns of the first; a column `transform` may hold text."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]) if rows else [], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


class HistoryLog(keras.callbacks.Callback):
    """Writes the file anew after each epoch, and holds nothing open in between.

    Keras's own logger keeps a handle that an interrupted fit leaves open, and writes an epoch twice where a resumed
    run repeats it.
    """

    def __init__(self, path: Path):
        super().__init__()
        self._path = path

    def on_epoch_end(self, epoch, logs=None):
        rows = [row for row in read_history(self._path) if row["epoch"] < epoch]
        rows.append({"epoch": epoch, **{name: float(value) for name, value in (logs or {}).items()}})
        write_history(self._path, [{**row, "epoch": int(row["epoch"])} for row in rows])
