"""What `--resume` goes on from, and the best epoch's weights."""

from __future__ import annotations

import time
from pathlib import Path

import keras

__all__ = ["Backup", "BestWeights"]

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
