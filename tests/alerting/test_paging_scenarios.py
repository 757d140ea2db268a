"""What becomes an incident, and which of them page."""

from __future__ import annotations

from typing import Any

import pytest

from alerting.incident import LEADS
from recwatch.core.canonical import SIGNALS
from recwatch.core.events import Cause
from recwatch.core.signals import SeriesSet
from tests.alerting.scenarios import (
    FAULT_S,
    HUNG,
    SERIES,
    SERVICE,
    Harness,
    anomaly,
    at,
    raised,
    story,
)


def test_a_peak_that_users_do_not_feel_is_no_incident() -> None:
    peak = raised(anomaly("requests_per_second", 120), anomaly("queue_depth", 121), anomaly("batch_size_mean", 121))
    assert Harness().run({"requests_per_second": 250.0}, peak) == []


def test_better_than_expected_is_no_incident() -> None:
    better = raised(
        anomaly("latency_p99_seconds", 120, direction="below"), anomaly("answer_quality_ratio", 120, direction="above")
    )
    assert Harness().run({}, better) == []


def test_healthy_noise_is_no_incident() -> None:
    assert Harness().run({}, {}) == []


@pytest.mark.parametrize("first_second", [0.0, 60.0])
def test_a_service_that_answers_nothing_pages(first_second: float) -> None:
    fell: dict[str, Any] = {"direction": "below", "value": first_second, "expected": 110.0}
    told = Harness().run(HUNG, raised(anomaly("requests_per_second", 120, **fell)))
    assert told[0].history[0].time_ms <= at(FAULT_S + 11) + 1000
    assert (told[0].severity, told[0].cause) == ("page", Cause.DEAD_BUT_BUSY)
    assert told[0].title == "recommender: no answers, 0/s (expected 110/s): dead but busy"
    assert [i.state for i in told].count("resolved") == 1


def test_a_lull_or_less_traffic_is_no_loss_of_answers() -> None:
    fell: dict[str, Any] = {"direction": "below", "value": 0.0, "expected": 110.0}
    lull = raised(anomaly("requests_per_second", 120, **fell), mended_s=128)
    assert Harness().run({}, lull) == []
    fewer = raised(anomaly("requests_per_second", 120, **{**fell, "value": 40.0}))
    assert Harness().run({"requests_per_second": 20.0}, fewer) == []


def test_within_objective_a_slow_service_is_a_ticket() -> None:
    told = Harness().run({"latency_p99_seconds": 0.12}, raised(anomaly("latency_p99_seconds", 122)))
    assert {i.severity for i in told} == {"ticket"}


def test_a_ticket_stays_one_whatever_blips() -> None:
    lost: dict[str, Any] = {"direction": "below", "value": 0.0, "expected": 1.0}
    slow = raised(anomaly("latency_p99_seconds", 130))
    slow[121] = [anomaly("targets_up_ratio", 121, 126, **lost), anomaly("requests_per_second", 121, 126, **lost)]
    told = Harness().run({"latency_p99_seconds": 0.12}, slow)
    assert {(i.severity, len(i.anomalies)) for i in told} == {("ticket", 3)}


@pytest.mark.parametrize(("readings_out", "severity"), [(1, "ticket"), (2, "ticket"), (3, "page")])
def test_one_bad_reading_is_no_page(readings_out: int, severity: str) -> None:
    harness = Harness()
    harness.feed(SeriesSet(SERVICE, tuple(SERIES.values())))
    for samples, _ in story({"latency_p99_seconds": 0.4}, {}, end_s=FAULT_S + readings_out):
        harness.feed(samples)
    told = harness.feed(anomaly("latency_p99_seconds", FAULT_S))
    assert [i.severity for i in told] == [severity]


def test_worse_answers_page_without_an_objective_for_them() -> None:
    worse = raised(anomaly("answer_quality_ratio", 122, direction="below", value=0.6))
    told = Harness().run({"answer_quality_ratio": 0.6}, worse)
    assert {(i.severity, i.cause) for i in told} == {("page", Cause.QUALITY_LOSS)}


def test_whatever_users_feel_can_lead_a_title() -> None:
    assert {name for name, signal in SIGNALS.items() if signal.user_facing} <= set(LEADS)
