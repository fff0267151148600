"""Progress of a fit: a bar with time left on a terminal, one plain line an epoch elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any

import keras

__all__ = ["Progress"]


class Progress(keras.callbacks.Callback):
    """Tells people how far a fit is, on standard error.

    Args:
        title: what is being trained.
    """

    def __init__(self, title: str):
        super().__init__()
        self._title = title
        self._bar: Any = None
        self._task: Any = None
        self._started = 0.0
        self._epoch = 0

    def on_train_begin(self, logs=None):
        self._started = time.monotonic()
        if not sys.stderr.isatty():
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        steps = self._steps() * self._epochs()
        self._task = self._bar.add_task(self._title, total=steps or None, figures="")
        self._bar.start()

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self._bar:
            done = self._epoch * self._steps() + batch + 1
            self._bar.update(self._task, completed=done)

    def on_epoch_end(self, epoch, logs=None):
        figures = "  ".join(f"{name} {value:.4f}" for name, value in (logs or {}).items() if name != "learning_rate")
        total = self._epochs()
        if self._bar:
            self._bar.update(self._task, figures=f"epoch {epoch + 1}/{total}  {figures}")
            return
        passed = time.monotonic() - self._started
        first = getattr(self.model, "_initial_epoch", 0) or 0
        left = passed / max(epoch + 1 - first, 1) * (total - epoch - 1)
        line = f"{self._title}: epoch {epoch + 1}/{total}  {figures}  {passed:.0f} s, {left:.0f} s left"
        print(line, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Ends the bar, also where training was interrupted."""
        if self._bar:
            self._bar.stop()

    def _steps(self) -> int:
        return (self.params or {}).get("steps") or 0

    def _epochs(self) -> int:
        return (self.params or {}).get("epochs", 1)
