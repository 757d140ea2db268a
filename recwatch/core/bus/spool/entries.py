"""Messages that wait on disk, as bytes one after the other, each with a checksum."""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple

import xxhash

from recwatch.core.bus.spool.gap import Gap

_HEAD = Struct("<QQQQIIHH")
"""Checksum; number; the gap's start, end and samples; bytes of the payload, of the topic and of the key."""
_CHECKSUM = Struct("<Q")


class Entry(NamedTuple):
    """A message that waits. `number` is its own as long as it does; `payload` is what the codec made of it.

    `gap` is what is missing if it is dropped, so that dropping need not read the payload.
    """

    number: int
    topic: str
    key: str
    payload: bytes
    gap: Gap = Gap()


def packed(entry: Entry) -> bytes:
    """The entry as bytes, which begin with an xxh3_64 checksum of all that follows it.

    >>> entry = Entry(7, "samples", "shop", b"...", Gap(812, 1_700_000_000_000, 1_700_000_075_000))
    >>> list(unpacked(packed(entry) + packed(entry)[:-1])) == [(entry, 58)]
    True
    """
    number, topic, key, payload, gap = entry.number, entry.topic.encode(), entry.key.encode(), entry.payload, entry.gap
    lengths = len(payload), len(topic), len(key)
    whole = _HEAD.pack(0, number, gap.start_ms, gap.end_ms, gap.samples, *lengths) + topic + key + payload
    rest = whole[_CHECKSUM.size :]
    return _CHECKSUM.pack(xxhash.xxh3_64_intdigest(rest)) + rest


def unpacked(data: bytes) -> Iterator[tuple[Entry, int]]:
    """The entries that `data` begins with, each with where it ends, up to what is torn or damaged."""
    start = 0
    while (found := _entry_at(data, start)) is not None:
        yield found
        start = found[1]


def _entry_at(data: bytes, start: int) -> tuple[Entry, int] | None:
    if start + _HEAD.size > len(data):
        return None
    checksum, number, start_ms, end_ms, samples, *lengths = _HEAD.unpack_from(data, start)
    payload_bytes, topic_bytes, key_bytes = lengths
    topic_at = start + _HEAD.size
    key_at = topic_at + topic_bytes
    payload_at = key_at + key_bytes
    end = payload_at + payload_bytes
    if end > len(data) or xxhash.xxh3_64_intdigest(memoryview(data)[start + _CHECKSUM.size : end]) != checksum:
        return None
    topic, key = data[topic_at:key_at].decode(), data[key_at:payload_at].decode()
    return Entry(number, topic, key, data[payload_at:end], Gap(samples, start_ms, end_ms)), end
