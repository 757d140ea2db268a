"""The stage that stores what is on the bus."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from recwatch.core.bus import STORED, Position, Record, Subscription, next_offsets
from recwatch.core.bus.memory import MemoryBus
from recwatch.core.canonical import canonical_series
from recwatch.core.errors import Unavailable
from recwatch.core.events import Incident, Mark, Transition
from recwatch.core.signals import Samples, SeriesSet
from recwatch.core.stage import Buffered
from recwatch.core.store import Store
from recwatch.core.store.connection import Embedded
from recwatch.core.store.sink import FLUSH_RECORDS, Sink
from tests.core.examples import FOREVER, INCIDENT, MARK, START_MS

DEPTH = canonical_series("shop", "queue_depth")
WATTS = canonical_series("shop", "gpu_power_watts", {"gpu": "0"})
NOW_MS = 5_000_000
SHOP = Position("samples", 0)


class Interrupted(Store):
    """A real store whose samples cannot be written while it is `away`, and which keeps quiet of a success while `silent`."""

    away = False
    silent = False

    def write_samples(self, batches: Sequence[Samples], token: str) -> None:
        if self.away:
            raise Unavailable("store: its disk is full; free some space")
        super().write_samples(batches, token)
        if self.silent:
            raise Unavailable("store: it does not answer")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Interrupted]:
    opened = Interrupted(Embedded(tmp_path / "store"), FOREVER)
    yield opened
    opened.close()


@pytest.fixture
def offsets() -> Iterator[Subscription]:
    """What a sink commits to: a member that owns every partition."""
    bus = MemoryBus(partitions=2)
    subscription = bus.subscribe("sink", STORED)
    subscription.poll(0)
    yield subscription
    bus.close()


MakeSink = Callable[..., Sink]


@pytest.fixture
def make_sink(store: Interrupted, offsets: Subscription) -> MakeSink:
    def make(**limits: float) -> Sink:
        sink = Sink(store, **limits)  # type: ignore[arg-type]
        sink.take_on([Position(topic, number) for topic in STORED for number in range(2)], offsets)
        return sink

    return make


def committed(offsets: Subscription) -> dict[Position, int]:
    """Up to where each partition is done with; nothing of ranges that are only announced."""
    found = {Position(topic, number): offsets.committed(Position(topic, number)) for topic in STORED for number in range(2)}
    return {position: what[0] for position, what in found.items() if what and not what[1]}


def record(offset: int, message: Any, topic: str = "samples", partition: int = 0) -> Record:
    return Record(topic, partition, offset, message.service, message)


def tick(offset: int, partition: int = 0) -> Record:
    return record(offset, Samples.of("shop", "", START_MS + offset, {DEPTH.id: float(offset)}), partition=partition)


def test_it_listens_to_everything_that_is_history(make_sink: MakeSink) -> None:
    sink = make_sink()
    assert isinstance(sink, Buffered)
    assert set(sink.topics) == set(STORED)


def test_it_writes_when_the_first_record_has_waited_long_enough(
    store: Store, make_sink: MakeSink, offsets: Subscription
) -> None:
    sink = make_sink(flush_s=5)
    assert sink.process([tick(0)], NOW_MS) == ()
    sink.process([tick(1)], NOW_MS + 4_999)
    assert (store.samples_stored(), sink.samples_stored.total(), committed(offsets)) == (0, 0, {})
    sink.process([], NOW_MS + 5_000)
    assert (store.samples_stored(), sink.samples_stored.total(), committed(offsets)) == (2, 2, {SHOP: 2})
    sink.process([], NOW_MS + 5_001)
    sink.process([tick(2)], NOW_MS + 5_002)
    sink.process([], NOW_MS + 10_001)
    assert store.samples_stored() == 2
    sink.process([], NOW_MS + 10_002)
    assert store.samples_stored() == 3


def test_what_came_while_it_wrote_has_waited_since_then(store: Store, make_sink: MakeSink) -> None:
    sink = make_sink(flush_s=5)
    sink.process([tick(0)], NOW_MS)
    sink.process([], NOW_MS + 5_000)
    sink.process([tick(1)], NOW_MS + 8_000)
    sink.process([], NOW_MS + 9_999)
    assert store.samples_stored() == 1
    sink.process([], NOW_MS + 10_000)
    assert store.samples_stored() == 2


def test_it_writes_at_once_when_there_is_much(store: Store, make_sink: MakeSink) -> None:
    sink = make_sink(flush_rows=3)
    sink.process([tick(0), tick(1)], NOW_MS)
    assert store.samples_stored() == 0
    sink.process([tick(2)], NOW_MS)
    assert store.samples_stored() == 3


def test_it_writes_at_once_when_there_are_many_messages(store: Store, make_sink: MakeSink) -> None:
    sink = make_sink()
    records = [tick(offset) for offset in range(FLUSH_RECORDS)]
    sink.process(records[:-1], NOW_MS)
    assert store.samples_stored() == 0
    sink.process(records[-1:], NOW_MS)
    assert store.samples_stored() == FLUSH_RECORDS


def test_flush_stores_all_kinds(store: Store, make_sink: MakeSink, offsets: Subscription) -> None:
    resolved = Transition("resolved", START_MS, "recwatch", "over")
    closed = dataclasses.replace(INCIDENT, state="resolved", history=(*INCIDENT.history, resolved))
    sink = make_sink()
    records = [
        tick(0),
        tick(1, partition=1),
        record(0, SeriesSet("shop", (DEPTH,)), "series"),
        record(1, SeriesSet("shop", (DEPTH, WATTS)), "series"),
        record(0, INCIDENT, "incidents"),
        record(1, closed, "incidents"),
        record(0, MARK, "marks"),
    ]
    sink.process(records, NOW_MS)
    sink.flush()
    assert store.series("shop") == [WATTS, DEPTH]
    assert store.samples_stored() == sink.samples_stored.total() == 2
    assert store.events(Incident) == [closed]
    assert store.events(Mark) == [MARK]
    assert sink.events_stored == 3
    assert committed(offsets) == next_offsets(records)


def test_a_record_that_comes_again_is_stored_once(store: Store, make_sink: MakeSink) -> None:
    sink = make_sink()
    sink.process([tick(0), tick(1)], NOW_MS)
    sink.process([tick(0), tick(1), tick(2)], NOW_MS)
    sink.flush()
    sink.process([tick(1), tick(2), tick(3)], NOW_MS)
    sink.flush()
    assert store.read([DEPTH.id], 0, START_MS * 2)[DEPTH.id][1].tolist() == [0.0, 1.0, 2.0, 3.0]


def test_the_same_records_written_by_a_second_sink_are_stored_once(store: Store, make_sink: MakeSink) -> None:
    for _ in range(2):
        sink = make_sink()
        sink.process([tick(0), tick(1)], NOW_MS)
        sink.flush()
    assert store.samples_stored() == 2


def test_the_same_offsets_of_another_run_are_not_taken_for_a_replay(store: Store, make_sink: MakeSink) -> None:
    for run in range(2):
        sink = make_sink()
        sink.process([record(0, Samples.of("shop", "", START_MS + run, {DEPTH.id: 1.0}))], NOW_MS)
        sink.flush()
    assert store.samples_stored() == 2


def test_what_could_not_be_stored_is_kept_and_stored_later(
    store: Interrupted, make_sink: MakeSink, offsets: Subscription
) -> None:
    store.away = True
    sink = make_sink(flush_s=5)
    polled = [record(0, SeriesSet("shop", (DEPTH,)), "series"), tick(0), record(0, MARK, "marks")]
    sink.process(polled, NOW_MS)
    for late_ms in (5_000, 5_001):
        with pytest.raises(Unavailable, match="disk is full"):
            sink.process([tick(1)], NOW_MS + late_ms)
    assert committed(offsets) == {Position("series", 0): 1}
    store.away = False
    sink.process([tick(1)], NOW_MS + 5_002)
    assert committed(offsets) == {Position("series", 0): 1, SHOP: 2, Position("marks", 0): 1}
    assert (sink.samples_stored.total(), sink.events_stored, store.samples_stored()) == (2, 1, 2)


def test_rows_that_landed_without_an_answer_are_stored_once_whatever_comes_meanwhile(
    store: Interrupted, make_sink: MakeSink, offsets: Subscription
) -> None:
    sink = make_sink(flush_s=5)
    sink.process([tick(0), tick(1)], NOW_MS)
    store.silent = True
    with pytest.raises(Unavailable, match="does not answer"):
        sink.process([], NOW_MS + 5_000)
    with pytest.raises(Unavailable, match="does not answer"):
        sink.process([tick(2)], NOW_MS + 5_001)
    store.silent = False
    sink.process([tick(3)], NOW_MS + 5_002)
    assert (store.samples_stored(), sink.samples_stored.total(), committed(offsets)) == (4, 4, {SHOP: 4})


def test_a_bus_is_stored_whole_and_committed_as_far_as_it_is_stored(store: Store) -> None:
    bus, sink = MemoryBus(), Sink(store, flush_s=5)
    reader = bus.subscribe(sink.name, sink.topics, lambda positions: sink.take_on(positions, reader))
    bus.publish("series", "shop", SeriesSet("shop", (DEPTH,)))
    for second in range(10):
        bus.publish("samples", "shop", Samples.of("shop", "", START_MS + 1_000 * second, {DEPTH.id: float(second)}))
        sink.process(reader.poll(0), NOW_MS + 1_000 * second)
    assert (store.samples_stored(), bus.lag("sink")) == (6, 4)
    sink.flush()
    assert (store.samples_stored(), bus.lag("sink")) == (10, 0)


class Watched:
    """Offsets that note each commit and, as the store they belong to does, each insert."""

    def __init__(self, offsets: Subscription, store: Store) -> None:
        self.steps: list[object] = []
        self.committed = offsets.committed
        self._commit, self._write = offsets.commit, store.write_samples
        store.write_samples = self.write  # type: ignore[method-assign]

    def commit(self, at: Mapping[Position, int], metadata: Mapping[Position, str]) -> None:
        self.steps.append((*at.values(), *metadata.values()))
        self._commit(at, metadata)

    def write(self, batches: Sequence[Samples], token: str) -> None:
        self.steps.append(token.rpartition("-")[0])
        self._write(batches, token)


def test_a_range_is_announced_then_stored_then_ended(store: Store, offsets: Subscription) -> None:
    sink, watched = Sink(store), Watched(offsets, store)
    sink.take_on([SHOP], watched)  # type: ignore[arg-type]
    sink.process([tick(3), tick(4)], NOW_MS)
    sink.flush()
    assert watched.steps == [(3, '{"end": 5}'), "samples-0-3-5", (5, "")]


def test_an_announced_range_is_written_first_and_alone_once_it_is_whole(store: Store, offsets: Subscription) -> None:
    offsets.commit({SHOP: 3}, {SHOP: '{"end": 6}'})
    sink, watched = Sink(store), Watched(offsets, store)
    sink.take_on([SHOP], watched)  # type: ignore[arg-type]
    sink.process([tick(3), tick(4)], NOW_MS)
    sink.flush()
    assert watched.steps == []
    sink.process([tick(5), tick(6), tick(7)], NOW_MS)
    sink.flush()
    announced, rest = [(3, '{"end": 6}'), "samples-0-3-6", (6, "")], [(6, '{"end": 8}'), "samples-0-6-8", (8, "")]
    assert watched.steps == announced + rest


def test_what_is_given_up_is_stored_or_else_left_to_the_next_owner(store: Interrupted, make_sink: MakeSink) -> None:
    sink = make_sink()
    sink.process([tick(0)], NOW_MS)
    sink.give_up([SHOP])
    assert store.samples_stored() == 1
    store.away = True
    sink.process([tick(1)], NOW_MS)
    sink.give_up([SHOP])
    store.away = False
    sink.flush()
    assert store.samples_stored() == 1
    sink.process([tick(1)], NOW_MS + 10_000)
    sink.flush()
    assert store.samples_stored() == 2


def again(offset: int, first: Record) -> Record:
    """The same message, published once more."""
    return dataclasses.replace(first, offset=offset)


def test_what_comes_twice_is_stored_once_and_counted(store: Store, make_sink: MakeSink, offsets: Subscription) -> None:
    sink = make_sink()
    sink.process([tick(0), tick(1), again(2, tick(0))], NOW_MS)
    sink.flush()
    sink.process([again(3, tick(0)), again(4, tick(1)), tick(5), again(6, tick(5))], NOW_MS)
    sink.flush()
    assert store.read([DEPTH.id], 0, 2 * START_MS)[DEPTH.id][1].tolist() == [0, 1, 5]
    assert (sink.samples_stored, sink.samples_repeated) == ({"samples": 3}, {"samples": 4})
    assert committed(offsets) == {SHOP: 7}
    sink.process([again(7, tick(5))], NOW_MS)
    sink.flush()
    assert (store.samples_stored(), committed(offsets)) == (3, {SHOP: 8})


def test_who_takes_a_partition_on_knows_by_the_store_what_comes_twice(store: Store, make_sink: MakeSink) -> None:
    first = make_sink(flush_rows=1)
    first.process([tick(0), tick(1)], NOW_MS)
    heir = make_sink(flush_rows=1)
    heir.process([again(2, tick(1)), tick(3)], NOW_MS)
    first.give_up([SHOP])
    first.process([again(4, tick(3)), tick(5)], NOW_MS)
    assert store.read([DEPTH.id], 0, 2 * START_MS)[DEPTH.id][1].tolist() == [0, 1, 3, 5]


def test_samples_that_only_look_like_others_are_stored(store: Store, make_sink: MakeSink) -> None:
    """A late one, one of another series at the same time, and one that shares a row with another but has a second."""
    sink = make_sink(flush_rows=1)
    sink.process([tick(5)], NOW_MS)
    sink.process([record(6, Samples.of("shop", "", START_MS + 3, {DEPTH.id: 3.0}))], NOW_MS)
    sink.process([record(7, Samples.of("shop", "", START_MS + 5, {WATTS.id: 7.0}))], NOW_MS)
    sink.process([record(8, Samples.of("shop", "", START_MS + 3, {DEPTH.id: 3.0, WATTS.id: 8.0}))], NOW_MS)
    assert sink.samples_stored == {"samples": 5}
    assert sink.samples_repeated.total() == 0


def test_what_is_left_out_is_announced_and_left_out_again_after_a_crash(store: Interrupted, offsets: Subscription) -> None:
    sink, watched = Sink(store), Watched(offsets, store)
    sink.take_on([SHOP], watched)  # type: ignore[arg-type]
    sink.process([tick(0)], NOW_MS)
    sink.flush()
    watched.steps.clear()
    store.silent = True
    range_ = [again(1, tick(0)), tick(2), tick(3)]
    sink.process(range_, NOW_MS)
    for _ in range(2):
        with pytest.raises(Unavailable, match="it does not answer"):
            sink.flush()
    store.silent = False
    heir = Sink(store)
    heir.take_on([SHOP], watched)  # type: ignore[arg-type]
    heir.process(range_, NOW_MS)
    heir.flush()
    announced = [(1, '{"end": 4, "repeated": [1]}'), "samples-0-1-4"]
    assert watched.steps == [*announced * 3, (4, "")]
    assert store.read([DEPTH.id], 0, 2 * START_MS)[DEPTH.id][1].tolist() == [0, 2, 3]
    minutes = store.read([DEPTH.id], 0, 2 * START_MS, step_s=60)[DEPTH.id][1].tolist()
    assert minutes == [5 / 3]


def test_many_repetitions_are_announced_in_parts(store: Store, offsets: Subscription) -> None:
    count = 400
    sink, watched = Sink(store), Watched(offsets, store)
    sink.take_on([SHOP], watched)  # type: ignore[arg-type]
    first = [tick(number) for number in range(count)]
    sink.process(first, NOW_MS)
    sink.flush()
    sink.process([again(count + number, one) for number, one in enumerate(first)] + [tick(2 * count)], NOW_MS)
    sink.flush()
    assert (store.samples_stored(), sink.samples_repeated["samples"]) == (count + 1, count)
    assert max(len(step[1]) for step in watched.steps if isinstance(step, tuple)) < 4096
    assert committed(offsets) == {SHOP: 2 * count + 1}
