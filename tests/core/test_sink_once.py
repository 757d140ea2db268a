"""What reaches the sink twice, or is written twice, is stored once."""

from __future__ import annotations

import pytest

from recwatch.core.bus import Subscription
from recwatch.core.errors import Unavailable
from recwatch.core.signals import Samples
from recwatch.core.store import Store
from recwatch.core.store.sink import Sink
from tests.core.examples import START_MS
from tests.core.sinks import DEPTH, NOW_MS, SHOP, WATTS, Interrupted, MakeSink, Watched, again, committed, record, tick


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
