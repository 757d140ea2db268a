"""The runner: at least once, in order, whatever fails in between."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from recwatch.app.runner import SNAPSHOT_EVERY_S, StageRunner
from recwatch.core.bus import Outgoing, Position, Record, Subscription
from recwatch.core.bus.memory import MemoryBus
from recwatch.core.clock import FakeClock
from recwatch.core.errors import Unavailable
from recwatch.core.events import Mark
from recwatch.core.stage import Snapshot


def mark(number: int) -> Mark:
    return Mark.of("shop", "note", number, f"note {number}", by="ops")


class Echo:
    """Says of every mark that it saw it; fails as often as it is told to."""

    name = "echo"
    topics = ("marks",)

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.seen: list[int] = []

    def process(self, records: Sequence[Record], now_ms: int) -> Sequence[Outgoing]:
        if self.failures and records:
            self.failures -= 1
            raise Unavailable("The other side is away.", retry_after_s=3.0)
        self.seen += [record.message.time_ms for record in records]
        return [Outgoing("silences", "shop", record.message) for record in records]

    def snapshot(self) -> bytes:
        return bytes(self.seen)

    def restore(self, snapshot: bytes) -> None:
        self.seen = list(snapshot)


class Acting(Echo):
    """Does something in the world for every mark."""

    @property
    def acts(self) -> int:
        return len(self.seen)


class Shelf:
    """Keeps every snapshot, except for so many times at first."""

    def __init__(self, full_for: int = 0) -> None:
        self.kept: list[tuple[str, Snapshot]] = []
        self._full_for = full_for

    def save_snapshot(self, name: str, snapshot: Snapshot) -> None:
        if self._full_for:
            self._full_for -= 1
            raise Unavailable("The disk is full.")
        self.kept.append((name, snapshot))

    def load_snapshot(self, name: str) -> Snapshot | None:
        return dict(self.kept).get(name)


class Hoarder(Echo):
    """Has stored and committed only its first record, whatever it has seen."""

    offsets: Subscription

    def take_on(self, positions: Sequence[Position], offsets: Subscription) -> None:
        self.offsets = offsets

    def give_up(self, positions: Sequence[Position]) -> None:
        """Nothing is kept that another could not be given."""

    def flush(self) -> None:
        """Nothing more can be stored."""

    def process(self, records: Sequence[Record], now_ms: int) -> Sequence[Outgoing]:
        self.offsets.commit(dict.fromkeys((Position(r.topic, r.partition) for r in records), 1))
        return super().process(records, now_ms)[:0]


@pytest.fixture
def bus() -> MemoryBus:
    return MemoryBus(partitions=1, capacity=3, max_block_s=0.0)


def test_what_was_handled_is_not_delivered_again(bus: MemoryBus) -> None:
    first = StageRunner(Echo(), bus, FakeClock())
    bus.publish("marks", "shop", mark(1))
    assert first.step(0.0) == 0.0
    first.close()
    again = Echo()
    StageRunner(again, bus, FakeClock()).step(0.0)
    assert again.seen == []


def test_the_same_records_are_tried_again_when_the_world_is_away(bus: MemoryBus) -> None:
    stage = Echo(failures=2)
    runner = StageRunner(stage, bus, FakeClock())
    bus.publish("marks", "shop", mark(1))
    assert [runner.step(0.0), runner.step(0.0), runner.step(0.0)] == [3.0, 3.0, 0.0]
    assert stage.seen == [1]
    assert runner.counts.unavailable == 2


def test_a_full_bus_delays_messages_and_loses_none(bus: MemoryBus) -> None:
    reader = bus.subscribe("reader", ["silences"])
    runner = StageRunner(Echo(), bus, FakeClock())
    for number in (1, 2, 3):
        bus.publish("marks", "shop", mark(number))
    for number in (7, 8):
        bus.publish("silences", "shop", mark(number))
    assert runner.step(0.0) > 0.0
    got: list[int] = []
    for _ in range(4):
        records = reader.poll(0.0)
        got += [record.message.time_ms for record in records]
        reader.commit({Position(r.topic, r.partition): r.offset + 1 for r in records})
        runner.step(0.0)
    assert got == [7, 8, 1, 2, 3]


def test_a_stage_that_holds_records_back_commits_only_what_it_stored(bus: MemoryBus) -> None:
    runner = StageRunner(Hoarder(), bus, FakeClock())
    bus.publish("marks", "shop", mark(1))
    bus.publish("marks", "shop", mark(2))
    runner.step(0.0)
    runner.close()
    after = Echo()
    StageRunner(after, bus, FakeClock()).step(0.0)
    assert after.seen == [2]


def test_memory_is_kept_now_and_then_and_at_the_end(bus: MemoryBus) -> None:
    clock, shelf = FakeClock(start_ms=0), Shelf()
    runner = StageRunner(Echo(), bus, clock, shelf)
    bus.publish("marks", "shop", mark(1))
    runner.step(0.0)
    assert shelf.kept == []
    clock.advance(SNAPSHOT_EVERY_S)
    runner.step(0.0)
    runner.close()
    assert shelf.kept == [("echo", Snapshot(b"\x01", 30_000))] * 2
    again = Echo()
    StageRunner(again, bus, clock, shelf)
    assert again.seen == [1]


def test_what_must_not_be_done_again_is_kept_at_once(bus: MemoryBus) -> None:
    shelf, stage = Shelf(), Acting()
    runner = StageRunner(stage, bus, FakeClock(start_ms=0), shelf)
    runner.step(0.0)
    assert shelf.kept == []
    bus.publish("marks", "shop", mark(1))
    runner.step(0.0)
    runner.step(0.0)
    assert shelf.kept == [("echo", Snapshot(b"\x01", 0))]


def test_memory_that_cannot_be_kept_is_tried_again_and_told_once(bus: MemoryBus, caplog: pytest.LogCaptureFixture) -> None:
    clock, shelf = FakeClock(), Shelf(full_for=3)
    runner = StageRunner(Echo(), bus, clock, shelf)
    clock.advance(SNAPSHOT_EVERY_S)
    bus.publish("marks", "shop", mark(1))
    assert [runner.step(0.0) for _ in range(4)] == [1.0, 1.0, 1.0, 0.0]
    assert caplog.messages == ["echo: The disk is full.", "echo: it works again."]
    assert runner.counts.records == 1


def test_draining_handles_what_is_left_and_ends(bus: MemoryBus) -> None:
    stage = Echo()
    runner = StageRunner(stage, bus, FakeClock())
    for number in (1, 2, 3):
        bus.publish("marks", "shop", mark(number))
    runner.drain()
    assert stage.seen == [1, 2, 3]


def test_what_another_member_takes_over_is_neither_tried_again_nor_committed(bus: MemoryBus) -> None:
    stage = Echo(failures=1)
    runner = StageRunner(stage, bus, FakeClock())
    bus.publish("marks", "shop", mark(1))
    assert runner.step(0.0) > 0.0
    successors = [Echo(), Echo()]
    others = [StageRunner(successor, bus, FakeClock()) for successor in successors]
    others[0].close()
    others.append(StageRunner(Echo(), bus, FakeClock()))
    runner.close()
    for other in others[1:]:
        other.step(0.0)
    assert stage.seen == []
    assert [*successors[1].seen, *others[-1].stage.seen] == [1]  # type: ignore[attr-defined]
