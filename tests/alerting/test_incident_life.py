"""From its opening to its end: one event is one incident, whatever comes late, twice, back, or after a restart."""

from __future__ import annotations

import random
from typing import Any

from alerting.stage import AlertingStage
from recwatch.core.events import Anomaly, Cause, Incident, Mark, Silence
from recwatch.core.signals import Samples, SeriesSet
from tests.alerting.scenarios import (
    OUT_OF_OBJECTIVE,
    SERIES,
    SERVICE,
    SURGE,
    Harness,
    anomaly,
    at,
    raised,
    story,
    surge_events,
)


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


def test_evidence_that_ends_later_does_not_push_the_end_out() -> None:
    felt = anomaly("latency_p99_seconds", 122, 130, method="objective", **OUT_OF_OBJECTIVE)
    blips = [anomaly("queue_depth", 131 + n / 100, 131.005 + n / 100) for n in range(100)]
    first = anomaly("queue_depth", 121, 121.5)
    told = Harness().run(SURGE, {121: [first], 130: [felt], 132: list(blips)}, end_s=200)
    assert (told[-1].state, told[-1].end_ms) == ("resolved", at(130))


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


def test_an_incident_opens_however_much_evidence_before_it_ended_after_what_users_felt() -> None:
    felt = anomaly("latency_p99_seconds", 122, 124, method="objective", **OUT_OF_OBJECTIVE)
    evidence = [anomaly("gpu_temperature_celsius", 60 + n / 100, 126) for n in range(60)]
    told = Harness().run(SURGE, {127: [*evidence, felt]}, end_s=150)
    assert [i.state for i in told] == ["open", "resolved"]
    assert all(felt.id in {a.id for a in i.anomalies} for i in told)
