"""What the brokers keep of groups: where each begins, how far it has come, and how far it is behind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

import stamina
from kafka import KafkaAdminClient, OffsetAndMetadata, OffsetSpec, TopicPartition
from kafka import errors as kafka_errors

from recwatch.core.bus import COMPACTED, DUTIES
from recwatch.core.bus.brokers import REQUEST_S, Brokers, failures_of
from recwatch.core.bus.quirks import forget_coordinators

START = "start"
"""The metadata of an offset that no member committed: where a group begins."""
T = TypeVar("T")


class Groups:
    """The groups on the brokers at `place`, whose topics have `partitions` each. Methods raise as `failures_of` does."""

    def __init__(self, admin: KafkaAdminClient, place: Brokers, partitions: int) -> None:
        self._admin = admin
        self._place = place
        self._partitions = partitions

    def mark_start(self, group: str, topics: Iterable[str]) -> None:
        """Commit where the group begins in topics it has never read. The brokers refuse once it has members."""
        numbers = {topic: range(1 if topic == DUTIES else self._partitions) for topic in topics}
        wanted = {TopicPartition(f"{self._place.prefix}.{topic}", n): topic for topic in topics for n in numbers[topic]}
        with failures_of(self._place):
            new = wanted.keys() - self._committed(group).keys()
            starts = self._ends([p for p in new if wanted[p] not in COMPACTED], OffsetSpec.LATEST)
            starts |= self._ends([p for p in new if wanted[p] in COMPACTED], OffsetSpec.EARLIEST)
            begun = {partition: OffsetAndMetadata(offset, START, -1) for partition, offset in starts.items()}
            self._asked(lambda: self._admin.alter_group_offsets(self._name(group), begun))

    def lag(self, group: str) -> int:
        """How many records it has not committed yet."""
        with failures_of(self._place):
            committed = self._committed(group)
            ends = self._ends(committed, OffsetSpec.LATEST)
        return sum(ends[partition] - found.offset for partition, found in committed.items())

    def forget(self, group: str) -> None:
        """Delete it. Raises Unavailable while it has members."""
        with failures_of(self._place):
            self._asked(lambda: self._delete(self._name(group)))

    def _delete(self, name: str) -> None:
        """A member that left a moment ago may still be counted."""
        outcome = self._admin.delete_groups([name])[name]
        if outcome not in {"OK", kafka_errors.GroupIdNotFoundError.__name__}:
            raise getattr(kafka_errors, outcome)(name)

    def _name(self, group: str) -> str:
        return f"{self._place.prefix}.{group}"

    def _committed(self, group: str) -> Mapping[TopicPartition, OffsetAndMetadata]:
        name = self._name(group)
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
                    forget_coordinators(self._admin)
                answer = ask()
        return answer


def _passes(error: Exception) -> bool:
    return isinstance(error, kafka_errors.NonEmptyGroupError) or bool(getattr(error, "retriable", False))
