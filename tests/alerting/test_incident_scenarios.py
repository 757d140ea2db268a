"""Whole faults through the stage: one incident each, its cause right from the first message on, resolved after."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from alerting.incident import LEADS
from alerting.message import Message, message_of
from alerting.stage import AlertingStage
from recwatch.core.bus import Record
from recwatch.core.canonical import SIGNALS, canonical_series
from recwatch.core.events import Anomaly, Cause, Incident, Mark, Silence
from recwatch.core.signals import Samples, SeriesSet
from recwatch.core.targets import TargetSet, TargetState
from tests.alerting.scenarios import (
    DEPLOY,
    DEPLOYED,
    FAULT_S,
    HEALTHY,
    MENDED_S,
    OUT_OF_OBJECTIVE,
    SERIES,
    SERVICE,
    SURGE,
    THROTTLE,
    Harness,
    anomaly,
    at,
    at_once,
    deploy_events,
    raised,
    story,
    surge_events,
    throttle_events,
    tick,
)


@dataclass(slots=True)
class Kept:
    """A notifier that keeps what it was sent."""

    messages: list[Message] = field(default_factory=list)

    def send(self, message: Message) -> None:
        self.messages.append(message)

    def close(self) -> None:
        """Nothing is open."""


Events = dict[int, list[Anomaly | Mark]]
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


def test_repeated_and_reordered_records_change_nothing() -> None:
    once, again = Harness(), Harness()
    once.run(SURGE, surge_events())
    shuffled = random.Random(3)
    again.feed(SeriesSet(SERVICE, tuple(SERIES.values())))
    past: list[Anomaly | Mark] = []
    for samples, told in story(SURGE, surge_events()):
        past += told
        again.feed(samples, samples, *told, *shuffled.sample(past, len(past)))
        again.clock.advance(1)
    assert again.published == once.published


def test_an_end_that_overtakes_its_start_is_kept() -> None:
    harness, opened = Harness(), anomaly("latency_p99_seconds", 5)
    ended = anomaly("latency_p99_seconds", 5, 8)
    harness.run({}, {10: [ended], 11: [opened]}, end_s=60)
    assert [i.state for i in harness.published] == ["open", "resolved"]
    assert harness.published[-1].end_ms == at(8)


def test_an_anomaly_ahead_of_its_samples_waits_for_them_and_gets_the_right_cause() -> None:
    harness = Harness()
    harness.feed(SeriesSet(SERVICE, tuple(SERIES.values())))
    early = raised(anomaly("latency_p99_seconds", 122, method="objective"))[122][0]
    for samples, _ in story(SURGE, {}, end_s=121):
        harness.feed(samples)
    assert harness.feed(early) == []
    late = [samples for samples, _ in story(SURGE, {}, end_s=123)]
    assert [i.cause for i in harness.feed(*late[121:])] == [Cause.LOAD_SURGE]


def test_without_samples_an_incident_opens_all_the_same() -> None:
    harness = Harness()
    assert harness.feed(anomaly("errors_ratio", 5, value=0.2)) == []
    harness.clock.advance(5)
    assert [(i.state, i.cause) for i in harness.feed()] == [("open", Cause.UNKNOWN)]


def test_what_comes_back_soon_opens_the_same_incident_again() -> None:
    first = raised(anomaly("latency_p99_seconds", 122, method="objective"), mended_s=140)
    back = raised(anomaly("latency_p99_seconds", 165, method="objective"), mended_s=175)
    told = Harness().run(SURGE, {**first, **back})
    assert len({i.id for i in told}) == 1
    assert [s.state for s in told[-1].history] == ["open", "resolved", "open", "resolved"]
    assert told[-1].start_ms == at(122)


def test_what_comes_back_late_is_another_incident() -> None:
    first = raised(anomaly("latency_p99_seconds", 122, method="objective"), mended_s=125)
    later = raised(anomaly("latency_p99_seconds", 190, method="objective"), mended_s=200)
    told = Harness().run(SURGE, {**first, **later})
    assert len({i.id for i in told}) == 2
    assert [i.state for i in told if i.id == told[-1].id][-1] == "resolved"


def test_an_incident_long_after_another_ends_too() -> None:
    first = raised(anomaly("latency_p99_seconds", 122, method="objective"), mended_s=125)
    later = raised(anomaly("latency_p99_seconds", 400, method="objective"), mended_s=410)
    told = Harness().run(SURGE, {**first, **later}, end_s=460)
    assert list(dict.fromkeys((i.state, i.start_ms) for i in told)) == [
        ("open", at(122)),
        ("resolved", at(122)),
        ("open", at(400)),
        ("resolved", at(400)),
    ]


def test_traffic_that_fell_long_ago_and_now_stays_away_keeps_its_incident_open() -> None:
    fell: dict[str, Any] = {"direction": "below", "value": 40.0, "expected": 110.0}
    events = raised(anomaly("latency_p99_seconds", 300, method="objective"), mended_s=320)
    events[10] = [anomaly("requests_per_second", 10, **fell)]
    harness = Harness()
    harness.feed(SeriesSet(SERVICE, tuple(SERIES.values())))
    for second in range(400):
        rate = 40.0 if second < 325 else 0.0
        harness.feed(Samples.of(SERVICE, "", at(second), {SERIES["requests_per_second"].id: rate}), *events.get(second, []))
        harness.clock.advance(1)
    assert len({i.id for i in harness.published}) == 1
    assert (harness.published[-1].state, harness.published[-1].title[:24]) == ("open", "recommender: no answers,")


def test_a_short_relief_does_not_resolve() -> None:
    first = raised(anomaly("latency_p99_seconds", 122, method="objective"), mended_s=130)
    again = raised(anomaly("latency_p99_seconds", 136, method="objective"), mended_s=150)
    assert [i.state for i in Harness().run(SURGE, {**first, **again})].count("resolved") == 1


def test_a_long_incident_keeps_what_is_open_the_first_and_the_latest() -> None:
    first = anomaly("queue_depth", 121, 121.5)
    lasting = anomaly("latency_p99_seconds", 122, method="objective", **OUT_OF_OBJECTIVE)
    felt = [anomaly("latency_p50_seconds", 123 + n, 123.5 + n) for n in range(100)]
    events = raised(lasting, mended_s=240)
    events[121] = [first]
    for n, blip in enumerate(felt):
        events.setdefault(124 + n, []).append(blip)
    told = Harness().run(SURGE, events, end_s=300)
    assert max(len(i.anomalies) for i in told) == 52
    for incident in told[-3:]:
        kept = {a.id for a in incident.anomalies}
        assert {first.id, lasting.id, felt[-1].id} <= kept
        assert felt[0].id not in kept
    assert [i.state for i in told].count("resolved") == 1
    assert told[-1].end_ms == at(240)


def test_an_incident_opens_however_much_evidence_before_it_ended_after_what_users_felt() -> None:
    felt = anomaly("latency_p99_seconds", 122, 124, method="objective", **OUT_OF_OBJECTIVE)
    evidence = [anomaly("gpu_temperature_celsius", 60 + n / 100, 126) for n in range(60)]
    told = Harness().run(SURGE, {127: [*evidence, felt]}, end_s=150)
    assert [i.state for i in told] == ["open", "resolved"]
    assert all(felt.id in {a.id for a in i.anomalies} for i in told)


def test_evidence_that_ends_later_does_not_push_the_end_out() -> None:
    felt = anomaly("latency_p99_seconds", 122, 130, method="objective", **OUT_OF_OBJECTIVE)
    blips = [anomaly("queue_depth", 131 + n / 100, 131.005 + n / 100) for n in range(100)]
    first = anomaly("queue_depth", 121, 121.5)
    told = Harness().run(SURGE, {121: [first], 130: [felt], 132: list(blips)}, end_s=200)
    assert (told[-1].state, told[-1].end_ms) == ("resolved", at(130))


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


def test_targets_that_stay_down_are_an_incident_and_a_restart_is_not() -> None:
    lost: dict[str, Any] = {"direction": "below", "value": 0.0, "expected": 1.0}
    restart = raised(anomaly("targets_up_ratio", 121, **lost), mended_s=127)
    assert Harness().run({"targets_up_ratio": 0.0}, restart) == []
    told = Harness().run({"targets_up_ratio": 0.0}, raised(anomaly("targets_up_ratio", 121, **lost)))
    assert (told[0].cause, told[0].severity) == (Cause.TELEMETRY_LOSS, "page")
    assert told[0].title == "recommender: targets down, 0 % answer (expected 100 %): telemetry loss"
    assert [e.text for e in told[0].causes[0].evidence] == ["targets down: 0 % answer, were 100 %"]
    assert told[-1].state == "resolved"


def test_the_message_names_the_targets_that_are_down_and_what_each_failed_of() -> None:
    reset = TargetState("http://10.0.0.2:9400/metrics", up=False, error="connection reset")
    refused = TargetState("http://10.0.0.1:8000/metrics", up=False, error="http://10.0.0.1:8000/metrics cannot be reached")
    fine = TargetState("http://10.0.0.3:8000/metrics", up=True)
    harness = Harness()
    harness.feed(TargetSet(SERVICE, (refused, reset, fine)))
    lost = raised(anomaly("targets_up_ratio", 121, direction="below", value=0.33, expected=1.0))
    told = harness.run({"targets_up_ratio": 0.33}, lost)[0]
    text = message_of(told, "open", at(140)).text
    assert "- http://10.0.0.1:8000/metrics cannot be reached\n" in text
    assert "- http://10.0.0.2:9400/metrics: connection reset\n" in text
    assert fine.url not in text


def test_an_outage_from_the_start_on_is_named() -> None:
    harness = Harness()
    harness.feed(SeriesSet(SERVICE, (SERIES["targets_up_ratio"],)))
    harness.feed(TargetSet(SERVICE, (TargetState("http://10.0.0.1/metrics", up=False, error="refused"),)))
    lost = anomaly("targets_up_ratio", 0, direction="below", value=0.0, expected=1.0)
    for second in range(20):
        harness.feed(Samples.of(SERVICE, "", at(second), {SERIES["targets_up_ratio"].id: 0.0}), lost)
    assert [i.title for i in harness.published] == ["recommender: targets down, 0 % answer (expected 100 %): telemetry loss"]
    said = [e.text for e in harness.published[0].causes[0].evidence]
    assert said == ["targets down: 0 % answer, all should", "http://10.0.0.1/metrics: refused"]


def test_of_many_targets_that_are_down_some_are_named_and_the_rest_counted() -> None:
    harness = Harness()
    harness.feed(TargetSet(SERVICE, tuple(TargetState(f"http://10.0.0.{n}/metrics", False, "refused") for n in range(9))))
    lost = raised(anomaly("targets_up_ratio", 121, direction="below", value=0.0, expected=1.0))
    said = [e.text for e in harness.run({"targets_up_ratio": 0.0}, lost)[0].causes[0].evidence]
    assert [text.partition(": ")[0] for text in said[1:5]] == [f"http://10.0.0.{n}/metrics" for n in range(4)]
    assert said[5:] == ["and 5 more targets"]


ONE_DEAD: dict[str, Any] = {"direction": "below", "value": 0.5, "expected": 1.0}
SLOW_SINCE = (75, 230)
"""Two times at which a service whose target died at its start becomes slow."""


def dead_from_the_start(dead_until_s: int = 400, fault: Mapping[str, float] = SURGE) -> list[Message]:
    """The messages of a service with a dead target that is twice at fault for half a minute, read second by second."""
    harness, inbox = Harness(), Kept()
    outbox = at_once({"inbox": inbox})
    harness.feed(SeriesSet(SERVICE, tuple(SERIES.values())))
    harness.feed(TargetSet(SERVICE, (TargetState("http://10.0.0.1:9/metrics", up=False, error="refused"),)))
    events = raised(anomaly("targets_up_ratio", 0, **ONE_DEAD), mended_s=dead_until_s)
    for since_s in SLOW_SINCE:
        queue, felt = anomaly("queue_depth", since_s), felt_of(fault, since_s)
        events |= {since_s + 1: [queue], since_s + 2: [felt]}
        events[since_s + 30] = [replace(a, end_ms=at(since_s + 30)) for a in (queue, felt)]
    noise = random.Random(7)
    for second in range(dead_until_s + 20):
        slow = any(since_s <= second < since_s + 30 for since_s in SLOW_SINCE)
        up = {"targets_up_ratio": 0.5 if second < dead_until_s else 1.0}
        told = harness.feed(tick(second, {**HEALTHY, **(fault if slow else {}), **up}, noise), *events.get(second, []))
        outbox.process([Record("incidents", 0, n, SERVICE, i) for n, i in enumerate(told)], harness.clock.now_ms())
        harness.clock.advance(1)
    return inbox.messages


def felt_of(fault: Mapping[str, float], since_s: int) -> Anomaly:
    if fault is HUNG:
        return anomaly("requests_per_second", since_s, direction="below", value=0.0, expected=110.0)
    return anomaly("latency_p99_seconds", since_s + 1, method="objective", **OUT_OF_OBJECTIVE)


@pytest.mark.parametrize("fault", ["surge", "hung"])
def test_a_dead_target_mutes_nothing_and_is_not_blamed_for_what_is_still_measured(fault: str) -> None:
    readings, cause = (SURGE, Cause.LOAD_SURGE) if fault == "surge" else (HUNG, Cause.DEAD_BUT_BUSY)
    messages = dead_from_the_start(fault=readings)
    outage, *_ = messages
    assert [(m.occasion, m.incident.cause) for m in messages] == [
        ("open", Cause.TELEMETRY_LOSS),
        ("open", cause),
        ("resolved", cause),
        ("open", cause),
        ("resolved", cause),
        ("resolved", Cause.TELEMETRY_LOSS),
    ]
    assert {m.incident.severity for m in messages} == {"page"}
    assert len({m.incident.id for m in messages}) == 3
    assert outage.subject == "[PAGE] recommender: targets down, 50 % answer (expected 100 %): telemetry loss"
    assert messages[-1].incident.id == outage.incident.id
    assert all("10.0.0.1" not in m.text for m in messages[1:-1])


def test_a_target_lost_with_what_users_feel_is_one_incident_until_only_the_target_is_left() -> None:
    together = raised(anomaly("latency_p99_seconds", 122, method="objective", **OUT_OF_OBJECTIVE), mended_s=140)
    together[123] = [anomaly("targets_up_ratio", 121, **ONE_DEAD)]
    again = raised(anomaly("latency_p99_seconds", 210, method="objective", **OUT_OF_OBJECTIVE), mended_s=225)
    told = Harness().run({**SURGE, "targets_up_ratio": 0.5}, {**together, **again}, end_s=240)
    first, second = dict.fromkeys(i.id for i in told)
    said = [e.text for i in told if i.id == first for e in i.causes[0].evidence]
    assert "targets down: 50 % answer, were 100 %" in said
    assert {i.cause for i in told if i.id == first} == {Cause.LOAD_SURGE}
    assert [i.state for i in told if i.id == second][-1] == "resolved"
    assert "resolved" not in {i.state for i in told if i.id == first}


def test_a_restart_in_an_outage_goes_on_with_both_incidents() -> None:
    dead = anomaly("targets_up_ratio", 20, **ONE_DEAD)
    slow = anomaly("latency_p99_seconds", 122, method="objective", **OUT_OF_OBJECTIVE)
    events: Events = {20: [dead], 122: [slow]}
    before, snapshot, store = Harness(), Harness(), Harness()
    before.run(SURGE, events, end_s=150)
    snapshot.stage.restore(before.stage.snapshot())
    store.stage.adopt({i.id: i for i in before.published}.values(), (), {SERVICE}, at(150))
    ids = list(dict.fromkeys(i.id for i in before.published))
    assert len(ids) == 2
    for after in (snapshot, store):
        assert [i.id for i in after.feed()] == ids
        after.feed(replace(slow, end_ms=at(180)), replace(dead, end_ms=at(200)))
        after.feed(
            SeriesSet(SERVICE, tuple(SERIES.values())), Samples.of(SERVICE, "", at(215), {SERIES["replicas"].id: 1.0})
        )
        assert {i.id: i.end_ms for i in after.published} == dict(zip(ids, (at(200), at(180)), strict=True))


def test_the_title_and_the_evidence_tell_the_same_share_of_targets() -> None:
    harness = Harness()
    harness.feed(SeriesSet(SERVICE, tuple(SERIES.values())))
    lost = anomaly("targets_up_ratio", 121, **ONE_DEAD)
    for second, (samples, _) in enumerate(story({"targets_up_ratio": 0.75}, {}, end_s=140)):
        harness.feed(samples, *([lost] if second == 121 else []))
    (told,) = harness.published
    assert told.title == "recommender: targets down, 75 % answer (expected 100 %): telemetry loss"
    assert told.causes[0].evidence[0].text == "targets down: 75 % answer, were 100 %"


HUNG = {"requests_per_second": 0.0, "errors_ratio": 0.0, "queue_depth": 90.0, "gpu_busy_ratio": 1.0}


@pytest.mark.parametrize("first_second", [0.0, 60.0])
def test_a_service_that_answers_nothing_pages(first_second: float) -> None:
    fell: dict[str, Any] = {"direction": "below", "value": first_second, "expected": 110.0}
    told = Harness().run(HUNG, raised(anomaly("requests_per_second", 120, **fell)))
    assert told[0].history[0].time_ms <= at(FAULT_S + 11) + 1000
    assert (told[0].severity, told[0].cause) == ("page", Cause.DEAD_BUT_BUSY)
    assert told[0].title == "recommender: no answers, 0/s (expected 110/s): dead but busy"
    assert [i.state for i in told].count("resolved") == 1


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


def test_a_silence_is_noted_once() -> None:
    harness = Harness()
    harness.feed(Silence("s1", SERVICE, None, at(0), at(500), "ana", "load test"))
    told = harness.run(SURGE, surge_events())
    assert [(s.state, s.by) for s in told[-1].history] == [
        ("open", "recwatch"),
        ("silenced", "ana"),
        ("resolved", "recwatch"),
    ]


def test_a_restart_in_mid_incident_goes_on_with_the_same_incident() -> None:
    before, after = Harness(), Harness(stage=AlertingStage({}))
    before.run(SURGE, surge_events(), end_s=150)
    after.stage.restore(before.stage.snapshot())
    for anomalies in (*surge_events().values(),):
        after.feed(*anomalies)
    for second, (samples, _) in enumerate(story({}, {})):
        if second >= 200:
            after.feed(samples)
    assert {i.id for i in after.published} == {before.published[0].id}
    assert [i.state for i in after.published].count("resolved") == 1
    assert after.published[-1].cause is Cause.LOAD_SURGE


def test_after_a_restart_what_is_open_is_told_once_and_what_is_over_is_not() -> None:
    during, over = Harness(), Harness()
    during.run(SURGE, surge_events(), end_s=150)
    over.run(SURGE, surge_events())
    for before, expected in ((during, during.published[-1:]), (over, [])):
        after = Harness()
        after.stage.restore(before.stage.snapshot())
        assert [i.id for i in after.feed()] == [i.id for i in expected]
        assert after.feed() == []


def test_services_do_not_mix() -> None:
    harness = Harness()
    harness.run(SURGE, surge_events(), end_s=130)
    other: Incident | None = next((i for i in harness.published if i.service != SERVICE), None)
    assert other is None
    elsewhere = Anomaly("x", "search", "1", 'errors_ratio{service="search"}', "z", at(1), None, 3, "above", 1, 0, "errors")
    harness.clock.advance(1)
    assert harness.feed(elsewhere) == []
    harness.clock.advance(5)
    assert {i.service for i in harness.feed()} == {"search"}


def test_what_comes_just_after_lost_targets_are_back_does_not_open_their_incident_again() -> None:
    dead = anomaly("targets_up_ratio", 60, **ONE_DEAD)
    events = surge_events()
    events |= {76: [dead], 100: [replace(dead, end_ms=at(100))]}
    told = Harness().run(SURGE, events)
    outage, surge = dict.fromkeys(i.id for i in told)
    last = [i for i in told if i.id == outage][-1]
    assert [s.state for s in last.history] == ["open", "resolved"]
    assert {i.cause for i in told if i.id == surge} == {Cause.LOAD_SURGE}


def test_whatever_users_feel_can_lead_a_title() -> None:
    assert {name for name, signal in SIGNALS.items() if signal.user_facing} <= set(LEADS)
