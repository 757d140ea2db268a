"""What a member of a group on Kafka is sent, as it comes: bytes in, records out; what nobody can read is set aside."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition

from recwatch.core.bus import COMPACTED, Position, Record
from recwatch.core.bus.brokers import REQUEST_MS, Brokers
from recwatch.core.bus.codec import decode
from recwatch.core.errors import BadInput

logger = logging.getLogger(__name__)

Raw = Any
"""A record as the client gives it: topic, partition, offset, key, value."""


class Intake:
    """Reads what `consumer` fetched for `group`. What cannot be read goes to `set_aside` with the reason; it counts as read.

    Says in the log what retention deleted before it was read.
    """

    def __init__(self, place: Brokers, group: str, consumer: KafkaConsumer, set_aside: Callable[[Raw, str], None]) -> None:
        self._place = place
        self._group = group
        self._consumer = consumer
        self._set_aside = set_aside
        self._next: dict[TopicPartition, int] = {}
        self._aside: set[tuple[TopicPartition, int]] = set()

    def begin(self, partition: TopicPartition, offset: int) -> None:
        """Expect this record of a partition next."""
        self._next[partition] = offset

    def take(self, fetched: Mapping[TopicPartition, Sequence[Raw]]) -> list[Record]:
        """The records. If that fails, the consumer fetches all of it again."""
        try:
            records = [record for partition, raw in fetched.items() for record in self._read(partition, raw)]
        except Exception:
            for partition, raw in fetched.items():
                self._consumer.seek(partition, raw[0].offset)
            raise
        for partition, raw in fetched.items():
            self._notice_a_gap(partition, raw[0].offset)
            self._next[partition] = raw[-1].offset + 1
        return records

    def past_aside(self, partition: TopicPartition, offset: int) -> int:
        """The offset to commit in place of this one: that of the next record which can be read."""
        while (partition, offset) in self._aside:
            offset += 1
        return offset

    def committed(self, done: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
        """Forget what was set aside and is committed."""
        self._aside = {(p, offset) for p, offset in self._aside if p not in done or offset >= done[p].offset}

    def _read(self, partition: TopicPartition, raw: Sequence[Raw]) -> Iterator[Record]:
        for one in raw:
            try:
                yield record_of(self._place, one)
            except BadInput as error:
                self._put_aside(partition, one, str(error))

    def _put_aside(self, partition: TopicPartition, raw: Raw, reason: str) -> None:
        """Have it kept elsewhere, and commit past it if all before it is committed: perhaps nothing ever comes after it.

        What lies before that was set aside already, and is read again only because its topic is compacted.
        """
        found = self._consumer.committed(partition, metadata=True, timeout_ms=REQUEST_MS)
        if found is not None and found.offset > raw.offset:
            return
        self._set_aside(raw, reason)
        self._aside.add((partition, raw.offset))
        if found is not None and found.offset == raw.offset:
            beyond = OffsetAndMetadata(self.past_aside(partition, raw.offset), found.metadata, -1)
            self._consumer.commit({partition: beyond}, timeout_ms=REQUEST_MS)

    def _notice_a_gap(self, partition: TopicPartition, offset: int) -> None:
        lost = offset - self._next.get(partition, offset)
        if lost > 0 and position_of(self._place, partition).topic not in COMPACTED:
            logger.warning(
                "bus %s: %s partition %d: its retention deleted %d messages before group %s read them; read faster, or keep"
                " them longer",
                *(self._place, partition.topic, partition.partition, lost, self._group),
            )


def position_of(place: Brokers, partition: TopicPartition) -> Position:
    """A partition in our words."""
    return Position(partition.topic.removeprefix(f"{place.prefix}."), partition.partition)


def record_of(place: Brokers, raw: Raw) -> Record:
    """A record in our words. Raises BadInput where its bytes are no word of its topic."""
    position = position_of(place, TopicPartition(raw.topic, raw.partition))
    return Record(*position, raw.offset, (raw.key or b"").decode(errors="replace"), decode(position.topic, raw.value))
