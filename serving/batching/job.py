"""One request's inputs on their way through a queue."""

from __future__ import annotations

import time
from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from serving.batching.waiting import AbstractWaiter
from serving.errors import DeadlineError

__all__ = ["Job"]


class Job:
    """Holds the inputs until `outputs` or `error` is there.

    Args:
        inputs: in the order of the signature.
        rows: how many; 1 where the signature's calls are not shared.
        key: requests with an equal key may share a batch; None for one that may not.
        deadline: the monotonic time after which nobody waits; None without.
        waiter: told when the job is done.
    """

    __slots__ = ("deadline", "error", "inputs", "key", "outputs", "rows", "size", "waiter")

    def __init__(
        self,
        inputs: Sequence[np.ndarray],
        *,
        rows: int,
        key: Hashable,
        deadline: float | None,
        waiter: AbstractWaiter,
    ):
        self.inputs = inputs
        self.rows = rows
        self.size = sum(array.size for array in inputs)  # what the call's length grows with
        self.key = key
        self.deadline = deadline
        self.waiter = waiter
        self.outputs: Mapping[str, np.ndarray] | None = None
        self.error: Exception | None = None

    @property
    def done(self) -> bool:
        """Whether there is an answer or an error."""
        return self.outputs is not None or self.error is not None

    def drop_if_late(self) -> bool:
        """Whether nobody waits any more; the job then has its error."""
        if self.deadline is None or time.monotonic() < self.deadline:
            return False
        self.error = DeadlineError("The deadline passed while the request waited for the model.")
        return True

    def result(self) -> Mapping[str, np.ndarray]:
        """The outputs, or the error raised; to be asked for once."""
        if self.error is not None:
            try:
                raise self.error
            finally:
                self.error = None  # else error, traceback and job keep one another, and the inputs, alive
        assert self.outputs is not None
        return self.outputs
