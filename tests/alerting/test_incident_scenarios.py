"""Whole faults through the stage: one incident each, its cause right from the first message on, resolved after."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

import pytest

from recwatch.core.canonical import canonical_series
from recwatch.core.events import Cause, Mark
from recwatch.core.signals import Samples, SeriesSet
from tests.alerting.scenarios import (
    DEPLOY,
    DEPLOYED,
    FAULT_S,
    HEALTHY,
    HUNG,
    MENDED_S,
    SERIES,
    SERVICE,
    SURGE,
    THROTTLE,
    Events,
    Harness,
    anomaly,
    at,
    deploy_events,
    raised,
    story,
    surge_events,
    throttle_events,
    tick,
)

FAULTS = [
    pytest.param(SURGE, surge_events, Cause.LOAD_SURGE, 3, id="surge"),
    pytest.param(DEPLOY, deploy_events, Cause.SLOW_VERSION, 10, id="deploy"),
    pytest.param(THROTTLE, throttle_events, Cause.GPU_THROTTLING, 10, id="throttle"),
]


@pytest.mark.parametrize(("fault", "events", "cause", "within"), FAULTS)
def test_a_fault_is_one_incident_with_its_cause_from_the_start(
    fault: Mapping[str, float], events: Callable[[], Events], cause: Cause, within: int
) -> None:
    told = Harness().run(fault, events())
    assert {i.id for i in told} == {told[0].id}
    assert {i.cause for i in told} == {cause}
    assert told[0].history[0].time_ms <= at(FAULT_S + within) + 1000
    assert [i.state for i in told].count("resolved") == 1
    last = told[-1]
    assert (last.state, last.severity, last.end_ms) == ("resolved", "page", at(MENDED_S + 6))
    assert all(0 < c.confidence <= 1 for c in last.causes)
    assert sum(c.confidence for c in last.causes) <= 1
    assert [s.state for s in last.history] == ["open", "resolved"]


@pytest.mark.parametrize(
    ("fault", "events", "said"),
    [
        pytest.param(SURGE, surge_events, ("requests 29", "/s, expected 110/s", "explained by load"), id="surge"),
        pytest.param(DEPLOY, deploy_events, ("deploy ranker v2 by ci, 4 s before the start", "model time"), id="deploy"),
        pytest.param(THROTTLE, throttle_events, ("SM clock 5", "expected 1410 MHz (emulated)"), id="throttle"),
    ],
)
def test_evidence_has_figures_units_and_says_what_is_emulated(
    fault: Mapping[str, float], events: Callable[[], Events], said: tuple[str, ...]
) -> None:
    text = "\n".join(e.text for e in Harness().run(fault, events())[-1].causes[0].evidence)
    assert all(part in text for part in said)


def test_the_title_is_one_true_sentence() -> None:
    title = Harness().run(SURGE, surge_events())[-1].title
    assert title.startswith("recommender: p99 latency 8")
    assert title.endswith(" ms (objective 150 ms): load surge")


def test_a_title_without_a_known_cause_says_so() -> None:
    told = Harness().run({"errors_ratio": 0.4}, raised(anomaly("errors_ratio", 122, value=0.4)))
    assert told[0].title == "recommender: errors 40 % (objective 1 %): cause not known yet"


def test_an_anomaly_ahead_of_its_samples_waits_for_them_and_gets_the_right_cause() -> None:
    harness = Harness()
    harness.feed(SeriesSet(SERVICE, tuple(SERIES.values())))
    early = raised(anomaly("latency_p99_seconds", 122, method="objective"))[122][0]
    for samples, _ in story(SURGE, {}, end_s=121):
        harness.feed(samples)
    assert harness.feed(early) == []
    late = [samples for samples, _ in story(SURGE, {}, end_s=123)]
    assert [i.cause for i in harness.feed(*late[121:])] == [Cause.LOAD_SURGE]


def test_a_late_deploy_mark_names_the_cause_and_is_noted() -> None:
    events = deploy_events()
    events[128] = events.pop(120)
    told = Harness().run({**DEPLOY, "batch_duration_mean_seconds": HEALTHY["batch_duration_mean_seconds"]}, events)
    assert told[0].cause is not Cause.SLOW_VERSION
    assert told[-1].cause is Cause.SLOW_VERSION
    assert [s.state for s in told[-1].history] == ["open", "updated", "resolved"]
    assert told[-1].marks == (DEPLOYED,)


def test_a_deploy_just_before_a_surge_is_not_blamed() -> None:
    events = surge_events()
    events[119] = [DEPLOYED]
    assert {i.cause for i in Harness().run(SURGE, events)} == {Cause.LOAD_SURGE}


def test_draining_the_queue_after_a_knob_change_does_not_change_the_cause() -> None:
    events = deploy_events()
    events[140] = [Mark.of(SERVICE, "knob_change", at(140), "max_batch_size 8 -> 32", by="recwatch")]
    harness = Harness()
    harness.feed(SeriesSet(SERVICE, tuple(SERIES.values())))
    drained = {**HEALTHY, "requests_per_second": 240.0, "queue_depth": 60.0, "replicas_busy_ratio": 1.0}
    for second, (samples, told) in enumerate(story(DEPLOY, events)):
        values = {SERIES[name].id: value for name, value in drained.items()}
        harness.feed(
            samples if not 141 <= second < 150 else type(samples).of(SERVICE, "", at(second), values),
            *told,
        )
    assert {i.cause for i in harness.published} == {Cause.SLOW_VERSION}


def test_a_cause_that_fits_only_while_the_fault_ends_is_not_told() -> None:
    busy = {"replicas_busy_ratio": 0.99, "queue_depth": 60.0, "queue_wait_mean_seconds": 0.3}
    slow = {"latency_mean_seconds": 0.4, "latency_p99_seconds": 0.9}
    events = raised(anomaly("queue_depth", 121), anomaly("latency_p99_seconds", 122, method="objective"), mended_s=195)
    draining = {**HEALTHY, **slow, "queue_depth": 40.0, "queue_wait_mean_seconds": 0.2}  # replicas are free already
    harness, noise = Harness(), random.Random(7)
    harness.feed(SeriesSet(SERVICE, tuple(SERIES.values())))
    for second, (samples, told) in enumerate(story({**busy, **slow}, events)):
        ending = MENDED_S <= second < MENDED_S + 5
        harness.feed(tick(second, draining, noise) if ending else samples, *told)
        harness.clock.advance(1)
    assert {i.cause for i in harness.published} == {Cause.CAPACITY}
    assert [s.state for s in harness.published[-1].history] == ["open", "resolved"]


def test_a_latency_beyond_the_last_bucket_is_told_as_at_least_its_bound() -> None:
    buckets = [canonical_series(SERVICE, "latency_bucket_increments", {"le": le}) for le in ("1.0", "10.0", "+Inf")]
    harness, p99 = Harness(), SERIES["latency_p99_seconds"].id
    harness.feed(SeriesSet(SERVICE, (*SERIES.values(), *buckets)))
    for second, (samples, told) in enumerate(story(SURGE, surge_events(), end_s=130)):
        beyond = Samples.of(SERVICE, "", at(second) + 1, {p99: 10.0 if second >= FAULT_S else 0.06})
        harness.feed(samples, beyond, *told)
        harness.clock.advance(1)
    assert harness.published[-1].title == "recommender: p99 latency at least 10 s (objective 150 ms): load surge"


def test_a_hung_kernel_is_told_by_the_power_that_it_does_not_draw() -> None:
    hung = {**HUNG, "requests_per_second": 40.0, "gpu_power_watts": 90.0, "latency_p99_seconds": 4.0}
    events = raised(
        anomaly("queue_depth", 121),
        anomaly("latency_p99_seconds", 123, method="objective", value=4.0, expected=0.15),
    )
    told = Harness().run(hung, events)
    assert {i.cause for i in told} == {Cause.DEAD_BUT_BUSY}
    assert any("GPU power" in e.text for e in told[-1].causes[0].evidence)


def test_an_error_of_the_driver_names_the_gpu_before_what_it_looks_like() -> None:
    broken = {**THROTTLE, "gpu_xid_code": 79.0, "gpu_ecc_uncorrected_errors": 3.0}
    told = Harness().run(broken, throttle_events())
    assert {i.cause for i in told} == {Cause.GPU_FAULT}
