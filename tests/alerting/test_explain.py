"""Every verdict, each from what brings it about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from alerting.explain import Explanation, explain, series_named
from recwatch.core.canonical import canonical_series, derived_series
from recwatch.core.errors import BadInput
from recwatch.core.events import Anomaly, Cause, Incident, RankedCause, Silence
from recwatch.core.recent import Recent
from recwatch.core.signals import Samples, Series, SeriesSet

P99 = canonical_series("shop", "latency_p99_seconds")
DEPTH = canonical_series("shop", "queue_depth")
NOW_MS = 1_700_000_060_000
OPEN = Anomaly(
    "a1", "shop", str(P99.id), P99.key, "robust", NOW_MS - 9000, None, 3.0, "above", 0.8, 0.1, "p99 left its band"
)
INCIDENT = Incident(
    "i1",
    "shop",
    "open",
    "page",
    NOW_MS - 9000,
    None,
    "shop: p99 latency 812 ms: load surge",
    (RankedCause(Cause.LOAD_SURGE, 0.9, ()),),
    (OPEN,),
    (),
    (),
)


def recent_of(judged: Mapping[str, float] | None = None, until_s: int = 60, judged_until_s: int = 60) -> Recent:
    """A minute of both signals at 1 Hz, and the judgements of p99 by the method `robust`."""
    derived = {
        derived_series(what, P99, "robust" if what.endswith(("score", "ratio")) else ""): v
        for what, v in (judged or {}).items()
    }
    recent = Recent()
    recent.learn(SeriesSet("shop", (P99, DEPTH, *derived)))
    for second in range(until_s + 1):
        time_ms = NOW_MS - 60_000 + 1000 * second
        recent.append(Samples.of("shop", "", time_ms, {P99.id: 0.092, DEPTH.id: 3.0}))
        if second <= judged_until_s:
            recent.append(Samples.of("shop", "", time_ms, {s.id: v for s, v in derived.items()}))
    return recent


JUDGED = {
    "recwatch_score": 0.25,
    "recwatch_warmup_ratio": 1.0,
    "recwatch_lower": 0.07,
    "recwatch_upper": 0.12,
}
WARMING = {"recwatch_warmup_ratio": 0.4}


def why(recent: Recent, *events: Anomaly | Incident | Silence) -> Explanation:
    kinds = ([e for e in events if isinstance(e, kind)] for kind in (Anomaly, Incident, Silence))
    anomalies, incidents, silences = kinds
    return explain(P99, recent, (anomalies, incidents, silences), NOW_MS)  # type: ignore[arg-type]


def test_no_data_at_all_and_none_any_more() -> None:
    assert why(Recent()).verdict == "no_data"
    stopped = why(recent_of(JUDGED, until_s=30))
    assert stopped.verdict == "no_data"
    assert "30 s ago" in stopped.sentences[0]


def test_not_judged() -> None:
    told = why(recent_of())
    assert (told.verdict, told.sentences[-1]) == ("not_judged", "No detector judges this signal.")


def test_a_series_of_a_target_is_in_the_store_and_not_judged() -> None:
    raw = Series("up", {"service": "shop"}, "", "gauge", "shop", "http://shop:8000/metrics")
    told = explain(raw, recent_of(), ([], [], []), NOW_MS)
    assert told.verdict == "not_judged"
    assert "in the store" in told.sentences[0]


def test_over_the_edge_but_not_for_long() -> None:
    told = why(recent_of({**JUDGED, "recwatch_score": 5.0}))
    assert told.verdict == "over_edge"
    assert "robust scores 5.00: over the edge" in told.sentences[1]
    assert "not for long enough yet" in told.sentences[1]


def test_warming_up() -> None:
    told = why(recent_of(WARMING))
    assert told.verdict == "warming_up"
    assert told.sentences[1] == "robust is warming up: 40 % done."


def test_abstained() -> None:
    assert why(recent_of(JUDGED, judged_until_s=40)).verdict == "abstained"


def test_normal_with_its_band_and_its_past() -> None:
    told = why(recent_of(JUDGED), replace(OPEN, end_ms=NOW_MS - 2000))
    assert told.verdict == "normal"
    assert told.sentences == (
        "The last value is 92 ms, 0 s ago.",
        "robust scores 0.25; the edge is at 1.",
        "Expected is 70 ms to 120 ms.",
        "It was last anomalous from 2023-11-14 22:14:11 UTC to 2023-11-14 22:14:18 UTC: p99 left its band.",
    )


def test_alarming_within_its_incident() -> None:
    told = why(recent_of(JUDGED), OPEN, INCIDENT)
    assert told.verdict == "alarming"
    assert "open incident i1: shop: p99 latency 812 ms" in told.sentences[-1]


def test_muted_says_by_whom_and_why() -> None:
    told = why(recent_of(JUDGED), OPEN, INCIDENT, Silence("s", "shop", None, 0, NOW_MS + 9000, "ana", "load test"))
    assert told.verdict == "muted"
    assert "silenced by ana until" in told.sentences[-1]


def test_evidence_only() -> None:
    deep = replace(OPEN, series=DEPTH.key, series_id=str(DEPTH.id))
    told = explain(DEPTH, recent_of(JUDGED), ([deep], [], []), NOW_MS)
    assert told.verdict == "evidence_only"


def test_targets_that_are_down_page_by_lasting_and_before_that_it_says_when() -> None:
    up = canonical_series("shop", "targets_up_ratio")
    recent = Recent()
    recent.learn(SeriesSet("shop", (up,)))
    for second in range(10):
        recent.append(Samples.of("shop", "", NOW_MS - 9000 + 1000 * second, {up.id: 0.0}))
    reason = "targets up 0 %, expected 100 %"
    down = replace(OPEN, series=up.key, series_id=str(up.id), direction="below", value=0.0, expected=1.0, reason=reason)
    told = explain(up, recent, ([down], [], []), NOW_MS)
    assert told.verdict == "waiting"
    assert told.sentences[-1] == (
        "It pages once it has lasted for 15 s, as a restart may take as long; so far it has for 9 s."
    )


def test_user_facing_without_an_incident_yet_is_alarming() -> None:
    assert why(recent_of(JUDGED), OPEN).verdict == "alarming"


def test_a_series_is_found_by_key_or_by_a_name_that_is_plain() -> None:
    recent = recent_of()
    clocks = [canonical_series("shop", "gpu_sm_clock_hertz", {"gpu": gpu}) for gpu in "01"]
    recent.learn(SeriesSet("shop", tuple(clocks)))
    assert series_named(P99.key, recent) == P99
    assert series_named("queue_depth", recent, "shop") == DEPTH
    assert series_named(clocks[1].key, recent) == clocks[1]
    with pytest.raises(BadInput, match="fits 2 series"):
        series_named("gpu_sm_clock_hertz", recent)
    with pytest.raises(BadInput, match="no series 'queue_depth' of service 'search' is known yet; "):
        series_named("queue_depth", recent, "search")
    with pytest.raises(BadInput, match=r"'queue_dept' of service 'shop' is known; known are queue_depth$"):
        series_named("queue_dept", recent, "shop")


def test_a_quantile_at_the_last_bound_of_its_buckets_is_told_as_at_least_that() -> None:
    recent = recent_of(JUDGED)
    recent.learn(
        SeriesSet(
            "shop", tuple(canonical_series("shop", "latency_bucket_increments", {"le": le}) for le in ("0.092", "+Inf"))
        )
    )
    assert why(recent).sentences[0].startswith("The last value is at least 92 ms, ")
