"""The embedded bus: topics in this process's memory, bounded, with the partitions and offsets of a real broker."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import xxhash

from recwatch.core.bus import COMPACTED, DUTIES, TOPICS, Assigned, M, Position, Record, known_topics
from recwatch.core.bus.group import Group
from recwatch.core.bus.log import Log
from recwatch.core.errors import Unavailable


class MemoryBus:
    """A bus of `partitions` partitions a topic, each holding `capacity` records that some group has not committed.

    A full partition makes `publish` wait up to `max_block_s` seconds for the slowest group, and then raise Unavailable. A
    group that all members left still counts: its records are kept for the next one.

    >>> bus = MemoryBus()
    >>> subscription = bus.subscribe("readers", ["marks"])
    >>> bus.publish("marks", "shop", "ranker v2 is out")
    >>> [record.message for record in subscription.poll(max_wait_s=0)]
    ['ranker v2 is out']
    """

    durable = False

    def __init__(self, partitions: int = 4, capacity: int = 10_000, max_block_s: float = 30.0) -> None:
        self._partitions = partitions
        self._capacity = capacity
        self._max_block_s = max_block_s
        self._logs = {Position(topic, number): Log(topic in COMPACTED) for topic in TOPICS for number in range(partitions)}
        self._logs[Position(DUTIES, 0)] = Log(compacted=False)
        self._groups: dict[str, Group] = {}
        self._changed = threading.Condition()
        self._closed = False

    def publish(self, topic: str, key: str, message: Any) -> None:
        known_topics((topic,))
        position = Position(topic, self.partition_of(key))
        log = self._logs[position]
        with self._changed:
            roomy = self._changed.wait_for(
                lambda: self._closed or log.count_since(self._wanted(position)) < self._capacity, self._max_block_s
            )
            if self._closed:
                raise Unavailable(f"cannot publish to {topic}: the bus is closed; recwatch is stopping")
            if not roomy:
                raise Unavailable(
                    f"{topic} partition {position.partition} is full: {self._slowest(position)} has not committed its"
                    f" {self._capacity} records for {self._max_block_s:g} s; see why that stage is slow"
                )
            log.append(position, key, message)
            self._free(position)
            self._changed.notify_all()

    def publish_all(self, waiting: list[M]) -> None:
        while waiting:
            self.publish(*waiting[0])
            del waiting[0]

    def subscribe(
        self, group: str, topics: Sequence[str], on_assigned: Assigned | None = None, on_revoked: Assigned | None = None
    ) -> MemorySubscription:
        known_topics(topics)
        with self._changed:
            joined = self._groups.setdefault(group, Group())
            for position, log in self._logs.items():
                if position.topic in topics:
                    joined.start.setdefault(position, log.late_start)
            member = MemorySubscription(self, joined, frozenset(topics), on_assigned, on_revoked)
            joined.deal([*joined.shares, member])
            self._changed.notify_all()
            return member

    def partition_of(self, key: str) -> int:
        return xxhash.xxh3_64_intdigest(key.encode()) % self._partitions

    def lag(self, group: str) -> int:
        with self._changed:
            known = self._groups.get(group)
            return sum(self._logs[p].count_since(known.wants(p)) for p in known.start) if known else 0

    def uncommitted(self, group: str) -> Sequence[Record]:
        """What a group has not committed, whoever polled it: definitions first, then in order within a partition."""
        with self._changed:
            known = self._groups.get(group)
            if known is None:
                return []
            positions = sorted(known.start, key=lambda p: (p.topic not in COMPACTED, p))
            return [record for p in positions for record in self._logs[p].since(known.wants(p))]

    def kept(self, topic: str) -> Sequence[Record]:
        known_topics((topic,))
        with self._changed:
            return [r for position, log in self._logs.items() if position.topic == topic for r in log.since(0)]

    def forget(self, group: str) -> None:
        with self._changed:
            self._groups.pop(group, None)
            for position in self._logs:
                self._free(position)
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _free(self, position: Position) -> None:
        self._logs[position].free_before(self._wanted(position))

    def _wanted(self, position: Position) -> int:
        wants = (group.wants(position) for group in self._groups.values() if position in group.start)
        return min(wants, default=self._logs[position].end)

    def _slowest(self, position: Position) -> str:
        return min((g.wants(position), name) for name, g in self._groups.items() if position in g.start)[1]


class MemorySubscription:
    """A member of a group on a `MemoryBus`; used by one thread, closed by any."""

    def __init__(
        self,
        bus: MemoryBus,
        group: Group,
        topics: frozenset[str],
        on_assigned: Assigned | None,
        on_revoked: Assigned | None,
    ) -> None:
        self.topics = topics
        self.generation = 0
        self._bus = bus
        self._group = group
        self._on_assigned = on_assigned
        self._on_revoked = on_revoked
        self._changed = bus._changed
        self._next: dict[Position, int] = {}

    def poll(self, max_wait_s: float) -> Sequence[Record]:
        """The next records, those of compacted topics first; see `Subscription`."""
        deadline = time.monotonic() + max_wait_s
        while True:
            self._give_up()
            self._take_on()
            with self._changed:
                records = self._take()
                if records or not self._changed.wait_for(self._stirred, deadline - time.monotonic()) or self._over:
                    return records

    def attend(self) -> None:
        self._give_up()
        self._take_on()

    def commit(self, offsets: Mapping[Position, int], metadata: Mapping[Position, str] | None = None) -> None:
        texts = metadata or {}
        with self._changed:
            for position, offset in offsets.items():
                if position not in self._next:
                    raise Unavailable(
                        f"cannot commit {position.topic} partition {position.partition}: it is another member's now"
                    )
                self._group.committed[position] = (offset, texts.get(position, ""))
                self._bus._free(position)
            self._changed.notify_all()

    def committed(self, position: Position) -> tuple[int, str] | None:
        with self._changed:
            return self._group.committed.get(position)

    def close(self) -> None:
        """Leave the group; `on_revoked` is not called, for the owner knows that it is leaving."""
        with self._changed:
            self._release(self._next)
            self._group.deal([member for member in self._group.shares if member is not self])
            self._changed.notify_all()

    @property
    def _over(self) -> bool:
        return self._bus._closed or self not in self._group.shares

    def _due(self) -> frozenset[Position]:
        """The partitions to own once every member has given up what it must."""
        return self._group.shares.get(self, frozenset())

    def _stirred(self) -> bool:
        """Whether a waiting poll has something to do."""
        return (
            self._over
            or not self._due() >= self._next.keys()
            or any(position not in self._group.owner for position in self._due())
            or any(self._bus._logs[position].count_since(offset) for position, offset in self._next.items())
        )

    def _give_up(self) -> None:
        with self._changed:
            leaving = sorted(self._next.keys() - self._due())
        if leaving and self._on_revoked:
            self._on_revoked(leaving)
        with self._changed:
            self._release(leaving)

    def _release(self, positions: Iterable[Position]) -> None:
        for position in list(positions):
            if self._next.pop(position, None) is not None:
                del self._group.owner[position]
                self._changed.notify_all()

    def _take_on(self) -> None:
        with self._changed:
            self.generation = self._group.generation
            gained = sorted(position for position in self._due() if position not in self._group.owner)
            for position in gained:
                self._group.owner[position] = self
                self._next[position] = 0 if position.topic in COMPACTED else self._group.wants(position)
        if gained and self._on_assigned:
            try:
                self._on_assigned(gained)
            except Unavailable:
                with self._changed:
                    self._release(gained)
                raise

    def _take(self) -> list[Record]:
        taken: list[Record] = []
        if self._over:
            return taken
        for position in sorted(self._next, key=lambda p: (p.topic not in COMPACTED, p)):
            records = self._bus._logs[position].since(self._next[position])
            if records:
                self._next[position] = records[-1].offset + 1
                taken += records
        return taken
