"""An engine of numpy functions that notes its calls."""

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from serving.engines.abstract import AbstractPredictor
from serving.errors import InvalidInputError
from serving.protocol.codec import dtype_of_number
from serving.protocol.signature import Signature, TensorSpec


def spec(name: str, *shape: int | None) -> TensorSpec:
    return TensorSpec(name=name, dtype=dtype_of_number(1), shape=shape)


class FakeEngine(AbstractPredictor):
    """`serving_default` doubles `x` [B, T]; a value below 0 is refused; a value of 99 takes `slow_s`."""

    def __init__(self, *, slow_s: float = 0.0):
        self.slow_s = slow_s
        self.calls: list[tuple[int, ...]] = []
        self.running = 0
        self.most_running = 0
        self.closed = False
        self.gate = threading.Event()
        self.gate.set()
        self._lock = threading.Lock()

    @property
    def signatures(self) -> Mapping[str, Signature]:
        return {
            "serving_default": Signature(
                key="serving_default", inputs={"x": spec("x", None, None)}, outputs={"y": spec("y", None, None)}
            )
        }

    @property
    def signature_defs(self) -> Any:
        return {}

    def run(self, key: str, inputs: Sequence[np.ndarray]) -> Mapping[str, np.ndarray]:
        with self._lock:
            self.calls.append(inputs[0].shape)
            self.running += 1
            self.most_running = max(self.most_running, self.running)
        try:
            self.gate.wait(30)
            if (inputs[0] < 0).any():
                raise InvalidInputError("`x` must not be negative")
            if (inputs[0] == 99).any():
                time.sleep(self.slow_s)
            return {"y": inputs[0] * 2}
        finally:
            with self._lock:
                self.running -= 1

    def close(self) -> None:
        self.closed = True


def rows(*values: float, length: int = 1) -> list[np.ndarray]:
    """An input of one row a value."""
    return [np.full((len(values), length), np.array(values, np.float32)[:, None], np.float32)]
