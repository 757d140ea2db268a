"""Messages that wait on disk, as bytes one after the other, each with a checksum."""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple

import xxhash

_LENGTHS = Struct("<QIHH")
"""Sequence number; bytes of the payload, of the topic and of the key."""
_CHECKSUM = Struct("<Q")
_HEAD_BYTES = _CHECKSUM.size + _LENGTHS.size


class Entry(NamedTuple):
    """A message that waits. `number` is its own as long as the spool is kept; `payload` is what the codec made of it."""

    number: int
    topic: str
    key: str
    payload: bytes


def packed(entry: Entry) -> bytes:
    """The entry as bytes: an xxh3_64 checksum of all that follows it, the lengths, topic, key and payload.

    >>> entry = Entry(7, "marks", "shop", b"{}")
    >>> list(unpacked(packed(entry) + packed(entry)[:-1])) == [(entry, 35)]
    True
    """
    topic, key = entry.topic.encode(), entry.key.encode()
    rest = _LENGTHS.pack(entry.number, len(entry.payload), len(topic), len(key)) + topic + key + entry.payload
    return _CHECKSUM.pack(xxhash.xxh3_64_intdigest(rest)) + rest


def unpacked(data: bytes) -> Iterator[tuple[Entry, int]]:
    """The entries that `data` begins with, each with where it ends, up to what is torn or damaged."""
    start = 0
    while (found := _entry_at(data, start)) is not None:
        yield found
        start = found[1]


def _entry_at(data: bytes, start: int) -> tuple[Entry, int] | None:
    lengths_at = start + _CHECKSUM.size
    if lengths_at + _LENGTHS.size > len(data):
        return None
    (checksum,) = _CHECKSUM.unpack_from(data, start)
    number, payload_bytes, topic_bytes, key_bytes = _LENGTHS.unpack_from(data, lengths_at)
    topic_at = start + _HEAD_BYTES
    key_at = topic_at + topic_bytes
    payload_at = key_at + key_bytes
    end = payload_at + payload_bytes
    if end > len(data) or xxhash.xxh3_64_intdigest(memoryview(data)[lengths_at:end]) != checksum:
        return None
    return Entry(number, data[topic_at:key_at].decode(), data[key_at:payload_at].decode(), data[payload_at:end]), end
