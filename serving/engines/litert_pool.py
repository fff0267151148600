"""Interpreters of one file for many threads: an interpreter holds one request's tensors, so each call has its own."""

from __future__ import annotations

import queue
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import grpc
import numpy as np

from serving.engines.litert_signatures import LiteCall
from serving.errors import InvalidInputError, RequestError, error_for

__all__ = ["InterpreterPool", "Worker"]


class Worker:
    """One interpreter, resized only when a request's shapes differ from the last one's.

    Its native methods are called directly, with the graph of the signature: 12 us for a request of one row where the
    signature runner takes 14 and the computation itself 11 (conv2d of 92k parameters in int8).

    Args:
        interpreter: LiteRT's.
        keeps_state: zero the tensors that keep their values, so that a request does not begin where another ended.
    """

    def __init__(self, interpreter: Any, *, keeps_state: bool):
        self._interpreter = interpreter
        self._native = interpreter._interpreter
        self._keeps_state = keeps_state
        self._fitted: dict[int, tuple[str, list[tuple[int, ...]]]] = {}

    def run(self, call: LiteCall, inputs: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs, copied out of the interpreter.

        Raises:
            RequestError: LiteRT refused the shapes or failed; the interpreter must not be used again.
        """
        native, graph = self._native, call.subgraph
        shapes = [array.shape for array in inputs]
        if self._fitted.get(graph) != (call.signature.key, shapes):
            self._fit(call, shapes)
        try:
            for index, array in zip(call.inputs, inputs, strict=True):
                native.SetTensor(index, array if array.ndim else _scalar(array), graph)
            if self._keeps_state:
                native.ResetVariableTensors()
            native.Invoke(graph)
            return {name: native.GetTensor(index, graph) for name, index in call.outputs}
        except MemoryError as error:
            raise _out_of_memory(call, shapes) from error
        except (ValueError, RuntimeError) as error:
            raise RequestError(grpc.StatusCode.INTERNAL, f"Failed to run interpreter. LiteRT: {error}") from error

    def _fit(self, call: LiteCall, shapes: list[tuple[int, ...]]) -> None:
        native, graph = self._native, call.subgraph
        self._fitted.pop(graph, None)
        try:
            for index, shape in zip(call.inputs, shapes, strict=True):
                native.ResizeInputTensor(index, np.array(shape, np.int32), False, graph)
            native.AllocateTensors(graph)
        except MemoryError as error:
            raise _out_of_memory(call, shapes) from error
        except (ValueError, RuntimeError) as error:
            raise InvalidInputError(
                f"Inputs of these shapes do not fit the model or one another: {_text(call, shapes)}. LiteRT: {error}"
            ) from error
        self._fitted[graph] = (call.signature.key, shapes)


def _scalar(array: np.ndarray) -> np.ndarray:
    """A scalar as LiteRT reads it: of one that holds a string, it would take the address for the text."""
    if array.dtype != object:
        return array
    text = array.item()
    return np.ndarray((), f"S{len(text)}", text)


def _text(call: LiteCall, shapes: Sequence[tuple[int, ...]]) -> str:
    return ", ".join(f"{name} {list(shape)}" for name, shape in zip(call.signature.inputs, shapes, strict=True))


def _out_of_memory(call: LiteCall, shapes: Sequence[tuple[int, ...]]) -> RequestError:
    return error_for(
        grpc.StatusCode.RESOURCE_EXHAUSTED, f"Not enough memory for inputs of these shapes: {_text(call, shapes)}."
    )


class InterpreterPool:
    """At most `limit` workers, made when they are first needed; the one used last is used first.

    Args:
        make: makes a worker.
        limit: how many may exist; a call that finds none idle waits.
    """

    def __init__(self, make: Callable[[], Worker], *, limit: int):
        self._make = make
        self._idle: list[Worker] = [make()]
        # As many permits as workers may exist. Who holds one and finds nothing idle may make one.
        self._permits: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(limit):
            self._permits.put(None)

    def run(self, call: LiteCall, inputs: Sequence[np.ndarray]) -> Mapping[str, np.ndarray]:
        """The outputs of one call; a worker that fails is dropped, with what the failure left in it."""
        self._permits.get()
        try:
            worker = self._borrow()
            outputs = worker.run(call, inputs)
            self._idle.append(worker)
            return outputs
        finally:
            self._permits.put(None)

    def _borrow(self) -> Worker:
        try:
            return self._idle.pop()
        except IndexError:
            return self._make()

    def close(self) -> None:
        """Free the workers."""
        self._idle.clear()
