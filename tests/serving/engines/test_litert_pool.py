"""The pool of interpreters, with fakes in their place."""

import queue
import threading
from typing import Any, cast

import numpy as np
import pytest

from serving.engines.litert_pool import InterpreterPool, Worker
from serving.engines.litert_signatures import LiteCall
from serving.errors import RequestError
from serving.protocol.codec import dtype_of_number
from serving.protocol.signature import Signature, TensorSpec

X = TensorSpec(name="x", dtype=dtype_of_number(1), shape=(None,))
CALL = LiteCall(Signature(key="k", inputs={"x": X}, outputs={"y": X}), None, 0, (0,), (("y", 1),))
ROWS = [np.ones(2, np.float32)]


class FakeWorker:
    """Says when it begins, and goes on when it is told."""

    def __init__(self, log: list["FakeWorker"]):
        self.begun: queue.Queue[bool] = queue.Queue()
        self.go_on: queue.Queue[Exception | None] = queue.Queue()
        log.append(self)

    def run(self, call: Any, inputs: Any) -> dict[str, np.ndarray]:
        self.begun.put(True)
        if (error := self.go_on.get(timeout=10)) is not None:
            raise error
        return {}


class Pool:
    """A pool of fakes, and callers."""

    def __init__(self, limit: int):
        self.made: list[FakeWorker] = []
        self.pool = InterpreterPool(lambda: cast(Worker, FakeWorker(self.made)), limit=limit)
        self.ended: queue.Queue[Exception | None] = queue.Queue()

    def call(self) -> threading.Thread:
        thread = threading.Thread(target=self._call, daemon=True)
        thread.start()
        return thread

    def _call(self) -> None:
        try:
            self.pool.run(CALL, ROWS)
            self.ended.put(None)
        except Exception as error:
            self.ended.put(error)


def test_one_is_made_at_once_the_others_when_they_are_needed_up_to_the_limit():
    pool = Pool(limit=2)
    assert len(pool.made) == 1
    for number in (0, 1):
        pool.call()
        if number:
            while len(pool.made) == 1:
                threading.Event().wait(0.005)
        assert pool.made[number].begun.get(timeout=10)
    waiting = pool.call()
    waiting.join(0.1)
    assert waiting.is_alive()
    assert len(pool.made) == 2
    pool.made[0].go_on.put(None)
    assert pool.made[0].begun.get(timeout=10)  # the third caller's
    for worker in pool.made:
        worker.go_on.put(None)
    assert [pool.ended.get(timeout=10) for _ in range(3)] == [None] * 3
    assert len(pool.made) == 2


def test_callers_that_take_turns_share_one():
    pool = Pool(limit=4)
    for _ in range(3):
        pool.made[0].go_on.put(None)
        pool.call().join(10)
    assert len(pool.made) == 1


def test_one_that_failed_is_replaced_and_its_place_is_free():
    pool = Pool(limit=1)
    pool.made[0].go_on.put(ValueError("broken"))
    pool.call().join(10)
    assert isinstance(pool.ended.get(timeout=10), ValueError)
    thread = pool.call()
    while len(pool.made) == 1 and thread.is_alive():
        threading.Event().wait(0.005)
    pool.made[1].go_on.put(None)
    assert pool.ended.get(timeout=10) is None


class FakeInterpreter:
    """Notes what is called on it."""

    def __init__(self, failing: str = ""):
        self._interpreter = self
        self.calls: list[str] = []
        self.failing = failing

    def __getattr__(self, name: str) -> Any:
        def method(*arguments: Any) -> Any:
            self.calls.append(name)
            if name == self.failing:
                raise MemoryError
            return np.zeros(1)

        return method


def test_only_another_shape_is_a_new_allocation():
    interpreter = FakeInterpreter()
    worker = Worker(interpreter, keeps_state=False)
    for rows in (2, 2, 3, 2):
        worker.run(CALL, [np.ones(rows, np.float32)])
    assert interpreter.calls.count("AllocateTensors") == 3
    assert interpreter.calls.count("Invoke") == 4
    assert "ResetVariableTensors" not in interpreter.calls


@pytest.mark.parametrize("step", ["AllocateTensors", "Invoke"])
def test_want_of_memory_is_told_as_such(step):
    worker = Worker(FakeInterpreter(failing=step), keeps_state=False)
    with pytest.raises(RequestError, match=r"Not enough memory for inputs of these shapes: x \[2\]") as caught:
        worker.run(CALL, ROWS)
    assert caught.value.code.name == "RESOURCE_EXHAUSTED"
