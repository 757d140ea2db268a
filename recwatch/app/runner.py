"""Drives one stage: polls for it, retries it, publishes what it says, commits, and keeps its memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from recwatch.app.threads import Trouble
from recwatch.core.bus import Bus, Position, Record, next_offsets
from recwatch.core.clock import Clock
from recwatch.core.errors import Unavailable
from recwatch.core.stage import Buffered, Outgoing, Remembers, Stage

SNAPSHOT_EVERY_S = 30.0
POLL_WAIT_S = 1.0

KeepSnapshot = Callable[[str, bytes, int], None]


@dataclass(slots=True)
class StageCounts:
    """What a runner has seen so far."""

    records: int = 0
    published: int = 0
    unavailable: int = 0


class StageRunner:
    """Calls `stage.process` with what was polled, publishes the outcome, then commits.

    Where the world is `Unavailable` the same records, or the rest of the same messages, are tried again at a later step: so
    a stage sees a record at least once and the bus gets each message at least once.
    """

    def __init__(self, stage: Stage, bus: Bus, clock: Clock, keep: KeepSnapshot | None = None) -> None:
        self.stage = stage
        self.counts = StageCounts()
        self._bus = bus
        self._clock = clock
        self._keep = keep if isinstance(stage, Remembers) else None
        self._subscription = bus.subscribe(stage.name, stage.topics, self._take_on, self._give_up)
        self._records: Sequence[Record] = ()
        self._handled: Sequence[Record] = ()
        self._outgoing: list[Outgoing] = []
        self._trouble = Trouble(stage.name)
        self._kept_at_s = clock.monotonic_s()

    def step(self, max_wait_s: float = POLL_WAIT_S) -> float:
        """Do one round of work. Returns the seconds to wait before the next; 0 unless the world is away."""
        try:
            if self._records or self._handled or self._outgoing:
                self._subscription.attend()
            self._finish()
            if not self._records:
                self._records = self._subscription.poll(max_wait_s)
            self._outgoing = list(self.stage.process(self._records, self._clock.now_ms()))
            self.counts.records += len(self._records)
            self._handled, self._records = self._records, ()
            self._finish()
            if self._clock.monotonic_s() - self._kept_at_s >= SNAPSHOT_EVERY_S:
                self._snapshot()
        except Unavailable as error:
            self.counts.unavailable += 1
            self._trouble.now(str(error))
            return error.retry_after_s
        self._trouble.now("")
        return 0.0

    def drain(self, rounds: int = 100) -> None:
        """Handle what is still on the bus without waiting for more; for stopping."""
        for _ in range(rounds):
            before = self.counts.records
            if self.step(max_wait_s=0.0) > 0.0 or self.counts.records == before:
                return

    def close(self) -> None:
        """Store what the stage holds back, keep its memory once more, and leave the group."""
        if isinstance(self.stage, Buffered):
            self.stage.flush()
            self._finish()
        self._snapshot()
        self._subscription.close()

    def _finish(self) -> None:
        """Publish and commit what is left of the last round."""
        while self._outgoing:
            self._bus.publish(*self._outgoing[0])
            self._outgoing.pop(0)
            self.counts.published += 1
        if self._handled and not isinstance(self.stage, Buffered):
            self._subscription.commit(next_offsets(self._handled))
        self._handled = ()

    def _take_on(self, positions: Sequence[Position]) -> None:
        if isinstance(self.stage, Buffered):
            self.stage.take_on(positions, self._subscription)

    def _give_up(self, positions: Sequence[Position]) -> None:
        """Of partitions that go to another member, what is not committed is that member's to handle."""
        if isinstance(self.stage, Buffered):
            self.stage.give_up(positions)
        self._records = _without(positions, self._records)
        self._handled = _without(positions, self._handled)

    def _snapshot(self) -> None:
        if self._keep is not None and isinstance(self.stage, Remembers):
            self._keep(self.stage.name, self.stage.snapshot(), self._clock.now_ms())
        self._kept_at_s = self._clock.monotonic_s()


def _without(positions: Sequence[Position], records: Sequence[Record]) -> Sequence[Record]:
    return tuple(record for record in records if Position(record.topic, record.partition) not in positions)
