"""The two ways to gather a batch: natural (what waits when a worker is free), and timed, as TensorFlow Serving's."""

from __future__ import annotations

import abc
import collections
import concurrent.futures
import threading
import time
from collections.abc import Callable, Sequence

from serving.batching.job import Job
from serving.batching.parameters import BatchingParameters
from serving.batching.places import Place, Places
from serving.batching.waiting import current_host
from serving.errors import InvalidInputError, UnavailableError

__all__ = ["AbstractQueue", "NaturalQueue", "TimedQueue"]

INLINE_S = 0.0005  # a call expected to be shorter costs less here than its way to another thread and back
_NEW_SHARE = 0.2  # of the newest call in the running mean

Execute = Callable[[Sequence[Job]], None]


class AbstractQueue(abc.ABC):
    """Jobs of one signature of one version."""

    @abc.abstractmethod
    def run(self, job: Job) -> None:
        """Return when `job` is done.

        Raises:
            RequestError: the queue does not take it.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """End the threads; only when no job runs or waits."""


class NaturalQueue(AbstractQueue):
    """A free worker takes what waits: one alone under light load, many at a time under heavy load; nobody waits for
    company.

    A job from an ordinary thread is worked on by that thread if a worker's place is free. One from a host (the hub of
    all gRPC requests) is worked on by the host itself if the call is short, else by a thread of this queue, so that a
    slow model holds up no other.

    Args:
        execute: answers the jobs of a batch by one call.
        workers: calls at a time.
        max_rows: rows of a batch.
        quick_workers: calls at a time that are expected to be short; as many as `workers` by default.
    """

    def __init__(self, execute: Execute, *, workers: int, max_rows: int, quick_workers: int | None = None):
        self._execute = execute
        self._max_rows = max_rows
        self._lock = threading.Lock()
        self._waiting: collections.deque[Job] = collections.deque()
        self._places = Places(workers, workers if quick_workers is None else quick_workers)
        self._mean_s = 1.0  # of a call; of nothing known yet, it is long
        self._mean_size = 1.0
        self._threads = concurrent.futures.ThreadPoolExecutor(workers, thread_name_prefix="model")

    def run(self, job: Job) -> None:
        host = current_host()
        with self._lock:
            self._waiting.append(job)
        if host is None:
            self._work_as_thread(job)
        else:
            host.when_gathered(self)
        job.waiter.wait()

    def work_inline(self) -> None:
        """Do what waits if it is short, else see that a thread does it."""
        with self._lock:
            place = self._take_place()
        if place is None:
            return
        if place.expected_s < INLINE_S:
            self._work(place, rounds=1)
        else:
            self._hand_on(place)

    def close(self) -> None:
        self._threads.shutdown(wait=False)

    def _take_place(self) -> Place | None:
        """A place for the first batch that waits; without one, whoever is busy takes that batch next."""
        return self._places.take(self._expected_s(self._together())) if self._waiting else None

    def _expected_s(self, batch: Sequence[Job]) -> float:
        size = sum(job.size for job in batch)
        return self._mean_s * max(size / self._mean_size, 1.0)

    def _work_as_thread(self, job: Job) -> None:
        with self._lock:
            place = self._take_place()
        if place is not None:
            self._work(place, until=job)

    def _work(self, place: Place | None, *, until: Job | None = None, rounds: int = 0) -> None:
        """Run batches: until nothing waits or there is no place for it, or `until` is done, or so many rounds."""
        while place is not None:
            with self._lock:
                batch = self._take()
                if not batch:  # another worker took it
                    self._places.free(place)
                    return
                self._places.begin(place, self._expected_s(batch))
                another = self._take_place()
            if another is not None:
                self._hand_on(another)
            self._run(batch)
            with self._lock:
                self._places.free(place)
                place = self._take_place()
            rounds -= 1
            if place is not None and (rounds == 0 or (until is not None and until.done)):
                self._hand_on(place)
                return

    def _hand_on(self, place: Place) -> None:
        """A thread of this queue goes on in `place`; the caller itself where threads are short."""
        once = threading.Lock()

        def work() -> None:
            if once.acquire(blocking=False):
                self._work(place)

        try:
            self._threads.submit(work)
        except RuntimeError:  # the pool keeps what it could not start a thread for, and may do it later
            work()

    def _take(self) -> list[Job]:
        batch = self._together()
        for _ in batch:
            self._waiting.popleft()
        return batch

    def _together(self) -> list[Job]:
        """The first jobs that wait, as many as go into one call."""
        batch: list[Job] = []
        rows = 0
        for job in self._waiting:
            if batch and (job.key is None or job.key != batch[0].key or rows + job.rows > self._max_rows):
                break
            batch.append(job)
            rows += job.rows
        return batch

    def _run(self, batch: list[Job]) -> None:
        live = [job for job in batch if not job.drop_if_late()]
        if live:
            started = time.perf_counter()
            self._execute(live)
            self._note(time.perf_counter() - started, sum(job.size for job in live))
        for job in batch:
            job.waiter.notify()

    def _note(self, seconds: float, size: int) -> None:
        known = self._mean_s < 1.0
        share = _NEW_SHARE if known else 1.0
        self._mean_s += share * (min(seconds, 0.999) - self._mean_s)
        self._mean_size += share * (max(size, 1) - self._mean_size)


class _Batch:
    def __init__(self, job: Job, closes_at: float):
        self.jobs = [job]
        self.rows = job.rows
        self.closes_at = closes_at


class TimedQueue(AbstractQueue):
    """TensorFlow Serving's scheduling: a batch goes when it is full, or when its first request has waited long enough.

    Args:
        execute: answers the jobs of a batch by one call.
        parameters: as the batching file gives them.
    """

    def __init__(self, execute: Execute, parameters: BatchingParameters):
        self._execute = execute
        self._parameters = parameters
        self._changed = threading.Condition()
        self._batches: collections.deque[_Batch] = collections.deque()
        self._closed = False
        self._threads: list[threading.Thread] = []

    def run(self, job: Job) -> None:
        self._enqueue(job)
        job.waiter.wait()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _enqueue(self, job: Job) -> None:
        parameters = self._parameters
        if job.rows > parameters.max_batch_size:
            raise InvalidInputError(
                f"Task size {job.rows} is larger than maximum input batch size {parameters.max_batch_size}"
            )
        with self._changed:
            if len(self._threads) < parameters.num_batch_threads:
                self._start_thread()
            for batch in self._batches:
                if job.key is not None and batch.jobs[0].key == job.key and self._fits(batch, job):
                    batch.jobs.append(job)
                    batch.rows += job.rows
                    break
            else:
                if len(self._batches) >= parameters.max_enqueued_batches:
                    raise UnavailableError(
                        f"The batch scheduling queue to which this task was submitted is full; task size is "
                        f"{job.rows} and {len(self._batches)} batches wait"
                    )
                self._batches.append(_Batch(job, time.monotonic() + parameters.batch_timeout_s))
            self._changed.notify()

    def _fits(self, batch: _Batch, job: Job) -> bool:
        return batch.rows + job.rows <= self._parameters.execution_size

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._work, name="batch", daemon=True)
        thread.start()  # may fail where threads are short: then neither thread nor job is in the books
        self._threads.append(thread)

    def _work(self) -> None:
        while (batch := self._next()) is not None:
            live = [job for job in batch.jobs if not job.drop_if_late()]
            if live:
                self._execute(live)
            for job in batch.jobs:
                job.waiter.notify()

    def _next(self) -> _Batch | None:
        """The first batch that may go, as soon as one may; None at the end."""
        with self._changed:
            while True:
                now = time.monotonic()
                for index, batch in enumerate(self._batches):
                    if batch.rows >= self._parameters.execution_size or batch.closes_at <= now or self._closed:
                        del self._batches[index]
                        return batch
                if self._closed:
                    return None
                wait_s = min((batch.closes_at for batch in self._batches), default=None)
                self._changed.wait(None if wait_s is None else max(wait_s - now, 0.0))
