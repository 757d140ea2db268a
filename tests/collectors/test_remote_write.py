"""What a request holds, and that whatever is none is refused in one way, within bounds of memory and time."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.remote_write import REQUEST_BYTES, SERIES_BYTES, SERIES_LABELS, decode, labels_of
from recwatch.core.errors import BadInput
from tests.collectors.remote_writer import (
    COUNTER,
    STALE,
    label,
    message,
    metadata,
    nested,
    packed,
    request,
    sample,
    series,
    varint,
)

NAMED = {"__name__": "up", "job": "ranker"}


def test_rows_labels_and_kinds_come_out_as_they_went_in() -> None:
    first = series({"__name__": "hits_total", "job": "ranker", "zone": ""}, [(1_000, 1.5), (2_000, 0.0)])
    second = series({"__name__": "up", "instance": 'a"b\n€'}, [(-5, -1e300)])
    read = decode(packed(message([first, second], [metadata("hits_total", COUNTER), metadata("newer", 99)])))
    assert [labels_of(encoded) for encoded in read.series] == [
        {"__name__": "hits_total", "job": "ranker"},
        {"__name__": "up", "instance": 'a"b\n€'},
    ]
    assert read.index.tolist() == [0, 0, 1]
    assert read.time_ms.tolist() == [1_000, 2_000, -5]
    assert read.value.tolist() == [1.5, 0.0, -1e300]
    assert read.kinds == {"hits_total": "counter", "newer": "untyped"}
    assert set(read.dropped.values()) == {0}


def test_what_is_no_reading_is_dropped_and_counted_by_reason() -> None:
    ends = series(NAMED, [(1, 1.0), (2, STALE)])
    returns = series({"__name__": "a"}, [(1, STALE), (2, 7.0), (3, math.nan), (4, math.inf), (5, -math.inf)])
    unread = series({"__name__": "b"}, [], nested(3, sample(1, 1.0)) + nested(4, b"") + nested(4, b""))
    read = decode(packed(message([ends, returns, unread])))
    assert list(zip(read.index.tolist(), read.time_ms.tolist(), read.value.tolist(), strict=True)) == [
        (0, 1, 1.0),
        (1, 2, 7.0),
    ]
    assert read.ended == {0}
    assert read.dropped == {"stale": 2, "not_finite": 3, "exemplars": 1, "histograms": 2}


@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8"), min_size=1),
        st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.floats(width=64))),
    )
)
def test_whatever_was_written_is_read(rows: dict[str, list[tuple[int, float]]]) -> None:
    read = decode(request(rows, job="ranker"))
    assert [labels_of(encoded)["__name__"] for encoded in read.series] == list(rows)
    finite = [(number, *row) for number, found in enumerate(rows.values()) for row in found if math.isfinite(row[1])]
    assert list(zip(read.index.tolist(), read.time_ms.tolist(), read.value.tolist(), strict=True)) == finite


def read_all(body: bytes) -> None:
    """Decode, and do with the outcome what a receiver does. BadInput is the only answer to what is malformed."""
    try:
        read = decode(body)
        for encoded in read.series:
            labels_of(encoded)
    except BadInput:
        return
    assert np.isfinite(read.value).all()
    assert len(read.index) == len(read.time_ms) == len(read.value)
    assert read.index.max(initial=-1) < len(read.series)


WELL = message([series(NAMED, [(1_000, 1.0), (2_000, STALE)]), series({"__name__": "é"}, [(1, 2.0)])], [metadata("up", 2)])


@settings(max_examples=300)
@given(st.binary(max_size=400))
def test_any_bytes_are_refused_or_read(body: bytes) -> None:
    read_all(body)
    read_all(packed(body))


@settings(max_examples=300)
@given(st.integers(0, len(WELL) * 8 - 1), st.integers(0, len(WELL)), st.booleans())
def test_a_request_with_a_flipped_bit_or_without_its_end_is_refused_or_read(bit: int, cut: int, inside: bool) -> None:
    whole = WELL if inside else packed(WELL)
    flipped = bytearray(whole)
    flipped[bit // 8 % len(whole)] ^= 1 << bit % 8
    for body in (bytes(flipped), whole[:cut], bytes(flipped)[:cut]):
        read_all(packed(body) if inside else body)


FIELDS = st.recursive(
    st.binary(max_size=20),
    lambda inner: st.lists(st.tuples(st.integers(1, 5), inner), max_size=6).map(
        lambda fields: b"".join(nested(number, content) for number, content in fields)
    ),
)


@settings(max_examples=300)
@given(FIELDS)
def test_any_nest_of_fields_is_refused_or_read(content: bytes) -> None:
    read_all(packed(content))


BAD = {
    "no length": (b"", "does not begin with its length"),
    "endless length": (b"\xff" * 40, "does not begin with its length"),
    "no Snappy": (b"\x05hello", "not Snappy"),
    "shorter than it says": (varint(100) + packed(b"abc")[1:], "not Snappy"),
    "longer than it says": (varint(1) + packed(WELL)[1:], "not Snappy"),
    "no protobuf": (packed(b"\xff\xff\xff"), "a WriteRequest in it is malformed"),
    "half a series": (packed(nested(1, series(NAMED, [(1, 1.0)])[:-3])), "a TimeSeries in it is malformed"),
    "an endless number": (packed(nested(1, nested(2, b"\x10" + b"\xff" * 11))), "a TimeSeries in it is malformed"),
    "a sample of another type": (packed(nested(1, nested(2, nested(7, b"")) + b"\x0b" * 200)), "malformed"),
    "no UTF-8": (packed(message([nested(1, nested(1, b"a") + nested(2, b"\xff"))])), "a Label in it is malformed"),
    "no name": (packed(message([series({"job": "ranker"}, [])])), "has no name"),
    "no labels": (packed(message([b""])), "has no name"),
    "a nameless label": (packed(message([series({"__name__": "a", "": "b"}, [])])), "a label without a name"),
    "a label twice": (packed(message([nested(1, label("a", "b")) * 2])), "a label twice"),
    "many labels": (packed(message([nested(1, label("a", "b")) * (SERIES_LABELS + 1)])), f"has {SERIES_LABELS + 1} labels"),
    "a long series": (packed(message([series({"__name__": "a" * SERIES_BYTES}, [])])), "send at most 262144 of each"),
    "many series": (packed(nested(1, b"") * 100_001), "holds 100001 series or more"),
    "many samples": (packed(nested(1, nested(2, b"") * 60_000) * 2), "holds 120000 samples or more"),
    "many descriptions": (packed(nested(3, b"") * 100_001), "holds 100001 descriptions of metrics or more"),
    "a bomb": (packed(bytes(REQUEST_BYTES + 1)), "8388609 bytes long when unpacked"),
    "a bomb that lies": (varint(2**32 - 1) + packed(WELL)[1:], "4294967295 bytes long when unpacked"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_request_is_refused_in_a_sentence(name: str) -> None:
    body, words = BAD[name]
    with pytest.raises(BadInput, match=words):
        [labels_of(encoded) for encoded in decode(body).series]


# What costs the most when taken apart: nothing at all, as often as it fits.
HEAVIEST = """
import resource, sys
from collectors.remote_write import REQUEST_BYTES, SERIES_BYTES, decode, labels_of
from recwatch.core.errors import BadInput
from tests.collectors.remote_writer import nested, packed
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for number in (1, 2, 3, 4):
    within = nested(1, nested(number, b"") * ((SERIES_BYTES - 8) // 2))
    for body in (nested(number, b"") * (REQUEST_BYTES // 2), within * (REQUEST_BYTES // len(within))):
        try:
            [labels_of(encoded) for encoded in decode(packed(body)).series]
        except BadInput:
            pass
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_no_request_takes_more_memory_than_the_limit_allows() -> None:
    ran = subprocess.run([sys.executable, "-c", HEAVIEST], capture_output=True, text=True, check=True)
    assert int(ran.stdout) < 256
