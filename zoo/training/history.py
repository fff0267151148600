"""`history.csv`: the figures of each epoch, there as soon as the epoch is over."""

from __future__ import annotations

import csv
from pathlib import Path

import keras

__all__ = ["HistoryLog", "read_history"]


def read_history(path: Path) -> list[dict[str, float]]:
    """Returns one dictionary per epoch, the number of the epoch included; empty where there is no file."""
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


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
        with self._path.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[-1]))
            writer.writeheader()
            writer.writerows({**row, "epoch": int(row["epoch"])} for row in rows)
