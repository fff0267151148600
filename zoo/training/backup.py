"""What `--resume` goes on from, and the best epoch's weights."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import keras

__all__ = ["Backup", "BestWeights", "EarlyStopping"]

_PAUSE_S = 10.0


class Backup(keras.callbacks.BackupAndRestore):
    """Keras's backup of weights and optimiser, after an epoch, but at most every ten seconds.

    A backup takes 0.3 s, as much as an epoch of a small data set. The one before is kept, in case that a crash cuts the
    writing short.
    """

    def __init__(self, folder: Path):
        super().__init__(str(folder), delete_checkpoint=False, double_checkpoint=True)
        self._saved_at = float("-inf")

    def on_epoch_end(self, epoch, logs=None):
        if time.monotonic() - self._saved_at >= _PAUSE_S:
            super().on_epoch_end(epoch, logs)
            self._saved_at = time.monotonic()


class EarlyStopping(keras.callbacks.EarlyStopping):
    """Ends training after `patience` epochs without a better figure, those before a resumption counted.

    Stands after `Backup`, which says at which epoch a run goes on.

    Args:
        monitor: the figure.
        mode: whether the highest ("max") or the lowest ("min") is the best.
        patience: epochs.
        before: the figures of the epochs that this run had already.
    """

    def __init__(self, monitor: str, mode: str, patience: int, before: Sequence[Mapping[str, float]]):
        super().__init__(monitor, mode=mode, patience=patience)
        self._before = before

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        for row in self._before:
            if row["epoch"] < (getattr(self.model, "_initial_epoch", None) or 0):
                self.on_epoch_end(int(row["epoch"]), dict(row))


class BestWeights(keras.callbacks.ModelCheckpoint):
    """Keeps the weights of the epoch with the best figure on disk, over a cut-off run and its resumption.

    Args:
        path: ends in `.weights.h5`.
        monitor: the figure.
        mode: whether the highest ("max") or the lowest ("min") is the best.
        best_before: the best that this run had already, where it is resumed.
    """

    def __init__(self, path: Path, monitor: str, mode: str, best_before: float | None):
        known = best_before if path.is_file() else None
        super().__init__(
            str(path),
            monitor=monitor,
            mode=mode,
            save_best_only=True,
            save_weights_only=True,
            initial_value_threshold=known,
        )

    def on_train_end(self, logs=None):
        assert self.model is not None
        self.model.load_weights(self.filepath)
