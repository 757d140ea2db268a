"""Dynamic batching: a bounded queue, and replicas that take from it as many requests as a batch may hold."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from threading import Condition, Thread
from typing import Generic, TypeVar

from recommender_ref.knobs import Knobs

J = TypeVar("J")


class QueueFull(Exception):
    """As many requests wait as may."""


def seconds_until_due(waiting: int, oldest_age_s: float, max_batch: int, delay_s: float) -> float | None:
    """How long a free replica should still wait before it takes a batch: 0 is now, None is until a request comes.

    >>> seconds_until_due(waiting=1, oldest_age_s=0.25, max_batch=8, delay_s=1.0)
    0.75
    """
    if waiting == 0:
        return None
    return 0.0 if waiting >= max_batch else max(0.0, delay_s - oldest_age_s)


class BatchQueue(Generic[J]):
    """First in, first out; shared by all replicas, so removing one loses nothing."""

    def __init__(self, knobs: Callable[[], Knobs], clock: Callable[[], float]) -> None:
        self._knobs = knobs
        self._clock = clock
        self._changed = Condition()
        self._waiting: deque[tuple[float, J]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, job: J) -> None:
        """Add a job; raises QueueFull."""
        with self._changed:
            if len(self._waiting) >= self._knobs().max_queue:
                raise QueueFull
            self._waiting.append((self._clock(), job))
            self._changed.notify()

    def take(self, leaving: Callable[[], bool]) -> list[tuple[float, J]]:
        """The next batch as (seconds waited, job); blocks until there is one; empty once `leaving`."""
        with self._changed:
            while not leaving():
                now, knobs = self._clock(), self._knobs()
                age = now - self._waiting[0][0] if self._waiting else 0.0
                wait = seconds_until_due(len(self._waiting), age, knobs.max_batch, knobs.batch_delay_ms / 1000)
                if wait == 0.0:
                    size = min(knobs.max_batch, len(self._waiting))
                    return [(now - since, job) for since, job in (self._waiting.popleft() for _ in range(size))]
                self._changed.wait(wait)
            return []

    def wake(self) -> None:
        """Let every waiting replica look again, after a knob changed."""
        with self._changed:
            self._changed.notify_all()


class Replicas(Generic[J]):
    """Threads that each run one batch at a time. A replica that is removed finishes its batch first."""

    def __init__(self, queue: BatchQueue[J], run: Callable[[int, Sequence[tuple[float, J]]], None]) -> None:
        self._queue = queue
        self._run = run
        self._working: list[_Replica[J]] = []
        self._drained: list[_Replica[J]] = []

    def __len__(self) -> int:
        return len(self._working)

    def resize(self, count: int) -> None:
        """Have `count` replicas; does not wait for those removed."""
        while len(self._working) < count:
            self._working.append(_Replica(len(self._working), self._queue, self._run))
        while len(self._working) > count:
            replica = self._working.pop()
            replica.leaving = True
            self._drained.append(replica)
        self._queue.wake()

    def stop(self) -> None:
        """Remove all and wait for their batches."""
        self.resize(0)
        for replica in self._drained:
            replica.thread.join()


class _Replica(Generic[J]):
    def __init__(self, number: int, queue: BatchQueue[J], run: Callable[[int, Sequence[tuple[float, J]]], None]) -> None:
        self.number = number
        self.leaving = False
        self._queue = queue
        self._run = run
        self.thread = Thread(target=self._work, name=f"replica {number}", daemon=True)
        self.thread.start()

    def _work(self) -> None:
        while batch := self._queue.take(lambda: self.leaving):
            self._run(self.number, batch)
