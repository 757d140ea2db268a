"""The distributed bus: topics of a Kafka cluster."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any

from kafka import KafkaAdminClient, KafkaProducer
from kafka.partitioner.default import murmur2

from recwatch.core.bus import COMPACTED, Assigned, M, Record, known_topics
from recwatch.core.bus.brokers import REQUEST_S, Brokers, failures_of, starting
from recwatch.core.bus.codec import encode
from recwatch.core.bus.groups import Groups
from recwatch.core.bus.intake import Raw
from recwatch.core.bus.member import KafkaSubscription, Reading
from recwatch.core.bus.topics import DEAD_LETTERS, LARGEST_BYTES, check_topics, ensure_topics
from recwatch.core.bus.whole import read_whole
from recwatch.core.errors import Unavailable

logger = logging.getLogger(__name__)

# The producer tries for as long as recwatch runs: a message given up on may have landed, and the next try would double it.
FOREVER_MS = 7 * 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class _Reached:
    """What there is once the brokers answered."""

    partitions: int
    groups: Groups
    producer: KafkaProducer


class KafkaBus:
    """A bus on the cluster at `place`, whose topics it makes where they lack, with `partitions` each.

    The brokers need not be there yet: `connect` reaches them, and so does `subscribe`; before, all else raises Unavailable.

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
        self._partitions = partitions
        self._max_block_s = max_block_s
        self._patience = {
            "session_timeout_ms": round(session_s * 1000),
            "heartbeat_interval_ms": round(session_s * 100),
            "max_poll_interval_ms": round(stall_s * 1000),
        }
        self._unacknowledged: dict[tuple[str, int], tuple[Any, Any]] = {}
        self._closed = False
        self._opened = ExitStack()
        self._found: _Reached | None = None

    @property
    def partitions(self) -> int:
        """How many partitions every topic has but for that of duties."""
        return self._reached.partitions

    def connect(self) -> None:
        """Reach the brokers, and make the topics that lack; called by one thread. Raises Unavailable or BadInput."""
        if self._found is not None:
            return
        with ExitStack() as opened, starting(self._place) as arguments:
            admin = KafkaAdminClient(**arguments)
            opened.callback(admin.close)
            partitions = ensure_topics(admin, self._place, self._partitions)
            producer = KafkaProducer(
                **arguments,
                metrics_enabled=False,
                acks="all",
                enable_idempotence=True,
                delivery_timeout_ms=FOREVER_MS,
                max_block_ms=round(self._max_block_s * 1000),
                max_request_size=LARGEST_BYTES,
                allow_auto_create_topics=False,
            )
            opened.callback(producer.close, timeout=REQUEST_S)
            self._require_open()
            self._opened.push(opened.pop_all())
        self._found = _Reached(partitions, Groups(admin, self._place, partitions), producer)

    def publish(self, topic: str, key: str, message: Any) -> None:
        """Append one message; see `Bus`. Called again with a message that it gave up waiting for, it sends no second one."""
        self.publish_all([(topic, key, message)])

    def publish_all(self, waiting: list[M]) -> None:
        """Append messages; see `Bus`. A definition is acknowledged before what comes after it is sent."""
        known_topics(topic for topic, _, _ in waiting)
        while waiting:
            self._require_open()
            ahead_of_definition = next((n for n, (topic, _, _) in enumerate(waiting) if topic in COMPACTED), len(waiting))
            with failures_of(self._place):
                self._publish_first(ahead_of_definition or 1, waiting)

    def subscribe(
        self, group: str, topics: Sequence[str], on_assigned: Assigned | None = None, on_revoked: Assigned | None = None
    ) -> KafkaSubscription:
        known_topics(topics)
        self._require_open()
        self.connect()
        self._reached.groups.mark_start(group, topics)
        member = KafkaSubscription(
            self._place, Reading(group, topics, on_assigned, on_revoked), self._patience, self._put_aside
        )
        self._opened.callback(member.close)
        return member

    def partition_of(self, key: str) -> int:
        return int(murmur2(key.encode()) & 0x7FFFFFFF) % self.partitions

    def lag(self, group: str) -> int:
        return self._reached.groups.lag(group)

    def kept(self, topic: str) -> Sequence[Record]:
        known_topics((topic,))
        return read_whole(self._place, topic)

    def forget(self, group: str) -> None:
        self._reached.groups.forget(group)

    def close(self) -> None:
        self._closed = True
        with failures_of(self._place):
            self._opened.close()

    @property
    def _reached(self) -> _Reached:
        if self._found is None:
            raise Unavailable(f"bus {self._place}: it cannot be reached yet; see whether its brokers are up")
        return self._found

    def _require_open(self) -> None:
        if self._closed:
            raise Unavailable(f"bus {self._place}: it is closed; recwatch is stopping")

    def _publish_first(self, count: int, waiting: list[M]) -> None:
        """Send so many, but for those that are on their way; take out what is acknowledged in time."""
        futures: list[Any] = []
        try:
            for one in waiting[:count]:
                futures.append(self._sent(*one))  # noqa: PERF401 - those before one that is refused are on their way
            deadline = time.monotonic() + self._max_block_s
            for future in futures:
                future.get(timeout=max(0.0, deadline - time.monotonic()))
        finally:
            left = []
            for one, future in zip(waiting, futures, strict=False):
                over = future.is_done
                if over:
                    self._unacknowledged.pop((one[0], id(one[2])), None)
                if not (over and future.succeeded()):
                    left.append(one)
            waiting[: len(futures)] = left

    def _sent(self, topic: str, key: str, message: Any) -> Any:
        """What tells when a message is acknowledged, which is sent now unless it is on its way."""
        known = self._unacknowledged.get((topic, id(message)))
        if known is not None:
            return known[1]
        producer = self._reached.producer
        sent = producer.send(f"{self._place.prefix}.{topic}", encode(topic, message), key.encode())
        self._unacknowledged[topic, id(message)] = (message, sent)
        return sent

    def _put_aside(self, raw: Raw, reason: str) -> None:
        """Keep a message that nobody can read, as it came; its headers say whence and why."""
        whence = {"topic": raw.topic, "partition": raw.partition, "offset": raw.offset, "reason": reason}
        headers = [(name, str(value).encode()) for name, value in whence.items()]
        letters = f"{self._place.prefix}.{DEAD_LETTERS}"
        sent = self._reached.producer.send(letters, raw.value, raw.key or b"", headers=headers)
        sent.get(timeout=self._max_block_s)
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
