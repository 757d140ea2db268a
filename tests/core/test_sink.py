"""The stage that stores what is on the bus: when it writes, and what of."""

from __future__ import annotations

import dataclasses

import pytest

from recwatch.core.bus import STORED, Position, Subscription, next_offsets
from recwatch.core.bus.memory import MemoryBus
from recwatch.core.errors import Unavailable
from recwatch.core.events import Incident, Mark, Transition
from recwatch.core.signals import Samples, SeriesSet
from recwatch.core.stage import Buffered
from recwatch.core.store import Store
from recwatch.core.store.sink import FLUSH_RECORDS, Sink
from tests.core.examples import INCIDENT, MARK, START_MS
from tests.core.sinks import DEPTH, NOW_MS, SHOP, WATTS, Interrupted, MakeSink, committed, record, tick


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
