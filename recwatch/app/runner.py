"""Drives a stage: polls for it, retries it, publishes what it says, commits, and keeps its memory."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from recwatch.app.handled import Handled
from recwatch.app.shard import Shard, Snapshots
from recwatch.app.threads import Trouble
from recwatch.core.bus import Bus, Position, Record
from recwatch.core.clock import Clock
from recwatch.core.errors import Unavailable
from recwatch.core.stage import Buffered, Stage

logger = logging.getLogger(__name__)

SNAPSHOT_EVERY_S = 30.0
POLL_WAIT_S = 1.0
Placed = TypeVar("Placed", Position, Record)


@dataclass(slots=True)
class StageCounts:
    """What a runner has seen so far; `rebalances` are the times that partitions were gained.

    `handled` is told of what was handled and published; of what a `Buffered` stage has stored, whoever made that tells it.
    """

    handled: Handled
    records: int = 0
    published: int = 0
    unavailable: int = 0
    rebalances: int = 0


@dataclass(frozen=True, slots=True)
class Fence:
    """What keeps a process from acting in place of its successor: `confirm` raises Unavailable once there is one.

    Its snapshots replace none of a later `generation`.
    """

    generation: int = 0
    confirm: Callable[[], None] = lambda: None


class StageRunner:
    """Calls `stage.process` with what was polled, publishes the outcome, then commits.

    Where the world is `Unavailable` the same records, or the rest of the same messages, are tried again at a later step: so
    a stage sees a record at least once and the bus gets each message at least once.

    On a durable bus, a stage with memory that `again` makes more of runs once for each partition number that this member of
    its group owns, and its memory moves with that number; any other reads all partitions by itself. The group is called as
    the stage is, unless `group` says otherwise.
    """

    def __init__(  # noqa: PLR0913  (the parts that it connects)
        self,
        stage: Stage,
        bus: Bus,
        clock: Clock,
        store: Snapshots | None = None,
        *,
        again: Callable[[], Stage] | None = None,
        fence: Fence | None = None,
        counts: StageCounts | None = None,
        group: str = "",
    ) -> None:
        self.stage = stage
        self.name = stage.name
        self.group = group or stage.name
        self.counts = counts or StageCounts(Handled(clock))
        self._bus = bus
        self._clock = clock
        self._store = store
        self._again = again if bus.durable else None
        self._fence = fence or Fence()
        self._shards: dict[int | None, Shard] = {} if self._again else {None: self._shard(None, self._fence.generation)}
        self._subscription = bus.subscribe(self.group, stage.topics, self._take_on, self._give_up)
        self._trouble = Trouble(stage.name)
        self._kept_at_s = clock.monotonic_s()

    @property
    def trouble(self) -> str:
        """What the last step failed of, in a sentence; empty where it did not."""
        return self._trouble.sentence

    def step(self, max_wait_s: float = POLL_WAIT_S) -> float:
        """Do one round of work. Returns the seconds to wait before the next; 0 unless the world is away."""
        try:
            if any(shard.busy for shard in self._shards.values()):
                self._subscription.attend()
            else:
                self._share_out(max_wait_s)
            self._finish()
            for shard in self._shards.values():
                self.counts.records += shard.handle(self._clock.now_ms())
            self._finish()
            self._keep(everything=self._clock.monotonic_s() - self._kept_at_s >= SNAPSHOT_EVERY_S)
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
        try:
            if isinstance(self.stage, Buffered):
                self.stage.flush()
            self._finish()
            self._keep(everything=True)
        finally:
            self._subscription.close()

    def _share_out(self, max_wait_s: float) -> None:
        for key, records in self._by_shard(self._subscription.poll(max_wait_s)).items():
            self._shards[key].give(records)

    def _finish(self) -> None:
        """Publish and commit what is left of the last round, if it is still this process that acts."""
        self._fence.confirm()
        self._publish()
        for shard in self._shards.values():
            settled = shard.settle()
            shard.commit(self._subscription)
            if not isinstance(self.stage, Buffered):
                self.counts.handled.take(record.message for record in settled)

    def _publish(self) -> None:
        """Publish what all shards said, and wait once for all of it; what is acknowledged is not published again."""
        waiting = [outgoing for shard in self._shards.values() for outgoing in shard.outgoing]
        self.counts.published += len(waiting)
        try:
            self._bus.publish_all(waiting)
        finally:
            self.counts.published -= len(waiting)
            left = set(map(id, waiting))
            for shard in self._shards.values():
                shard.outgoing = [outgoing for outgoing in shard.outgoing if id(outgoing) in left]

    def _keep(self, *, everything: bool) -> None:
        """Keep the memory of every shard, or of those that did what must not be done again."""
        for shard in self._shards.values():
            if everything or shard.acted:
                shard.keep(self._clock.now_ms())
                shard.commit(self._subscription)
        if everything:
            self._kept_at_s = self._clock.monotonic_s()

    def _take_on(self, positions: Sequence[Position]) -> None:
        self.counts.rebalances += 1
        if isinstance(self.stage, Buffered):
            self.stage.take_on(positions, self._subscription)
        gained = {}
        for key, mine in self._by_shard(positions).items():
            gained[key] = self._shards.get(key) or self._shard(key, self._subscription.generation)
            gained[key].take_on(mine, self._subscription)
        self._shards |= gained

    def _give_up(self, positions: Sequence[Position]) -> None:
        """Of partitions that go to another member, what is not committed is that member's to handle."""
        if isinstance(self.stage, Buffered):
            self.stage.give_up(positions)
        for key, theirs in self._by_shard(positions).items():
            if key is None:
                self._shards[key].give_up(theirs)
            else:
                self._hand_over(key, self._shards.pop(key))

    def _hand_over(self, key: int, shard: Shard) -> None:
        try:
            shard.keep(self._clock.now_ms())
            shard.commit(self._subscription)
        except Unavailable as error:
            logger.warning("%s/%d: its next owner repeats what was not kept: %s", self.stage.name, key, error)

    def _shard(self, key: int | None, generation: int) -> Shard:
        name = self.stage.name if key is None else f"{self.stage.name}/{key}"
        stage = self._again() if self._again else self.stage
        return Shard(stage, name, self._store, lasts=self._bus.durable, generation=generation)

    def _by_shard(self, placed: Sequence[Placed]) -> Mapping[int | None, Sequence[Placed]]:
        """Records or positions by the shard that reads them."""
        found: defaultdict[int | None, list[Placed]] = defaultdict(list)
        for one in placed:
            found[one.partition if self._again else None].append(one)
        return found
