"""The seam between stages: topics of keyed records, pulled and committed by groups.

Delivery rules, which `tests/core/test_bus_contract.py` runs over every implementation:

- Records of one key keep their order: a key always falls into the same partition, and a partition is read in order.
- A group gets every record published after it first subscribed, at least once. What it committed is not delivered again;
  what it polled without committing is, to the next subscription of that group.
- Groups are independent. Within a group a partition belongs to one subscription at a time.
- Who takes on a partition of a compacted topic gets the last record of every key of it, and perhaps earlier ones before
  it, whatever the group committed; what is committed there counts for `lag` only.
- No record is given out before `on_assigned` returned for its partition: where that raised, it is called again.
- The bus is bounded, in memory by what groups have not committed yet, on Kafka by its topics' retention: where it has no
  room, or no broker answers, `publish` waits and then raises `Unavailable`. Nothing is dropped silently.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

from recwatch.core.errors import BadInput

COMPACTED = frozenset({"series", "derived_series", "targets", "holds"})
TOPICS = (
    "series",
    "targets",
    "samples",
    "derived_series",
    "judgements",
    "anomalies",
    "incidents",
    "proposals",
    "holds",
    "decisions",
    "silences",
    "marks",
    "progress",
)
STORED = tuple(topic for topic in TOPICS if topic not in ("targets", "holds", "progress"))
"""What is history. How things are now is not: of targets, their own `up` series keep how they were."""
DUTIES = "duties"
"""A topic of one partition on every bus, which carries nothing: who is assigned it has the duty its group stands for."""
M = TypeVar("M", bound=tuple[str, str, Any])


class Position(NamedTuple):
    """A partition of a topic."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class Record:
    """One message, where it lies, and the key that put it there. `message` is a word of `recwatch.core`."""

    topic: str
    partition: int
    offset: int
    key: str
    message: Any


class Outgoing(NamedTuple):
    """A message for the bus. The key is the service, so that whoever consumes sees the whole of it."""

    topic: str
    key: str
    message: Any


class Subscription(Protocol):
    """One member of a group, reading its share of the partitions."""

    @property
    def generation(self) -> int:
        """How often the group's partitions were shared out, as far as this member took part; 0 while it has no share.

        It has none before the first time, and once it lost what it had, because the group took it for dead, until the next.

        Who is assigned a partition reads a higher number then than any earlier owner did when it was assigned it.
        """
        ...

    def poll(self, max_wait_s: float) -> Sequence[Record]:
        """The next records, in order per partition; empty after `max_wait_s` without any. Calls on_assigned, on_revoked."""
        ...

    def attend(self) -> None:
        """Take part in the group without taking records, as who cannot handle them now must; calls what `poll` calls."""
        ...

    def commit(self, offsets: Mapping[Position, int], metadata: Mapping[Position, str] | None = None) -> None:
        """Remember, for each partition, the offset of the next record that this group wants, and a text beside it.

        Raises Unavailable where a partition is another member's by now.
        """
        ...

    def committed(self, position: Position) -> tuple[int, str] | None:
        """The offset and metadata last committed by the group; None before the first commit."""
        ...

    def close(self) -> None:
        """Leave the group. Its partitions go to the other members, from what was committed."""
        ...


Assigned = Callable[[Sequence[Position]], None]


class Bus(Protocol):
    """Topics of keyed records."""

    @property
    def durable(self) -> bool:
        """Whether records and what was committed outlive this process."""
        ...

    def publish(self, topic: str, key: str, message: Any) -> None:
        """Append one message; returns once it is acknowledged. Raises Unavailable when the bus stays full."""
        ...

    def publish_all(self, waiting: list[M]) -> None:
        """Append messages, each a topic, a key and a word, in their order, and wait once for all of them.

        What is acknowledged is taken out of `waiting`, also where this raises Unavailable; the rest may be given again.
        """
        ...

    def subscribe(
        self, group: str, topics: Sequence[str], on_assigned: Assigned | None = None, on_revoked: Assigned | None = None
    ) -> Subscription:
        """Join `group` for these topics."""
        ...

    def partition_of(self, key: str) -> int:
        """The number of the partition, the same in every topic, into which messages of this key fall."""
        ...

    def lag(self, group: str) -> int:
        """How many published records the group has not committed yet, over all its partitions."""
        ...

    def kept(self, topic: str) -> Sequence[Record]:
        """What a compacted topic holds just now: of each key the last record, and perhaps earlier ones before it."""
        ...

    def forget(self, group: str) -> None:
        """Remember nothing of a group that has no member any more, and keep no record for it."""
        ...

    def close(self) -> None:
        """Let go of whatever the bus holds; polls that wait return at once."""
        ...


def next_offsets(records: Sequence[Record]) -> dict[Position, int]:
    """What to commit once all of `records` are done.

    >>> next_offsets([Record("samples", 0, 4, "shop", None), Record("samples", 0, 5, "shop", None)])
    {Position(topic='samples', partition=0): 6}
    """
    offsets: dict[Position, int] = {}
    for record in records:
        position = Position(record.topic, record.partition)
        offsets[position] = max(offsets.get(position, 0), record.offset + 1)
    return offsets


def known_topics(topics: Iterable[str]) -> None:
    """Raise BadInput for topics that no bus has."""
    unknown = sorted(set(topics) - {*TOPICS, DUTIES})
    if unknown:
        raise BadInput(f"the bus has no topic {', '.join(unknown)}; its topics are: {', '.join(TOPICS)}")
