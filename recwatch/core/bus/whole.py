"""A compacted topic of a Kafka cluster, read whole and without a group, by whoever wants to know how things are."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing

from kafka import KafkaConsumer, TopicPartition

from recwatch.core.bus import Record
from recwatch.core.bus.brokers import REQUEST_MS, Brokers, failures_of, starting
from recwatch.core.bus.intake import Raw, record_of
from recwatch.core.errors import BadInput, Unavailable

WHOLE_S = 30.0
POLL_MS = 250


def read_whole(place: Brokers, topic: str) -> Sequence[Record]:
    """The records that a topic has when asked, in order within a partition, but for those that nobody can read."""
    with starting(place) as arguments:
        consumer = KafkaConsumer(
            **arguments, metrics_enabled=False, enable_auto_commit=False, allow_auto_create_topics=False
        )
    with closing(consumer), failures_of(place):
        numbers = consumer.partitions_for_topic(name := f"{place.prefix}.{topic}")
        if not numbers:
            raise Unavailable(f"bus {place}: topic {name} is not there; see its brokers")
        return _read_to_the_end(place, consumer, [TopicPartition(name, number) for number in sorted(numbers)])


def _read_to_the_end(place: Brokers, consumer: KafkaConsumer, partitions: Sequence[TopicPartition]) -> Sequence[Record]:
    ends = consumer.end_offsets(partitions, timeout_ms=REQUEST_MS)
    consumer.assign(partitions)
    consumer.seek_to_beginning(*partitions)
    records: list[Record] = []
    deadline = time.monotonic() + WHOLE_S
    while any((consumer.position(p, timeout_ms=REQUEST_MS) or 0) < ends[p] for p in partitions):
        if time.monotonic() > deadline:
            raise Unavailable(f"bus {place}: {partitions[0].topic} cannot be read to its end; see its brokers")
        for raw in consumer.poll(timeout_ms=POLL_MS).values():
            records += _readable(place, raw)
    return records


def _readable(place: Brokers, raw: Sequence[Raw]) -> list[Record]:
    """Who reads as a member of a group sets the rest aside."""
    records = []
    for one in raw:
        try:
            records.append(record_of(place, one))
        except BadInput:
            continue
    return records
