"""What no part of recwatch does with its brokers: publish again, put there what cannot be read, read what was put aside."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from recwatch.core.bus.brokers import parse_brokers
from recwatch.core.bus.topics import DEAD_LETTERS

POISONED = ("samples", "anomalies", "incidents")
POISON = b"nobody can read this"
READ_MS = 1000
Place = tuple[str, int, int]
"""Topic, partition and offset."""


def publish_again(dsn: str) -> int:
    """Publish everything that lies in `samples` once more; how many messages that were."""
    topic = f"{parse_brokers(dsn).prefix}.samples"
    records = _lying_in(dsn, topic)
    with closing(_producer(dsn)) as producer:
        for record in records:
            producer.send(topic, record.value, record.key).get(timeout=10)
    return len(records)


def put_poison(dsn: str) -> set[Place]:
    """Put what cannot be read into every partition of `POISONED`."""
    prefix = parse_brokers(dsn).prefix
    put = set()
    with closing(_producer(dsn)) as producer:
        for topic in (f"{prefix}.{name}" for name in POISONED):
            for partition in producer.partitions_for(topic):
                sent = producer.send(topic, POISON, b"nobody", partition=partition).get(timeout=10)
                put.add((topic, partition, sent.offset))
    return put


def dead_letters(dsn: str) -> set[Place]:
    """Where those messages lay that are set aside as they came, with a reason."""
    found = set()
    for record in _lying_in(dsn, f"{parse_brokers(dsn).prefix}.{DEAD_LETTERS}"):
        headers = {name: value.decode() for name, value in record.headers}
        if record.value == POISON and headers["reason"]:
            found.add((headers["topic"], int(headers["partition"]), int(headers["offset"])))
    return found


def _lying_in(dsn: str, topic: str) -> list[Any]:
    with closing(KafkaConsumer(**parse_brokers(dsn).arguments(), auto_offset_reset="earliest")) as consumer:
        partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic)]
        consumer.assign(partitions)
        ends = consumer.end_offsets(partitions)
        found: list[Any] = []
        while any(consumer.position(partition) < end for partition, end in ends.items()):
            for records in consumer.poll(timeout_ms=READ_MS).values():
                found += records
    return found


def _producer(dsn: str) -> KafkaProducer:
    return KafkaProducer(**parse_brokers(dsn).arguments(), acks="all")
