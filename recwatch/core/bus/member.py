"""One member of a group that reads from Kafka."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.structs import MemberState

from recwatch.core.bus import COMPACTED, Assigned, Position, Record
from recwatch.core.bus.brokers import REQUEST_MS, Brokers, failures_of, starting
from recwatch.core.bus.changes import Changes
from recwatch.core.bus.groups import START
from recwatch.core.bus.intake import Intake, Raw, position_of
from recwatch.core.bus.quirks import give_back_paused, join_again
from recwatch.core.bus.shares import WholeServices
from recwatch.core.errors import Unavailable

SLICE_S = 0.25
"""For how long a poll that waits may keep a `close` from another thread waiting."""
CATCH_UP_S = 30.0
JOIN_MS = 1000
"""How long a poll stays while the group shares its partitions out, for who polls briefly to take part."""
MOST_RECORDS, MOST_PARTITION_BYTES = 2_000, 4 * 2**20
"""What one poll may bring: who has fallen behind pays for a poll, and for what follows each, less often."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a member reads, and whom it tells of its partitions."""

    group: str
    topics: Sequence[str]
    on_assigned: Assigned | None = None
    on_revoked: Assigned | None = None


class KafkaSubscription:
    """A member of a group on a `KafkaBus`; used by one thread, closed by any.

    What cannot be read goes to `set_aside` with the reason, and counts as read.
    """

    def __init__(
        self,
        place: Brokers,
        reading: Reading,
        patience: Mapping[str, int],
        set_aside: Callable[[Raw, str], None],
    ) -> None:
        self._place = place
        self._reading = reading
        self._owned: set[TopicPartition] = set()
        self._held: list[Record] = []
        self._untold: set[TopicPartition] = set()
        self._leaving = False
        self._using = threading.Lock()
        self._shares = WholeServices(lambda: self._owned)
        with starting(place) as arguments:
            self._consumer = KafkaConsumer(
                **arguments,
                **patience,
                metrics_enabled=False,
                group_id=f"{place.prefix}.{reading.group}",
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                allow_auto_create_topics=False,
                max_poll_records=MOST_RECORDS,
                max_partition_fetch_bytes=MOST_PARTITION_BYTES,
                partition_assignment_strategy=[self._shares],
            )
            names = [f"{place.prefix}.{topic}" for topic in reading.topics]
            self._intake = Intake(place, reading.group, self._consumer, set_aside)
            self._changes = Changes(place, self._consumer, self._gained, self._given_up)
            self._consumer.subscribe(names, listener=self._changes)
            self._consumer.partitions_for_topic(names[0])  # who joins without knowing the partitions has to join twice

    @property
    def generation(self) -> int:
        return self._shares.generation

    def poll(self, max_wait_s: float) -> Sequence[Record]:
        """The next records, those of compacted topics first; see `Subscription`."""
        deadline = time.monotonic() + max_wait_s
        while True:
            with self._using:
                if self._leaving:
                    return []
                left_s = deadline - time.monotonic()
                records = self._round(min(max(left_s, 0.0), SLICE_S))
                if self._leaving:
                    return []
            if records or left_s <= 0:
                return records

    def attend(self) -> None:
        with self._using, failures_of(self._place):
            if not self._leaving:
                with self._paused(self._owned):
                    self._fetch(0.0)

    def commit(self, offsets: Mapping[Position, int], metadata: Mapping[Position, str] | None = None) -> None:
        done, texts = {}, metadata or {}
        for position, offset in offsets.items():
            partition = self._partition(position)
            if partition not in self._owned:
                raise Unavailable(
                    f"cannot commit {position.topic} partition {position.partition}: it is another member's now"
                )
            done[partition] = OffsetAndMetadata(self._intake.past_aside(partition, offset), texts.get(position, ""), -1)
        with failures_of(self._place):
            self._consumer.commit(done, timeout_ms=REQUEST_MS)
        self._intake.committed(done)

    def committed(self, position: Position) -> tuple[int, str] | None:
        with failures_of(self._place):
            found = self._consumer.committed(self._partition(position), metadata=True, timeout_ms=REQUEST_MS)
        return None if found is None or found.metadata == START else (found.offset, found.metadata)

    def close(self) -> None:
        """Leave the group; `on_revoked` is not called, for the owner knows that it is leaving."""
        self._leaving = self._changes.over = True
        with self._using, failures_of(self._place):
            self._owned.clear()
            self._consumer.close(autocommit=False, timeout_ms=REQUEST_MS)

    def _gained(self, partitions: Iterable[TopicPartition]) -> None:
        """Called while a poll waits, once these are ours."""
        self._owned.update(partitions)
        self._untold.update(partitions)
        compacted = [partition for partition in partitions if self._position(partition).topic in COMPACTED]
        if compacted:
            self._consumer.seek_to_beginning(*compacted)
        self._tell_of_gains()

    def _tell_of_gains(self) -> None:
        """No record is given out before whoever reads could begin with its partition."""
        if self._untold:
            gained = sorted(self._untold)
            for partition in gained:
                self._intake.begin(partition, self._consumer.position(partition, timeout_ms=REQUEST_MS))
            if self._reading.on_assigned:
                self._reading.on_assigned([self._position(partition) for partition in gained])
            self._untold.clear()

    def _given_up(self, partitions: Iterable[TopicPartition], lost: bool) -> None:
        """Called while a poll waits, before these are another's; where they are `lost` already, after."""
        leaving = sorted(partitions)
        if lost:
            self._shares.generation = 0
            self._owned.difference_update(leaving)
        try:
            if self._reading.on_revoked:
                self._reading.on_revoked([self._position(partition) for partition in leaving])
        finally:
            self._owned.difference_update(leaving)
            self._untold.difference_update(leaving)
            self._held = [r for r in self._held if self._partition(Position(r.topic, r.partition)) in self._owned]

    def _round(self, wait_s: float) -> list[Record]:
        with failures_of(self._place):
            self._fetch(wait_s)
            if any(record.topic not in COMPACTED for record in self._held):
                self._catch_up()
        records, self._held = self._held, []
        return sorted(records, key=lambda r: (r.topic not in COMPACTED, r.topic, r.partition))

    def _catch_up(self) -> None:
        """Read compacted topics to where they end now: what was read of others may rest on a definition that lies there."""
        compacted = {partition for partition in self._owned if self._position(partition).topic in COMPACTED}
        if not compacted:
            return
        ends = self._consumer.end_offsets(sorted(compacted), timeout_ms=REQUEST_MS)
        deadline = time.monotonic() + CATCH_UP_S
        while behind := [p for p in compacted & self._owned if (self._consumer.position(p) or 0) < ends[p]]:
            if self._leaving:
                return
            if time.monotonic() > deadline:
                raise Unavailable(f"bus {self._place}: {behind[0].topic} cannot be read to its end; see its brokers")
            with self._paused(self._owned - compacted):
                self._fetch(SLICE_S)

    def _fetch(self, wait_s: float) -> None:
        """Take part in rebalances, and take the next records into `_held`."""
        self._tell_of_gains()
        give_back_paused(self._consumer)
        fetched = self._consumer.poll(timeout_ms=round(wait_s * 1000))
        if not fetched and self._sharing_out:
            fetched = self._consumer.poll(timeout_ms=JOIN_MS)
            if self._sharing_out:
                join_again(self._consumer)
        self._held += self._intake.take(fetched)
        self._changes.raise_failure()

    @property
    def _sharing_out(self) -> bool:
        return bool(self._consumer.group_metadata().state != MemberState.STABLE)

    @contextmanager
    def _paused(self, partitions: Iterable[TopicPartition]) -> Iterator[None]:
        self._consumer.pause(*(self._consumer.assignment() & set(partitions)))
        try:
            yield
        finally:
            self._consumer.resume(*(self._consumer.paused() & self._consumer.assignment()))

    def _partition(self, position: Position) -> TopicPartition:
        return TopicPartition(f"{self._place.prefix}.{position.topic}", position.partition)

    def _position(self, partition: TopicPartition) -> Position:
        return position_of(self._place, partition)
