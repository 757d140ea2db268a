"""Ids of series are written down in stores and on buses, so they must never change."""

from __future__ import annotations

import numpy as np
import pytest

from recwatch.core.canonical import canonical_series
from recwatch.core.errors import BadInput
from recwatch.core.signals import Judgement, Samples, Series, series_key


@pytest.mark.parametrize(
    ("name", "labels", "key"),
    [
        ("up", {}, "up{}"),
        ("queue_depth", {"service": "shop"}, 'queue_depth{service="shop"}'),
        ("b", {"z": "1", "a": "2"}, 'b{a="2",z="1"}'),
        ("escapes", {"path": 'C:\\new "x"\nend'}, 'escapes{path="C:\\\\new \\"x\\"\\nend"}'),
        ("unicode", {"city": "Zürich 漢字 🚀"}, 'unicode{city="Zürich 漢字 🚀"}'),
    ],
)
def test_a_key_is_name_and_sorted_escaped_labels(name: str, labels: dict[str, str], key: str) -> None:
    assert series_key(name, labels) == key


@pytest.mark.parametrize(
    ("name", "labels", "series_id"),
    [
        ("up", {}, 6_858_246_340_881_744_828),
        ("queue_depth", {"service": "shop"}, 3_191_585_741_963_867_354),
        ("b", {"z": "1", "a": "2"}, 16_095_373_564_223_215_427),
        ("escapes", {"path": 'C:\\new "x"\nend'}, 5_607_463_867_450_936_754),
        ("unicode", {"city": "Zürich 漢字 🚀"}, 9_657_501_804_539_009_261),
    ],
)
def test_an_id_is_the_same_in_every_process_and_release(name: str, labels: dict[str, str], series_id: int) -> None:
    assert Series(name, labels, "", "gauge", "shop").id == series_id


def test_the_order_of_labels_does_not_matter_and_their_text_does() -> None:
    one = Series("m", {"a": "1", "b": "2"}, "", "gauge", "shop")
    assert one.id == Series("m", {"b": "2", "a": "1"}, "", "gauge", "shop").id
    assert one.id != Series("m", {"a": "12", "b": ""}, "", "gauge", "shop").id
    assert series_key("m", {"a": '1",b="2'}) != one.key


def test_a_series_of_the_whole_service_is_canonical() -> None:
    assert canonical_series("shop", "queue_depth").canonical
    assert not Series("up", {"service": "shop"}, "", "gauge", "shop", "http://127.0.0.1:8000/metrics").canonical


def test_a_tick_leaves_out_what_is_not_finite() -> None:
    tick = Samples.of("shop", "", 1_000, {1: 0.5, 2: float("nan"), 2**64 - 1: -1.0, 3: float("inf"), 4: float("-inf")})
    assert tick.series_id.tolist() == [1, 2**64 - 1]
    assert tick.value.tolist() == [0.5, -1.0]
    assert tick.time_ms.tolist() == [1_000, 1_000]


def test_columns_of_unequal_length_are_refused() -> None:
    with pytest.raises(BadInput, match=r"shop: columns of unequal length \[1, 2\]"):
        Samples("shop", "", np.zeros(2, np.int64), np.zeros(1, np.uint64), np.zeros(2))


def test_batches_join_in_the_order_given() -> None:
    joined = Samples.concat(Samples.of("shop", "t", 1_000 * n, {n: float(n)}) for n in (2, 1))
    assert (joined.time_ms.tolist(), joined.series_id.tolist(), joined.value.tolist()) == (
        [2_000, 1_000],
        [2, 1],
        [2.0, 1.0],
    )


def test_an_abstention_says_nothing_of_any_row() -> None:
    nothing = Judgement.abstain(3)
    assert all(
        np.isnan(column).tolist() == [True] * 3 for column in (nothing.score, nothing.expected, nothing.lower, nothing.upper)
    )
