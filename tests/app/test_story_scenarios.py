"""A labelled fault in sample time, through the real stages on the real bus: the alert, its delay, its cause, the action."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from math import pi, sin
from typing import Any, Literal

import pytest

from alerting.message import Message
from alerting.outbox import Outbox
from alerting.stage import AlertingStage
from collectors.marks import deploy_mark
from detectors.stage import DetectorStage
from recwatch.app.live import LiveView
from recwatch.app.runner import StageRunner
from recwatch.app.shifts import shifts
from recwatch.core.bus import Outgoing
from recwatch.core.bus.memory import MemoryBus
from recwatch.core.clock import FakeClock
from recwatch.core.events import Cause, Incident
from recwatch.core.objective import Objective
from recwatch.core.proposals import Decision, Proposal
from recwatch.core.signals import Samples, Series, SeriesSet
from tests.simulated_service import SERVICE, SimulatedService
from tuning.config import ActuatorConfig, TuningConfig
from tuning.stage import TuningStage

SURGE_RPS = 3.2 * 110.0
OBJECTIVES: Mapping[str, Objective] = {SERVICE: Objective(latency_p99_seconds=0.200)}


class Inbox:
    """A notifier that keeps what it was sent."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    def send(self, message: Message) -> None:
        self.messages.append(message)

    def close(self) -> None:
        """Nothing is open."""

    @property
    def occasions(self) -> list[str]:
        return [message.occasion for message in self.messages]


class StutteringBus(MemoryBus):
    """Delivers every anomaly and incident again, in order, so many seconds of samples later."""

    def __init__(self, seconds_late: int) -> None:
        super().__init__()
        self._later: deque[list[Outgoing]] = deque([] for _ in range(seconds_late))

    def publish(self, topic: str, key: str, message: Any) -> None:
        if topic == "samples":
            for again in self._later.popleft():
                super().publish(*again)
            self._later.append([])
        super().publish(topic, key, message)
        if topic in ("anomalies", "incidents"):
            self._later[-1].append(Outgoing(topic, key, message))


class Story:
    """Service, bus and stages, driven a second at a time in a fixed order: nothing sleeps, and nothing runs beside it."""

    def __init__(self, seed: int = 4, bus: MemoryBus | None = None) -> None:
        self.service = SimulatedService(seed)
        self.clock = FakeClock()
        self.bus = bus or MemoryBus()
        self.inbox = Inbox()
        self.live = LiveView()
        config = TuningConfig(actuator=ActuatorConfig(url="http://127.0.0.1:1/knobs"))
        self.tuning = TuningStage({SERVICE: config}, OBJECTIVES, {SERVICE: self.service})
        outbox = Outbox({"inbox": self.inbox}, start=lambda work: work())
        stages = (DetectorStage(OBJECTIVES), AlertingStage(OBJECTIVES, shifts=shifts), self.tuning, outbox, self.live)
        self._runners = [StageRunner(stage, self.bus, self.clock) for stage in stages]
        self._known: dict[int, Series] = {}
        self._version = self.service.version
        self._fault_ms = 0

    def run(self, seconds: int) -> None:
        for _ in range(seconds):
            self.clock.advance(1.0)
            self._scrape(self.clock.now_ms())
            assert [runner.step(0.0) for runner in self._runners] == [0.0] * len(self._runners)

    def _scrape(self, now_ms: int) -> None:
        """What a collector publishes: series ahead of their samples, and a mark when another version answers."""
        read = self.service.tick(now_ms)
        new = {series.id: series for series in read if series.id not in self._known}
        if new:
            self._known |= new
            self.bus.publish("series", SERVICE, SeriesSet(SERVICE, tuple(self._known.values())))
        readings = {series.id: value for series, value in read.items()}
        self.bus.publish("samples", SERVICE, Samples.of(SERVICE, "", now_ms, readings))
        before, self._version = self._version, self.service.version
        if before != self._version:
            models = ((("variant", "full"), ("version", version)) for version in (before, self._version))
            self.bus.publish("marks", SERVICE, deploy_mark(SERVICE, "http://shop:8000/metrics", now_ms, *models))

    def break_with(self, **fault: float | str) -> None:
        """Let a fault begin: after a healthy minute, attributes of the service change."""
        self.run(60)
        assert self.incidents == []
        self._fault_ms = self.clock.now_ms()
        for name, value in fault.items():
            setattr(self.service, name, value)

    def decide(self, verdict: Literal["approve", "reject"]) -> None:
        decision = Decision.of(self.proposal, verdict, self.clock.now_ms(), "ada", "looked at it")
        self.bus.publish("decisions", SERVICE, decision)

    @property
    def incidents(self) -> list[Incident]:
        return self.live.events(Incident)

    @property
    def incident(self) -> Incident:
        (only,) = self.incidents
        return only

    @property
    def opened_after_s(self) -> float:
        """From the fault to the incident."""
        return (self.incident.history[0].time_ms - self._fault_ms) / 1000

    @property
    def proposals(self) -> list[Proposal]:
        return self.live.events(Proposal)

    @property
    def proposal(self) -> Proposal:
        (only,) = self.proposals
        return only

    @property
    def ledger(self) -> list[tuple[str, str]]:
        return [(step.state, step.by) for step in self.proposal.history]


MENDED = [("proposed", "recwatch"), ("approved", "ada"), ("applied", "recwatch"), ("verified", "recwatch")]


def test_a_surge_is_noticed_explained_and_mended_while_it_lasts() -> None:
    story = Story()
    story.break_with(load_rps=SURGE_RPS)
    story.run(10)
    assert story.opened_after_s <= 3.0
    assert story.incident.cause is Cause.LOAD_SURGE
    assert story.inbox.occasions == ["open"]
    assert (story.proposal.knob, story.proposal.from_value) == ("max_batch", 2)
    assert story.service.writes == []

    story.decide("approve")
    story.run(20)
    assert story.ledger == MENDED
    assert story.service.writes == [("max_batch", story.proposal.to_value)]
    assert [action.read_back for action in story.proposal.actions] == [story.proposal.to_value]

    story.run(60)
    assert story.service.load_rps == SURGE_RPS
    assert story.incident.state == "resolved"
    assert story.inbox.occasions == ["open", "resolved"]
    assert len(story.service.writes) == 1


def test_a_slow_version_is_noticed_explained_and_taken_back() -> None:
    story = Story()
    story.break_with(version="v2")
    story.run(15)
    assert story.opened_after_s <= 10.0
    assert story.incident.cause is Cause.SLOW_VERSION
    assert [mark.text for mark in story.incident.marks] == ["model v1 → v2"]
    assert (story.proposal.knob, story.proposal.from_value, story.proposal.to_value) == ("model_version", "v2", "v1")
    assert story.service.writes == []

    story.decide("approve")
    story.run(40)
    assert story.ledger == MENDED
    assert story.service.writes == [("model_version", "v1")]
    assert story.incident.state == "resolved"
    assert story.inbox.occasions == ["open", "resolved"]


def test_throttled_clocks_are_explained_and_left_alone() -> None:
    story = Story()
    story.break_with(slowdown=2.2)
    story.run(30)
    assert story.opened_after_s <= 10.0
    assert story.incident.cause is Cause.GPU_THROTTLING
    assert any("641 MHz" in evidence.text and "emulated" in evidence.text for evidence in story.incident.causes[0].evidence)
    assert "clocks are not ours to tune" in story.tuning.holds()[SERVICE]

    story.service.slowdown = 1.0
    story.run(30)
    assert story.incident.state == "resolved"
    assert story.incident.cause is Cause.GPU_THROTTLING
    assert story.tuning.holds() == {}
    assert story.proposals == []
    assert story.service.writes == []


def test_a_service_that_hangs_pages() -> None:
    story = Story()
    story.break_with(alpha_s=1e9, queue_limit=10**9)
    story.run(15)
    assert story.opened_after_s <= 13.0
    assert story.incident.severity == "page"
    assert story.incident.title.startswith("shop: no answers, 0/s (expected 1")
    assert story.inbox.occasions == ["open"]


@pytest.mark.parametrize("seed", range(3))
def test_a_healthy_service_wakes_nobody(seed: int) -> None:
    story = Story(seed)
    story.run(600)
    assert (story.incidents, story.inbox.messages, story.proposals) == ([], [], [])


@pytest.mark.parametrize("seed", range(3))
def test_a_peak_of_traffic_within_capacity_wakes_nobody(seed: int) -> None:
    story = Story(seed)
    story.run(60)
    usual_rps = story.service.load_rps
    for second in range(300):
        story.service.load_rps = usual_rps * (1.0 + 0.6 * sin(pi * second / 300) ** 2)
        story.run(1)
    story.run(60)
    assert max(story.live.recent.values(SERVICE, "requests_per_second")) > 1.5 * usual_rps
    assert (story.incidents, story.inbox.messages, story.proposals) == ([], [], [])


def test_a_rejected_proposal_changes_nothing() -> None:
    story = Story()
    story.break_with(load_rps=SURGE_RPS)
    story.run(10)
    story.decide("reject")
    story.run(30)
    assert story.ledger == [("proposed", "recwatch"), ("rejected", "ada")]
    assert story.service.writes == []
    assert story.incident.state == "open"
    assert "was rejected in this incident already" in story.tuning.holds()[SERVICE]


@pytest.mark.parametrize("seconds_late", [1, 20])
def test_what_is_delivered_twice_is_acted_upon_once(seconds_late: int) -> None:
    story = Story(bus=StutteringBus(seconds_late))
    story.break_with(load_rps=SURGE_RPS)
    story.run(30)
    assert story.inbox.occasions == ["open"]
    story.decide("approve")
    story.run(100)
    assert story.ledger == MENDED
    assert len(story.service.writes) == 1
    assert story.incident.state == "resolved"
    assert story.inbox.occasions == ["open", "resolved"]
