"""An engine whose calls are gathered into batches; to everybody else it is an engine like any other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from serving import deadlines
from serving.batching.job import Job
from serving.batching.merging import has_rows, join, merge_key, run_jobs, split
from serving.batching.parameters import BatchingParameters
from serving.batching.queues import AbstractQueue, NaturalQueue, TimedQueue
from serving.batching.waiting import current_host, new_waiter
from serving.engines.abstract import AbstractPredictor
from serving.errors import InvalidInputError
from serving.protocol.signature import Signature

if TYPE_CHECKING:
    from tensorflow.core.protobuf import meta_graph_pb2

__all__ = ["BatchingPredictor"]

MAX_ROWS = 64  # of requests that are answered together; a larger request goes alone


class BatchingPredictor(AbstractPredictor):
    """Stands before an engine.

    Args:
        engine: the version; closed with this.
        workers: calls of a signature at a time.
        mergeable: signatures whose rows do not depend on one another, so that requests may share a call; of others,
            each request is a call of its own.
        parameters: gather as TensorFlow Serving does; None gathers what waits when a worker is free.
        quick_workers: short calls of a signature at a time; as many as `workers` by default.
    """

    def __init__(
        self,
        engine: AbstractPredictor,
        *,
        workers: int,
        mergeable: frozenset[str] = frozenset(),
        parameters: BatchingParameters | None = None,
        quick_workers: int | None = None,
    ):
        self._engine = engine
        self._workers = workers
        self._quick_workers = quick_workers
        self._mergeable = frozenset(key for key in mergeable if has_rows(engine.signatures[key]))
        self._parameters = parameters
        self._queues = {key: self._queue(key) for key in engine.signatures}

    @property
    def signatures(self) -> Mapping[str, Signature]:
        return self._engine.signatures

    @property
    def signature_defs(self) -> Mapping[str, meta_graph_pb2.SignatureDef]:
        return self._engine.signature_defs

    def run(self, key: str, inputs: Sequence[np.ndarray]) -> Mapping[str, np.ndarray]:
        """All outputs of signature `key`, perhaps by a call that answers other requests too.

        Raises:
            RequestError: as the engine raises it; or the queue is full, or the deadline passed in it.
        """
        parameters = self._parameters
        if parameters is None or key not in self._mergeable:
            return self._run(key, inputs)
        if merge_key(inputs) is None:
            raise InvalidInputError("Batching session Run() input tensors must have equal 0th-dimension size")
        if not parameters.enable_large_batch_splitting:
            return self._run(key, inputs)
        return join([self._run(key, part) for part in split(inputs, parameters.execution_size)])

    def close(self) -> None:
        """End the queues' threads and close the engine."""
        for queue in self._queues.values():
            queue.close()
        self._engine.close()

    def _run(self, key: str, inputs: Sequence[np.ndarray]) -> Mapping[str, np.ndarray]:
        mergeable = key in self._mergeable
        job = Job(
            inputs,
            rows=inputs[0].shape[0] if mergeable else 1,
            key=self._merge_key(inputs) if mergeable else None,
            deadline=deadlines.current(),
            waiter=new_waiter(current_host()),
        )
        self._queues[key].run(job)
        return job.result()

    def _merge_key(self, inputs: Sequence[np.ndarray]) -> object:
        key = merge_key(inputs)
        if key is None or self._parameters is None or not self._parameters.pad_variable_length_inputs:
            return key
        return tuple(array.ndim for array in inputs)

    def _queue(self, key: str) -> AbstractQueue:
        parameters = self._parameters
        if parameters is None or key not in self._mergeable:
            return NaturalQueue(
                lambda jobs: run_jobs(self._engine, key, jobs),
                workers=self._workers,
                max_rows=MAX_ROWS,
                quick_workers=self._quick_workers,
            )
        return TimedQueue(
            lambda jobs: run_jobs(
                self._engine,
                key,
                jobs,
                pad_rows_to=parameters.padded_rows(sum(job.rows for job in jobs)),
                pad_lengths=parameters.pad_variable_length_inputs,
            ),
            parameters,
        )
