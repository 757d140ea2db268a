"""What every bus promises, one test a rule of `recwatch.core.bus`. Every implementation in `BUSES` runs it.

A bus may take its time: what a rule says comes is polled for until it is there, or `LONG_S` is over.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from recwatch.core.bus import Bus, Position, Record, Subscription, next_offsets
from recwatch.core.bus.memory import MemoryBus
from recwatch.core.errors import BadInput, Unavailable
from tests.core.messages import LONG_S, contents, gathered, publish, word

SERVICES = [f"service-{number}" for number in range(12)]


def test_a_key_keeps_its_order_and_its_partition(bus: Bus) -> None:
    reader = bus.subscribe("g", ["samples"])
    for number in range(20):
        for service in SERVICES:
            publish(bus, "samples", service, (service, number))
    records = gathered(reader, 20 * len(SERVICES))
    for service in SERVICES:
        mine = [record for record in records if record.key == service]
        assert contents(mine) == [(service, number) for number in range(20)]
        assert len({record.partition for record in mine}) == 1


def test_keys_spread_over_partitions_and_offsets_count_within_one(bus: Bus) -> None:
    reader = bus.subscribe("g", ["samples"])
    for service in SERVICES:
        publish(bus, "samples", service, service)
    by_partition: dict[int, list[int]] = {}
    for record in gathered(reader, len(SERVICES)):
        by_partition.setdefault(record.partition, []).append(record.offset)
    assert len(by_partition) > 1
    assert all(offsets == list(range(offsets[0], offsets[0] + len(offsets))) for offsets in by_partition.values())


def test_a_group_gets_nothing_from_before_it_subscribed(bus: Bus) -> None:
    publish(bus, "samples", "shop", "early")
    reader = bus.subscribe("g", ["samples"])
    publish(bus, "samples", "shop", "late")
    assert contents(gathered(reader, 1)) == ["late"]


def test_records_published_between_two_subscriptions_of_a_group_are_kept_for_it(bus: Bus) -> None:
    bus.subscribe("g", ["samples"]).close()
    publish(bus, "samples", "shop", "while away")
    assert contents(gathered(bus.subscribe("g", ["samples"]), 1)) == ["while away"]


def test_a_record_is_delivered_once_to_one_subscription(bus: Bus) -> None:
    reader = bus.subscribe("g", ["samples"])
    publish(bus, "samples", "shop", 1)
    assert contents(gathered(reader, 1)) == [1]
    assert reader.poll(0) == []


def test_what_was_not_committed_is_delivered_again_and_what_was_is_not(bus: Bus) -> None:
    first = bus.subscribe("g", ["samples"])
    for number in range(4):
        publish(bus, "samples", "shop", number)
    polled = gathered(first, 4)
    first.commit(next_offsets(polled[:2]))
    first.close()
    assert contents(gathered(bus.subscribe("g", ["samples"]), 2)) == [2, 3]


def test_a_commit_is_read_back_with_its_metadata_by_any_member(bus: Bus) -> None:
    reader = bus.subscribe("g", ["samples"])
    publish(bus, "samples", "shop", 1)
    [record] = gathered(reader, 1)
    position = Position(record.topic, record.partition)
    assert reader.committed(position) is None
    reader.commit({position: record.offset + 1}, {position: '{"end": 7}'})
    assert reader.committed(position) == (record.offset + 1, '{"end": 7}')
    reader.close()
    assert bus.subscribe("g", ["samples"]).committed(position) == (record.offset + 1, '{"end": 7}')


def test_groups_are_independent(bus: Bus) -> None:
    one, other = bus.subscribe("one", ["samples"]), bus.subscribe("other", ["samples"])
    publish(bus, "samples", "shop", 1)
    one.commit(next_offsets(gathered(one, 1)))
    assert contents(gathered(other, 1)) == [1]


def test_a_compacted_topic_gives_a_late_group_the_last_record_of_every_key(bus: Bus) -> None:
    early = bus.subscribe("early", ["series"])
    for version in ("old", "new"):
        for service in SERVICES:
            publish(bus, "series", service, (service, version))
    early.commit(next_offsets(gathered(early, 2 * len(SERVICES))))
    late = bus.subscribe("late", ["series"])
    assert bus.lag("late") >= len(SERVICES)
    last: dict[str, object] = {}
    while last != {service: (service, "new") for service in SERVICES}:
        polled = late.poll(LONG_S)
        assert polled, f"the last of every key never came: {last}"
        last |= dict(zip((record.key for record in polled), contents(polled), strict=True))
        late.commit(next_offsets(polled))
    assert bus.lag("late") == 0
    publish(bus, "series", "service-3", "newest")
    assert contents(gathered(late, 1)) == ["newest"]


def test_who_takes_on_a_compacted_partition_gets_the_last_record_of_every_key_whatever_was_committed(bus: Bus) -> None:
    first = bus.subscribe("g", ["series", "samples"])
    for service in SERVICES:
        publish(bus, "series", service, (service, "new"))
        publish(bus, "samples", service, "handled")
    first.commit(next_offsets(gathered(first, 2 * len(SERVICES))))
    assert bus.lag("g") == 0
    publish(bus, "samples", "service-0", "new")
    first.close()
    second = bus.subscribe("g", ["series", "samples"])
    polled = gathered(second, len(SERVICES) + 1)
    assert {r.key for r in polled if r.topic == "series"} == set(SERVICES)
    assert contents([r for r in polled if r.topic == "samples"]) == ["new"]
    assert bus.lag("g") == 1


def test_a_bus_says_whether_it_outlives_its_process(bus: Bus) -> None:
    assert bus.durable is not isinstance(bus, MemoryBus)


def test_a_group_that_follows_a_compacted_topic_gets_every_record(bus: Bus) -> None:
    reader = bus.subscribe("g", ["series"])
    for version in range(5):
        publish(bus, "series", "shop", version)
    assert contents(gathered(reader, 5)) == [0, 1, 2, 3, 4]


def test_series_come_before_the_samples_that_need_them(bus: Bus) -> None:
    reader = bus.subscribe("g", ["samples", "series"])
    for number in range(20):
        publish(bus, "series", "shop", f"definition {number}")
        publish(bus, "samples", "shop", f"reading {number}")
    seen: list[str] = []
    while len(seen) < 40:
        polled = reader.poll(LONG_S)
        assert polled
        seen += contents(polled)
    assert all(seen.index(f"definition {number}") < seen.index(f"reading {number}") for number in range(20))


def test_lag_counts_what_is_not_committed(bus: Bus) -> None:
    assert bus.lag("g") == 0
    reader = bus.subscribe("g", ["samples", "marks"])
    for number in range(3):
        publish(bus, "samples", "shop", number)
    publish(bus, "marks", "shop", "deploy")
    polled = gathered(reader, 4)
    assert bus.lag("g") == 4
    reader.commit(next_offsets([r for r in polled if r.topic == "samples"]))
    assert bus.lag("g") == 1


def test_a_waiting_poll_gets_what_is_published_meanwhile(bus: Bus) -> None:
    reader = bus.subscribe("g", ["samples"])
    got: list[Record] = []
    waiting = threading.Thread(target=lambda: got.extend(reader.poll(LONG_S)))
    waiting.start()
    publish(bus, "samples", "shop", 1)
    waiting.join(LONG_S)
    assert contents(got) == [1]


def test_many_publishers_and_readers_lose_and_double_nothing(bus: Bus) -> None:
    each, services = 100, SERVICES[:4]
    readers = [bus.subscribe("g", ["samples"]) for _ in range(2)]
    counting = threading.Lock()
    got: list[Record] = []

    def send(service: str) -> None:
        for number in range(each):
            publish(bus, "samples", service, (service, number))

    def read(reader: Subscription) -> None:
        while len(got) < each * len(services):
            polled = reader.poll(LONG_S)
            if polled:
                reader.commit(next_offsets(polled))
            with counting:
                got.extend(polled)
        for each_reader in readers:
            each_reader.close()

    with ThreadPoolExecutor(len(services) + len(readers)) as threads:
        running = [threads.submit(send, service) for service in services]
        running += [threads.submit(read, reader) for reader in readers]
        for one in running:
            one.result()
    for service in services:
        assert contents([r for r in got if r.key == service]) == [(service, number) for number in range(each)]


def test_close_wakes_a_waiting_poll_and_ends_publishing(bus: Bus) -> None:
    idle = bus.subscribe("idle", ["marks"])
    polled: list[Sequence[Record]] = []
    waiting = threading.Thread(target=lambda: polled.append(idle.poll(LONG_S)))
    waiting.start()
    bus.close()
    waiting.join(LONG_S / 2)
    assert polled == [[]]
    with pytest.raises(Unavailable, match="is closed"):
        publish(bus, "samples", "shop", 2)
    assert idle.poll(LONG_S) == []


def test_a_closed_subscription_polls_nothing(bus: Bus) -> None:
    reader = bus.subscribe("g", ["samples"])
    reader.close()
    reader.close()
    publish(bus, "samples", "shop", 1)
    assert reader.poll(LONG_S) == []


def test_an_unknown_topic_is_named_with_the_known_ones(bus: Bus) -> None:
    with pytest.raises(BadInput, match=r"no topic sampels; its topics are: .*samples"):
        bus.subscribe("g", ["sampels"])
    with pytest.raises(BadInput, match="no topic sampels"):
        bus.publish("sampels", "shop", 1)


def test_several_are_published_in_order_and_taken_out(bus: Bus) -> None:
    reader = bus.subscribe("g", ["series", "samples"])
    waiting = [(topic, "shop", word(topic, "shop", n)) for n in range(20) for topic in ("samples", "series", "samples")]
    bus.publish_all(waiting)
    assert waiting == []
    records = gathered(reader, 60)
    for topic, each in (("samples", 2), ("series", 1)):
        assert contents([r for r in records if r.topic == topic]) == [n for n in range(20) for _ in range(each)]


def test_who_asks_how_things_are_gets_the_last_record_of_every_key_without_a_group(bus: Bus) -> None:
    assert list(bus.kept("series")) == []
    for version in ("old", "new"):
        for service in SERVICES:
            publish(bus, "series", service, (service, version))
    last = {record.key: contents([record])[0] for record in bus.kept("series")}
    assert last == {service: (service, "new") for service in SERVICES}


def test_a_group_that_is_forgotten_begins_anew(bus: Bus) -> None:
    reader = bus.subscribe("g", ["samples"])
    publish(bus, "samples", "shop", "never read")
    reader.close()
    assert bus.lag("g") == 1
    bus.forget("g")
    bus.forget("g")
    assert bus.lag("g") == 0
    again = bus.subscribe("g", ["samples"])
    publish(bus, "samples", "shop", "late")
    assert contents(gathered(again, 1)) == ["late"]
