"""Requests as a Prometheus sends them, written field by field, so that the decoder is not tested against itself."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa

STALE = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
COUNTER, GAUGE, HISTOGRAM = 1, 2, 3
Rows = Sequence[tuple[int, float]]


def varint(number: int) -> bytes:
    """A number in base 128, the lowest digits first; of a negative one its 64-bit complement."""
    number %= 1 << 64
    digits = [number & 0x7F]
    while number := number >> 7:
        digits.append(number & 0x7F)
    return bytes(digit | 0x80 for digit in digits[:-1]) + bytes(digits[-1:])


def nested(number: int, content: bytes) -> bytes:
    """The field `number`, which holds a text or a message."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def label(name: str, value: str) -> bytes:
    return nested(1, name.encode()) + nested(2, value.encode())


def sample(time_ms: int, value: float) -> bytes:
    return b"\x09" + struct.pack("<d", value) + b"\x10" + varint(time_ms)


def series(labels: Mapping[str, str], rows: Rows, more: bytes = b"") -> bytes:
    encoded = b"".join(nested(1, label(name, labels[name])) for name in sorted(labels))
    return encoded + b"".join(nested(2, sample(*row)) for row in rows) + more


def metadata(family: str, kind: int) -> bytes:
    return b"\x08" + varint(kind) + nested(2, family.encode()) + nested(4, b"Helps.")


def message(all_series: Iterable[bytes], all_metadata: Iterable[bytes] = ()) -> bytes:
    return b"".join([*(nested(1, one) for one in all_series), *(nested(3, one) for one in all_metadata)])


def packed(content: bytes) -> bytes:
    data: bytes = pa.Codec("snappy").compress(content, asbytes=True)
    return data


def request(rows: Mapping[str, Rows], **shared: str) -> bytes:
    """The body of a request: of each name its rows, all with the labels `shared`."""
    return packed(message(series({"__name__": name, **shared}, found) for name, found in rows.items()))
