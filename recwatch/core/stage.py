"""What every stage between two topics looks like to the runner that drives it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from recwatch.core.bus import Outgoing, Position, Record, Subscription


class Stage(Protocol):
    """Turns records into messages. Retry, timing and commits are the runner's work; the world is an argument.

    `process` is called with what was polled, possibly nothing (so that time passes), and with the wall clock. It raises
    `Unavailable` when the world fails; the runner then calls it again with the same records.
    """

    @property
    def name(self) -> str:
        """The group in which the stage reads, and the name of its snapshot."""
        ...

    @property
    def topics(self) -> tuple[str, ...]: ...

    def process(self, records: Sequence[Record], now_ms: int) -> Sequence[Outgoing]: ...


@runtime_checkable
class Remembers(Protocol):
    """A stage whose memory outlives the process: the runner keeps its snapshot in the store."""

    def snapshot(self) -> bytes: ...

    def restore(self, snapshot: bytes) -> None:
        """Go on from a snapshot, in a stage that has processed nothing yet. Raises BadInput where it does not fit."""
        ...


@runtime_checkable
class Acts(Remembers, Protocol):
    """A stage that does what must not be done again. The runner keeps its memory as soon as `acts` has changed."""

    @property
    def acts(self) -> int:
        """How much it has done since it was made."""
        ...


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The memory of a stage at `time_ms`, as bytes, and the offset of the first record of each partition that is not in it.

    `generation` tells owners apart: of two snapshots of one name, that of the later generation counts, else the later one.
    """

    blob: bytes
    time_ms: int
    generation: int = 0
    offsets: Mapping[Position, int] = field(default_factory=dict)


@runtime_checkable
class Buffered(Protocol):
    """A stage that keeps records back, to write many of them at once, and that commits what it has written.

    The runner tells it whose offsets it commits when partitions become its own, and calls `give_up` before they are another
    member's and `flush` before it stops. A record that comes again while it is kept back, or was written, is ignored.
    """

    def take_on(self, positions: Sequence[Position], offsets: Subscription) -> None:
        """Begin with these partitions, from what their last owner committed to `offsets`."""
        ...

    def give_up(self, positions: Sequence[Position]) -> None:
        """Store what can be stored of these partitions now, and forget the rest: their next owner is given it again."""
        ...

    def flush(self) -> None:
        """Store everything that is kept back. Raises Unavailable, and keeps what could not be stored."""
        ...
