"""What only the embedded bus promises: memory goes back as soon as nobody needs a record."""

from __future__ import annotations

import gc
import weakref

from recwatch.core.bus import next_offsets
from recwatch.core.bus.memory import MemoryBus


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
