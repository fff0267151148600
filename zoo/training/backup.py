"""What `--resume` goes on from."""

from __future__ import annotations

import time
from pathlib import Path

import keras

__all__ = ["Backup"]

_PAUSE_S = 10.0


class Backup(keras.callbacks.BackupAndRestore):
    """Keras's backup of weights and optimiser, after an epoch, but at most every ten seconds.

    A backup takes 0.3 s, as much as an epoch of a small data set.
    """

    def __init__(self, folder: Path):
        super().__init__(str(folder), delete_checkpoint=False)
        self._saved_at = float("-inf")

    def on_epoch_end(self, epoch, logs=None):
        if time.monotonic() - self._saved_at >= _PAUSE_S:
            super().on_epoch_end(epoch, logs)
            self._saved_at = time.monotonic()
