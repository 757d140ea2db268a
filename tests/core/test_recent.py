"""The last minutes in memory."""

from __future__ import annotations

import numpy as np

from recwatch.core.canonical import canonical_series, derived_series
from recwatch.core.recent import Recent, absorb
from recwatch.core.signals import Samples, Series, SeriesSet

DEPTH = canonical_series("shop", "queue_depth")
GPUS = tuple(canonical_series("shop", "gpu_power_watts", {"gpu": str(n)}) for n in range(2))
RAW = Series("up", {"service": "shop"}, "", "gauge", "shop", "http://127.0.0.1:8000/metrics")
SCORE = derived_series("recwatch_score", DEPTH, "band")
OTHER = canonical_series("news", "queue_depth")


def recent_of(*ticks: tuple[int, dict[int, float]], span_s: float = 60) -> Recent:
    recent = Recent(span_s)
    absorb(recent, [SeriesSet("shop", (DEPTH, *GPUS, RAW, SCORE)), SeriesSet("news", (OTHER,)), "something else"])
    absorb(recent, [Samples.of("shop", "", time_ms, readings) for time_ms, readings in ticks])
    return recent


def test_rows_have_both_ends_of_the_span_asked_for() -> None:
    recent = recent_of(*((second * 1000, {DEPTH.id: float(second)}) for second in range(6)))
    times, values = recent.rows(DEPTH.id, 1_000, 3_000)
    assert (times.tolist(), values.tolist()) == ([1_000, 2_000, 3_000], [1.0, 2.0, 3.0])
    assert recent.rows(DEPTH.id, 4_000)[1].tolist() == [4.0, 5.0]


def test_rows_older_than_the_span_are_forgotten_by_sample_time() -> None:
    recent = recent_of(*((second * 1000, {DEPTH.id: float(second)}) for second in range(100)), span_s=10)
    times, _ = recent.rows(DEPTH.id)
    assert times.tolist() == list(range(89_000, 100_000, 1_000))


def test_a_row_not_newer_than_its_series_last_is_left_out() -> None:
    recent = recent_of((2_000, {DEPTH.id: 1.0}), (2_000, {DEPTH.id: 2.0}), (1_000, {DEPTH.id: 3.0}))
    assert recent.values("shop", "queue_depth").tolist() == [1.0]


def test_series_are_found_by_service_name_and_labels() -> None:
    recent = recent_of()
    assert recent.series("shop") == [DEPTH, *GPUS, SCORE]
    assert recent.series(name="queue_depth") == [DEPTH, OTHER]
    assert recent.of("shop", "gpu_power_watts", {"gpu": "1"}) == GPUS[1]
    assert recent.of("shop", "gpu_power_watts", {"gpu": "7"}) is None
    assert recent.by_id(OTHER.id) == OTHER
    assert recent.by_id(1) is None


def test_series_of_a_single_target_are_left_to_the_store() -> None:
    assert recent_of().by_id(RAW.id) is None


def test_traffic_is_not_heard_of_when_only_its_targets_are() -> None:
    rate, up = canonical_series("shop", "requests_per_second"), canonical_series("shop", "targets_up_ratio")
    recent = Recent()
    absorb(recent, [SeriesSet("shop", (rate, up)), Samples.of("shop", "", 1_000, {rate.id: 5.0, up.id: 1.0})])
    absorb(recent, [Samples.of("shop", "", 2_000, {up.id: 0.0})])
    assert recent.traffic_ms("shop").tolist() == [1_000]
    assert recent.traffic_ms("news").tolist() == []


def test_what_is_unknown_has_no_rows() -> None:
    recent = recent_of()
    assert recent.values("shop", "nothing").dtype == np.float64
    assert [len(column) for column in recent.rows(1)] == [0, 0]


def test_the_last_time_of_a_service_is_that_of_its_canonical_signals() -> None:
    recent = recent_of((1_000, {DEPTH.id: 1.0}), (2_000, {GPUS[0].id: 1.0}), (9_000, {RAW.id: 1.0}))
    assert recent.last_ms("shop") == 2_000
    assert recent.last_ms("news") is None
