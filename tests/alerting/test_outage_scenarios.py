"""Targets that are lost: an event of its own, told by name, that mutes nothing else."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from alerting.message import Message, message_of
from recwatch.core.bus import Record
from recwatch.core.events import Anomaly, Cause
from recwatch.core.signals import Samples, SeriesSet
from recwatch.core.targets import TargetSet, TargetState
from tests.alerting.scenarios import (
    HEALTHY,
    HUNG,
    OUT_OF_OBJECTIVE,
    SERIES,
    SERVICE,
    SURGE,
    Events,
    Harness,
    anomaly,
    at,
    at_once,
    raised,
    story,
    surge_events,
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


def test_what_comes_just_after_lost_targets_are_back_does_not_open_their_incident_again() -> None:
    dead = anomaly("targets_up_ratio", 60, **ONE_DEAD)
    events = surge_events()
    events |= {76: [dead], 100: [replace(dead, end_ms=at(100))]}
    told = Harness().run(SURGE, events)
    outage, surge = dict.fromkeys(i.id for i in told)
    last = [i for i in told if i.id == outage][-1]
    assert [s.state for s in last.history] == ["open", "resolved"]
    assert {i.cause for i in told if i.id == surge} == {Cause.LOAD_SURGE}
