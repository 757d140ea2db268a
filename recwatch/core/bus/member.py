"""One member of a group that reads from Kafka."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.structs import MemberState

from recwatch.core.bus import COMPACTED, Assigned, Position, Record
from recwatch.core.bus.brokers import REQUEST_S, Brokers, failures_of, starting
from recwatch.core.bus.changes import Changes
from recwatch.core.bus.codec import decode
from recwatch.core.bus.shares import WholeServices
from recwatch.core.errors import BadInput, Unavailable

logger = logging.getLogger(__name__)

START = "start"
"""The metadata of an offset that no member committed: where a group begins."""
SLICE_S = 0.25
"""For how long a poll that waits may keep a `close` from another thread waiting."""
CATCH_UP_S = 30.0
JOIN_MS = 1000
"""How long a poll stays while the group shares its partitions out, for who polls briefly to take part."""
MOST_RECORDS, MOST_PARTITION_BYTES = 2_000, 4 * 2**20
"""What one poll may bring: who has fallen behind pays for a poll, and for what follows each, less often."""
REQUEST_MS = round(REQUEST_S * 1000)
Raw = Any
"""A record as the client gives it: topic, partition, offset, key, value."""


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
        self._set_aside = set_aside
        self._owned: set[TopicPartition] = set()
        self._next: dict[TopicPartition, int] = {}
        self._aside: set[tuple[TopicPartition, int]] = set()
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
            done[partition] = OffsetAndMetadata(self._past_aside(partition, offset), texts.get(position, ""), -1)
        with failures_of(self._place):
            self._consumer.commit(done, timeout_ms=REQUEST_MS)
        self._aside = {(p, offset) for p, offset in self._aside if p not in done or offset >= done[p].offset}

    def committed(self, position: Position) -> tuple[int, str] | None:
        found = self._found(self._partition(position))
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
            self._next |= {partition: self._consumer.position(partition, timeout_ms=REQUEST_MS) for partition in gained}
            if self._reading.on_assigned:
                self._reading.on_assigned([self._position(partition) for partition in gained])
            self._untold.clear()

    def _given_up(self, partitions: Iterable[TopicPartition], lost: bool) -> None:
        """Called while a poll waits, before these are another's; where they are `lost` already, after."""
        leaving = sorted(partitions)
        if lost:
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
            if time.monotonic() > deadline:
                raise Unavailable(f"bus {self._place}: {behind[0].topic} cannot be read to its end; see its brokers")
            with self._paused(self._owned - compacted):
                self._fetch(SLICE_S)

    def _fetch(self, wait_s: float) -> None:
        """Take part in rebalances, and take the next records into `_held`."""
        self._tell_of_gains()
        if not self._consumer._fetcher._next_partition_records:
            # kafka-python 3.0.12 gives what it had read of a paused partition back only where this is None, and not where it
            # is used up; such a partition would be silent for good.
            self._consumer._fetcher._next_partition_records = None
        fetched = self._consumer.poll(timeout_ms=round(wait_s * 1000))
        if not fetched and self._sharing_out:
            fetched = self._consumer.poll(timeout_ms=JOIN_MS)
            if self._sharing_out:
                # kafka-python 3.0.12 forgets, and is silent for good, if it joined because the topics' metadata changed and
                # the outcome came between two polls. Asked again it joins again; one that is still joining goes on.
                self._consumer._coordinator.request_rejoin()
        try:
            self._held += [record for partition, raw in fetched.items() for record in self._read(partition, raw)]
        except Exception:
            for partition, raw in fetched.items():
                self._consumer.seek(partition, raw[0].offset)
            raise
        for partition, raw in fetched.items():
            self._notice_a_gap(partition, raw[0].offset)
            self._next[partition] = raw[-1].offset + 1
        self._changes.raise_failure()

    @property
    def _sharing_out(self) -> bool:
        return bool(self._consumer.group_metadata().state != MemberState.STABLE)

    def _read(self, partition: TopicPartition, raw: Sequence[Raw]) -> Iterator[Record]:
        position = self._position(partition)
        for one in raw:
            try:
                message = decode(position.topic, one.value)
            except BadInput as error:
                self._put_aside(partition, one, str(error))
            else:
                yield Record(*position, one.offset, (one.key or b"").decode(errors="replace"), message)

    def _put_aside(self, partition: TopicPartition, raw: Raw, reason: str) -> None:
        """Have it kept elsewhere, and commit past it if all before it is committed: perhaps nothing ever comes after it.

        What lies before that was set aside already, and is read again only because its topic is compacted.
        """
        found = self._found(partition)
        if found is not None and found.offset > raw.offset:
            return
        self._set_aside(raw, reason)
        self._aside.add((partition, raw.offset))
        if found is not None and found.offset == raw.offset:
            beyond = OffsetAndMetadata(self._past_aside(partition, raw.offset), found.metadata, -1)
            self._consumer.commit({partition: beyond}, timeout_ms=REQUEST_MS)

    def _past_aside(self, partition: TopicPartition, offset: int) -> int:
        while (partition, offset) in self._aside:
            offset += 1
        return offset

    def _notice_a_gap(self, partition: TopicPartition, offset: int) -> None:
        lost = offset - self._next.get(partition, offset)
        if lost > 0 and self._position(partition).topic not in COMPACTED:
            logger.warning(
                "bus %s: %s partition %d: its retention deleted %d messages before group %s read them; read faster, or keep"
                " them longer",
                *(self._place, partition.topic, partition.partition, lost, self._reading.group),
            )

    @contextmanager
    def _paused(self, partitions: Iterable[TopicPartition]) -> Iterator[None]:
        self._consumer.pause(*(self._consumer.assignment() & set(partitions)))
        try:
            yield
        finally:
            self._consumer.resume(*(self._consumer.paused() & self._consumer.assignment()))

    def _found(self, partition: TopicPartition) -> OffsetAndMetadata | None:
        with failures_of(self._place):
            return self._consumer.committed(partition, metadata=True, timeout_ms=REQUEST_MS)

    def _partition(self, position: Position) -> TopicPartition:
        return TopicPartition(f"{self._place.prefix}.{position.topic}", position.partition)

    def _position(self, partition: TopicPartition) -> Position:
        return Position(partition.topic.removeprefix(f"{self._place.prefix}."), partition.partition)
