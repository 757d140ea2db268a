"""The distributed bus: topics of a Kafka cluster."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from typing import Any, TypeVar

import stamina
from kafka import KafkaAdminClient, KafkaProducer, OffsetAndMetadata, OffsetSpec, TopicPartition
from kafka.errors import KafkaTimeoutError
from kafka.partitioner.default import murmur2

from recwatch.core.bus import COMPACTED, DUTIES, Assigned, known_topics
from recwatch.core.bus.brokers import REQUEST_S, Brokers, failures_of, starting
from recwatch.core.bus.codec import encode
from recwatch.core.bus.member import START, KafkaSubscription, Raw, Reading
from recwatch.core.bus.topics import DEAD_LETTERS, LARGEST_BYTES, check_topics, ensure_topics
from recwatch.core.errors import Unavailable

logger = logging.getLogger(__name__)

# The producer tries for as long as recwatch runs: a message given up on may have landed, and the next try would double it.
FOREVER_MS = 7 * 24 * 3600 * 1000
T = TypeVar("T")


class KafkaBus:
    """A bus on the cluster at `place`, whose topics it makes where they lack, with `partitions` each.

    `publish` waits up to `max_block_s` seconds for its acknowledgement. A member that is silent for `session_s` seconds, or
    that does not poll for `stall_s`, loses its partitions to the others. How much the bus holds is the retention of its
    topics; what that deletes unread is logged by whoever would have read it.
    """

    durable = True

    def __init__(
        self,
        place: Brokers,
        partitions: int = 4,
        max_block_s: float = 30.0,
        session_s: float = 10.0,
        stall_s: float = 60.0,
    ) -> None:
        self._place = place
        self._max_block_s = max_block_s
        self._patience = {
            "session_timeout_ms": round(session_s * 1000),
            "heartbeat_interval_ms": round(session_s * 100),
            "max_poll_interval_ms": round(stall_s * 1000),
        }
        self._unacknowledged: dict[int, tuple[Any, Any]] = {}
        self._closed = False
        with ExitStack() as opened, starting(place) as arguments:
            self._admin = KafkaAdminClient(**arguments)
            opened.callback(self._admin.close)
            self.partitions = ensure_topics(self._admin, place, partitions)
            self._producer = KafkaProducer(
                **arguments,
                metrics_enabled=False,
                acks="all",
                enable_idempotence=True,
                delivery_timeout_ms=FOREVER_MS,
                max_block_ms=round(max_block_s * 1000),
                max_request_size=LARGEST_BYTES,
                allow_auto_create_topics=False,
            )
            opened.callback(self._producer.close, timeout=REQUEST_S)
            self._opened = opened.pop_all()

    def publish(self, topic: str, key: str, message: Any) -> None:
        """Append one message; see `Bus`. Called again with a message that it gave up waiting for, it sends no second one."""
        known_topics((topic,))
        if self._closed:
            raise Unavailable(f"cannot publish to {topic}: the bus is closed; recwatch is stopping")
        _, sent = self._unacknowledged.pop(id(message), (None, None))
        with failures_of(self._place):
            if sent is None:
                sent = self._producer.send(f"{self._place.prefix}.{topic}", encode(topic, message), key.encode())
            try:
                sent.get(timeout=self._max_block_s)
            except KafkaTimeoutError:
                if not sent.is_done:
                    self._unacknowledged[id(message)] = (message, sent)
                raise

    def subscribe(
        self, group: str, topics: Sequence[str], on_assigned: Assigned | None = None, on_revoked: Assigned | None = None
    ) -> KafkaSubscription:
        known_topics(topics)
        with failures_of(self._place):
            self._mark_start(group, topics)
        member = KafkaSubscription(
            self._place, Reading(group, topics, on_assigned, on_revoked), self._patience, self._put_aside
        )
        self._opened.callback(member.close)
        return member

    def partition_of(self, key: str) -> int:
        return int(murmur2(key.encode()) & 0x7FFFFFFF) % self.partitions

    def lag(self, group: str) -> int:
        with failures_of(self._place):
            committed = self._committed(group)
            ends = self._ends(committed, OffsetSpec.LATEST)
        return sum(ends[partition] - found.offset for partition, found in committed.items())

    def close(self) -> None:
        self._closed = True
        with failures_of(self._place):
            self._opened.close()

    def _mark_start(self, group: str, topics: Iterable[str]) -> None:
        """Commit where the group begins in topics it has never read. The brokers refuse once it has members."""
        numbers = {topic: range(1 if topic == DUTIES else self.partitions) for topic in topics}
        wanted = {TopicPartition(f"{self._place.prefix}.{topic}", n): topic for topic in topics for n in numbers[topic]}
        new = wanted.keys() - self._committed(group).keys()
        starts = self._ends([p for p in new if wanted[p] not in COMPACTED], OffsetSpec.LATEST)
        starts |= self._ends([p for p in new if wanted[p] in COMPACTED], OffsetSpec.EARLIEST)
        begun = {partition: OffsetAndMetadata(offset, START, -1) for partition, offset in starts.items()}
        self._asked(lambda: self._admin.alter_group_offsets(f"{self._place.prefix}.{group}", begun))

    def _committed(self, group: str) -> Mapping[TopicPartition, OffsetAndMetadata]:
        name = f"{self._place.prefix}.{group}"
        found: Mapping[TopicPartition, OffsetAndMetadata] = self._asked(lambda: self._admin.list_group_offsets(name)[name])
        return {partition: what for partition, what in found.items() if what.offset >= 0}

    def _ends(self, partitions: Iterable[TopicPartition], which: OffsetSpec) -> dict[TopicPartition, int]:
        specs = dict.fromkeys(partitions, which)
        found = self._asked(lambda: self._admin.list_partition_offsets(specs))
        return {partition: where.offset for partition, where in found.items()}

    def _asked(self, ask: Callable[[], T]) -> T:
        """What the brokers answer. The client that asks about groups does not itself try again while they move."""
        for attempt in stamina.retry_context(on=_passes, timeout=REQUEST_S, wait_initial=0.05):
            with attempt:
                if attempt.num > 1:
                    # kafka-python 3.0.12 asks a group's first coordinator for good, also where another broker is it by now.
                    self._admin._manager.cluster._coordinators.clear()
                answer = ask()
        return answer

    def _put_aside(self, raw: Raw, reason: str) -> None:
        """Keep a message that nobody can read, as it came; its headers say whence and why."""
        whence = {"topic": raw.topic, "partition": raw.partition, "offset": raw.offset, "reason": reason}
        headers = [(name, str(value).encode()) for name, value in whence.items()]
        self._producer.send(f"{self._place.prefix}.{DEAD_LETTERS}", raw.value, raw.key or b"", headers=headers).get(
            timeout=self._max_block_s
        )
        logger.warning(
            "bus %s: %s partition %d offset %d is set aside in %s: %s",
            *(self._place, raw.topic, raw.partition, raw.offset, DEAD_LETTERS, reason),
        )


def check(place: Brokers) -> None:
    """Raise Unavailable where the brokers cannot be reached, BadInput where they or their topics cannot be used."""
    with starting(place) as arguments:
        admin = KafkaAdminClient(**arguments)
    with closing(admin):
        check_topics(admin, place)


def _passes(error: Exception) -> bool:
    return bool(getattr(error, "retriable", False))
