"""What only the embedded bus promises: room for so many records, and memory back once nobody needs one."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Sequence

import pytest

from recwatch.core.bus import Record, next_offsets
from recwatch.core.bus.memory import MemoryBus
from recwatch.core.errors import Unavailable
from tests.core.messages import contents, publish, word

LONG_S = 20.0
SERVICES = [f"service-{number}" for number in range(12)]


class Message:
    """Something whose life can be watched."""


def published(bus: MemoryBus, topic: str) -> weakref.ref[Message]:
    message = Message()
    bus.publish(topic, "shop", message)
    return weakref.ref(message)


def alive(watched: weakref.ref[Message]) -> bool:
    gc.collect()
    return watched() is not None


def test_a_record_is_freed_once_every_group_has_committed_it() -> None:
    bus = MemoryBus()
    one, other = bus.subscribe("one", ["samples"]), bus.subscribe("other", ["samples"])
    watched = published(bus, "samples")
    one.commit(next_offsets(one.poll(0)))
    assert alive(watched)
    other.commit(next_offsets(other.poll(0)))
    assert not alive(watched)


def test_a_compacted_record_is_freed_once_its_key_has_a_newer_one() -> None:
    bus = MemoryBus()
    reader = bus.subscribe("g", ["series"])
    watched = published(bus, "series")
    reader.commit(next_offsets(reader.poll(0)))
    assert alive(watched)
    published(bus, "series")
    assert not alive(watched)


def messages(records: Sequence[Record]) -> list[object]:
    return [record.message for record in records]


def test_a_full_bus_refuses_instead_of_dropping_and_names_the_slow_group() -> None:
    bus = MemoryBus(partitions=1, capacity=2, max_block_s=0)
    slow, fast = bus.subscribe("slow", ["samples"]), bus.subscribe("fast", ["samples"])
    for number in range(2):
        bus.publish("samples", "shop", number)
    fast.commit(next_offsets(fast.poll(LONG_S)))
    with pytest.raises(Unavailable, match=r"samples partition 0 is full: slow has not committed"):
        bus.publish("samples", "shop", 2)
    bus.publish("marks", "shop", "another topic has room")
    polled = slow.poll(LONG_S)
    assert messages(polled) == [0, 1]
    slow.commit(next_offsets(polled))
    bus.publish("samples", "shop", 2)
    assert messages(slow.poll(LONG_S)) == messages(fast.poll(LONG_S)) == [2]


def test_without_readers_a_bus_never_fills() -> None:
    bus = MemoryBus(partitions=1, capacity=2, max_block_s=0)
    for number in range(10):
        bus.publish("samples", "shop", number)
        bus.publish("series", "shop", number)
    assert messages(bus.subscribe("g", ["series", "samples"]).poll(LONG_S)) == [9]


def test_publish_waits_for_room() -> None:
    bus = MemoryBus(partitions=1, capacity=3, max_block_s=LONG_S)
    reader = bus.subscribe("g", ["samples"])

    def publish() -> None:
        for number in range(20):
            bus.publish("samples", "shop", number)

    publisher = threading.Thread(target=publish)
    publisher.start()
    got: list[Record] = []
    while len(got) < 20:
        polled = reader.poll(LONG_S)
        assert 0 < len(polled) <= 3
        got += polled
        reader.commit(next_offsets(polled))
    publisher.join(LONG_S)
    assert messages(got) == list(range(20))


def test_close_wakes_a_waiting_poll_and_a_waiting_publish() -> None:
    bus = MemoryBus(partitions=1, capacity=1, max_block_s=LONG_S)
    full, idle = bus.subscribe("full", ["samples"]), bus.subscribe("idle", ["marks"])
    bus.publish("samples", "shop", 1)
    polled: list[Sequence[Record]] = []
    refused: list[Unavailable] = []

    def publish() -> None:
        try:
            bus.publish("samples", "shop", 2)
        except Unavailable as error:
            refused.append(error)

    threads = [threading.Thread(target=publish), threading.Thread(target=lambda: polled.append(idle.poll(LONG_S)))]
    for thread in threads:
        thread.start()
    bus.close()
    for thread in threads:
        thread.join(LONG_S / 2)
    assert polled == [[]]
    assert "is closed" in str(refused[0])
    assert full.poll(LONG_S) == []


def test_a_compacted_topic_gives_a_late_group_nothing_but_the_last_record_of_every_key() -> None:
    bus = MemoryBus()
    early = bus.subscribe("early", ["series"])
    for version in ("old", "new"):
        for service in SERVICES:
            bus.publish("series", service, (service, version))
    early.commit(next_offsets(early.poll(LONG_S)))
    late = bus.subscribe("late", ["series"])
    assert bus.lag("late") == len(SERVICES)
    polled = late.poll(LONG_S)
    assert sorted(messages(polled), key=str) == sorted(((service, "new") for service in SERVICES), key=str)
    late.commit(next_offsets(polled))
    assert bus.lag("late") == 0
    bus.publish("series", "service-3", "newest")
    assert messages(late.poll(LONG_S)) == ["newest"]


def test_of_several_those_that_find_no_room_are_left() -> None:
    bus = MemoryBus(partitions=1, capacity=2, max_block_s=0.0)
    reader = bus.subscribe("g", ["samples"])
    waiting = [("samples", "shop", word("samples", "shop", number)) for number in range(5)]
    with pytest.raises(Unavailable, match="is full"):
        bus.publish_all(waiting)
    assert [message.target for _, _, message in waiting] == ["2", "3", "4"]
    reader.commit(next_offsets(reader.poll(0.0)))
    with pytest.raises(Unavailable, match="is full"):
        bus.publish_all(waiting)
    assert contents(reader.poll(0.0)) == [2, 3]


def test_what_is_not_committed_is_found_whoever_polled_it() -> None:
    bus = MemoryBus(partitions=1)
    reader = bus.subscribe("g", ["samples", "series"])
    for number in range(4):
        publish(bus, "samples", "shop", number)
        publish(bus, "series", "shop", number)
    polled = reader.poll(0.0)
    reader.commit(next_offsets([r for r in polled if r.offset < 2]))
    assert contents(bus.uncommitted("g")) == [2, 3, 2, 3]
    assert list(bus.uncommitted("nobody")) == []
