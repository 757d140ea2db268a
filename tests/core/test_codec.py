"""Messages as bytes and back, and what is said of bytes that are no message."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import fields
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recwatch.core.bus import TOPICS
from recwatch.core.bus.codec import WORDS, decode, encode
from recwatch.core.canonical import canonical_series
from recwatch.core.errors import BadInput
from recwatch.core.progress import Progress
from recwatch.core.proposals import Hold
from recwatch.core.signals import Samples, Series, SeriesSet
from recwatch.core.targets import TargetSet, TargetState
from tests.core.examples import ANOMALY, DECISION, INCIDENT, MARK, NASTY_TEXTS, PROPOSAL, SILENCE

SERIES = SeriesSet(
    "shop",
    (
        canonical_series("shop", "queue_depth"),
        *(Series("raw", {"service": "shop", "text": text}, "", "counter", "shop", "http://a") for text in NASTY_TEXTS),
    ),
)
SAMPLES = Samples("shop 漢字", "http://a", np.array([1, 2]), np.array([7, 2**64 - 1], np.uint64), np.array([0.1, -1e300]))
EXAMPLES: dict[str, Any] = {
    "series": SERIES,
    "targets": TargetSet("shop", (TargetState("http://a", up=False, error='refused, "so"'),)),
    "derived_series": SERIES,
    "anomalies": ANOMALY,
    "incidents": INCIDENT,
    "proposals": PROPOSAL,
    "holds": Hold("shop", "no incident is open", 5),
    "progress": Progress("sink", {"shop": 5}),
    "decisions": DECISION,
    "silences": SILENCE,
    "marks": MARK,
}


def as_columns(samples: Samples) -> list[object]:
    found = [getattr(samples, field.name) for field in fields(Samples)]
    return [(value.dtype, value.tolist()) if isinstance(value, np.ndarray) else value for value in found]


def test_every_topic_has_a_word() -> None:
    assert set(WORDS) == set(TOPICS) == {*EXAMPLES, "samples", "judgements"}


@pytest.mark.parametrize("topic", sorted(EXAMPLES))
def test_a_word_comes_back_equal(topic: str) -> None:
    assert decode(topic, encode(topic, EXAMPLES[topic])) == EXAMPLES[topic]


def test_labels_may_be_any_mapping() -> None:
    labels = MappingProxyType({"service": "shop", "zone": "a"})
    series = SeriesSet("shop", (Series("up", labels, "", "gauge", "shop", "http://a"),))
    (found,) = decode("series", encode("series", series)).series
    assert (dict(found.labels), found.id) == (dict(labels), series.series[0].id)


def test_series_keep_their_ids() -> None:
    found = decode("series", encode("series", SERIES))
    assert [series.id for series in found.series] == [series.id for series in SERIES.series]


@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
def test_samples_come_back_equal_however_they_are_compressed(compression: str | None) -> None:
    assert as_columns(decode("samples", encode("samples", SAMPLES, compression))) == as_columns(SAMPLES)


@given(
    st.lists(
        st.tuples(
            st.integers(-(2**63), 2**63 - 1),
            st.integers(0, 2**64 - 1),
            st.floats(allow_nan=False, allow_infinity=False),
        )
    ),
    st.text(),
)
def test_any_samples_come_back_equal(rows: list[tuple[int, int, float]], target: str) -> None:
    samples = Samples(
        "shop",
        target,
        np.array([time for time, _, _ in rows], np.int64),
        np.array([series for _, series, _ in rows], np.uint64),
        np.array([value for _, _, value in rows], np.float64),
    )
    assert as_columns(decode("judgements", encode("judgements", samples))) == as_columns(samples)


def test_a_column_that_is_a_view_is_sent_as_it_is_read() -> None:
    times = np.arange(10)
    samples = Samples("shop", "", times[::2], np.zeros(5, np.uint64), np.zeros(5))
    assert decode("samples", encode("samples", samples)).time_ms.tolist() == [0, 2, 4, 6, 8]


def test_another_topics_word_is_refused() -> None:
    with pytest.raises(BadInput, match="marks carries Mark, and this is a Samples"):
        encode("marks", SAMPLES)


def stream_of(**columns: list[object]) -> bytes:
    table = pa.table(columns).replace_schema_metadata({"service": "shop", "target": ""})
    out = pa.BufferOutputStream()
    with pa.ipc.new_stream(out, table.schema) as stream:
        stream.write_table(table)
    return bytes(out.getvalue())


def columns(times: list[object], values: list[object]) -> bytes:
    schema = [("time_ms", pa.int64()), ("series_id", pa.uint64()), ("value", pa.float64())]
    arrays: dict[str, Any] = {"time_ms": times, "series_id": [7] * len(times), "value": values}
    return stream_of(**{name: pa.array(arrays[name], kind) for name, kind in schema})


@pytest.mark.parametrize(
    ("topic", "data", "reason"),
    [
        ("samples", None, "no Samples: the message is empty"),
        ("marks", b"", "no Mark: the message is empty"),
        ("samples", b"\xff\xff\xff", "no Samples: not an Arrow stream of one batch"),
        ("samples", encode("samples", SAMPLES)[:-40], "no Samples: not an Arrow stream of one batch"),
        ("samples", encode("marks", MARK), "no Samples: not an Arrow stream of one batch"),
        ("samples", stream_of(time_ms=[1]), "no Samples: the columns are not time_ms, series_id and value"),
        ("samples", columns([1, None], [0.5, 0.5]), "no Samples: some rows have empty fields"),
        ("samples", columns([1, 2], [0.5, float("inf")]), "no Samples: some values are not finite"),
        ("marks", b"{", "no Mark: Invalid JSON"),
        ("marks", b"{}", "no Mark: Field required at id"),
        ("marks", encode("marks", MARK).replace(b'"deploy"', b'"party"'), "no Mark: Input should be .* at kind"),
        ("series", b'{"service":"shop","series":[{}]}', r"no SeriesSet: Field required at series\.0\.name"),
    ],
)
def test_what_is_no_message_is_refused_with_the_reason(topic: str, data: bytes | None, reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        decode(topic, data)


@settings(max_examples=500)
@given(st.binary(max_size=400), st.integers(0, 10_000))
def test_samples_that_were_damaged_are_refused_or_read_but_never_crash(noise: bytes, place: int) -> None:
    good = bytearray(encode("samples", SAMPLES))
    good[place % len(good) : place % len(good) + len(noise)] = noise
    with suppress(BadInput):
        assert isinstance(decode("samples", bytes(good)), Samples)
