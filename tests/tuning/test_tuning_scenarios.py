"""Whole stories in sample time: a simulated service gets into trouble, and the stage does what it should."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from recwatch.core.bus import Record
from recwatch.core.canonical import canonical_series
from recwatch.core.clock import FakeClock
from recwatch.core.events import Cause, Incident, Mark, RankedCause, Transition
from recwatch.core.objective import Objective
from recwatch.core.proposals import Decision, Proposal
from recwatch.core.signals import Samples, SeriesSet
from recwatch.core.stage import Outgoing
from tests.simulated_service import SimulatedService
from tuning.config import ActuatorConfig, TuningConfig
from tuning.stage import TuningStage

UP = canonical_series("shop", "targets_up_ratio")


def config(**changes: object) -> TuningConfig:
    return TuningConfig.model_validate({"actuator": ActuatorConfig(url="http://127.0.0.1:1/knobs"), **changes})


class Story:
    """Drives a stage and a service a second at a time, and keeps all that the stage published."""

    def __init__(self, service: SimulatedService, settings: TuningConfig | None = None) -> None:
        self.service = service
        self.clock = FakeClock()
        self.settings = settings or config()
        self.published: list[Outgoing] = []
        self.stage = self.new_stage()
        self.incident: Incident | None = None

    def new_stage(self) -> TuningStage:
        return TuningStage({"shop": self.settings}, {"shop": Objective(0.150)}, {"shop": self.service})

    @property
    def proposals(self) -> list[Proposal]:
        return [out.message for out in self.published if out.topic == "proposals"]

    @property
    def proposal(self) -> Proposal:
        return self.proposals[-1]

    @property
    def states(self) -> list[str]:
        return [step.state for step in self.proposal.history]

    def give(self, topic: str, *messages: object) -> None:
        records = [Record(topic, 0, 0, "shop", message) for message in messages]
        self.published += self.stage.process(records, self.clock.now_ms())

    def run(self, seconds: int, samples: bool = True) -> None:
        for _ in range(seconds):
            self.clock.advance(1.0)
            now = self.clock.now_ms()
            if samples:
                read = self.service.tick(now)
                self.give("series", SeriesSet("shop", tuple(read)))
                self.give("samples", Samples.of("shop", "", now, {series.id: value for series, value in read.items()}))
            else:
                self.give("series", SeriesSet("shop", (UP,)))
                self.give("samples", Samples.of("shop", "", now, {UP.id: 0.0}))

    def open(self, cause: Cause, *marks: Mark) -> None:
        start_ms = self.clock.now_ms() - 2_000
        ranked = (RankedCause(cause, 0.9, ()),)
        opened = (Transition("open", self.clock.now_ms(), "recwatch", "slow"),)
        self.incident = Incident("i1", "shop", "open", "page", start_ms, None, "slow", ranked, (), marks, opened)
        self.give("incidents", self.incident)

    def resolve(self) -> None:
        assert self.incident is not None
        over = Transition("resolved", self.clock.now_ms(), "recwatch", "over")
        history = (*self.incident.history, over)
        self.give("incidents", replace(self.incident, state="resolved", end_ms=over.time_ms, history=history))

    def decide(self, approve: bool = True) -> None:
        verdict = Decision.of(self.proposal, "approve" if approve else "reject", self.clock.now_ms(), "ada", "looks right")
        self.give("decisions", verdict)


def surge(settings: TuningConfig | None = None, proposed: bool = True) -> Story:
    """A service at rest that gets three times its load, more than it can take; its incident is three seconds late."""
    story = Story(SimulatedService(), settings)
    story.run(40)
    story.service.load_rps = 300.0
    story.run(3)
    story.open(Cause.LOAD_SURGE)
    if proposed:
        story.run(4)
    return story


def test_a_surge_is_answered_approved_applied_and_verified() -> None:
    story = surge()
    assert (story.proposal.state, story.proposal.from_value, story.proposal.to_value) == ("proposed", 2, 8)
    assert story.proposal.predicted.p99_ms.high < 150.0
    assert story.proposal.predicted.throughput_rps.mid == pytest.approx(300.0, rel=0.05)
    assert story.service.writes == []

    story.decide()
    assert story.states == ["proposed", "approved", "applied"]
    assert story.service.writes == [("max_batch", 8)]
    assert story.proposal.actions[0].read_back == 8

    story.run(25)
    assert story.states == ["proposed", "approved", "applied", "verified"]
    assert story.proposal.measured_p99_ms is not None
    assert story.proposal.measured_p99_ms < 150.0
    assert "predicted" in story.proposal.history[-1].why
    marks = [out.message for out in story.published if out.topic == "marks"]
    assert [(mark.kind, mark.text, mark.by) for mark in marks] == [("knob_change", "max_batch 2 → 8", "ada")]


def test_every_transition_is_published_with_the_whole_history() -> None:
    story = surge()
    story.decide()
    story.run(25)
    assert [len(proposal.history) for proposal in story.proposals] == [1, 2, 3, 4]
    assert {out.key for out in story.published} == {"shop"}


def test_a_change_that_does_not_help_is_undone() -> None:
    story = surge()
    story.service.slowdown = 2.5
    story.decide()
    story.run(45)
    assert story.states[-1] == "rolled_back"
    assert story.service.writes == [("max_batch", 8), ("max_batch", 2)]
    assert [action.read_back for action in story.proposal.actions] == [8, 2]
    assert "above the objective of 150 ms" in story.proposal.history[-1].why
    assert "outside what was predicted" in story.proposal.history[-1].why

    story.run(120)
    assert story.states[-1] == "rolled_back"
    assert "was rolled back in this incident already" in story.stage.holds()["shop"]


def deployed(text: str = "model v1 → v2") -> Story:
    """A version that takes far longer replaces the one that ran well."""
    story = Story(SimulatedService(slowness={"v1": 1.0, "v2": 10.0}, load_rps=100.0, max_batch=64))
    story.run(40)
    story.service.version = "v2"
    mark = Mark.of("shop", "deploy", story.clock.now_ms(), text, "ci")
    story.run(8)
    story.open(Cause.SLOW_VERSION, mark)
    story.run(3)
    return story


@pytest.mark.parametrize("text", ["model v1 → v2", "a deploy that names no version"])
def test_a_slow_version_is_taken_back(text: str) -> None:
    story = deployed(text)
    assert (story.proposal.knob, story.proposal.from_value, story.proposal.to_value) == ("model_version", "v2", "v1")
    story.decide()
    story.run(30)
    assert story.states[-1] == "verified"
    assert story.service.version == "v1"


def test_throttled_clocks_are_diagnosed_and_left_alone() -> None:
    story = surge(proposed=False)
    story.open(Cause.GPU_THROTTLING)
    story.run(10)
    assert story.proposals == []
    assert "clocks are not ours to tune" in story.stage.holds()["shop"]
    story.resolve()
    assert story.stage.holds() == {}


def test_an_objective_out_of_reach_is_said_and_not_chased() -> None:
    story = surge(proposed=False)
    story.service.slowdown = 3.0
    story.service.load_rps = 5_000.0
    story.run(10)
    assert story.proposals == []
    assert "the service needs more replicas" in story.stage.holds()["shop"]


def test_spare_batches_are_no_reason_for_larger_ones() -> None:
    story = Story(SimulatedService(load_rps=60.0, max_batch=8))
    story.run(40)
    story.open(Cause.CAPACITY)
    story.run(5)
    assert story.proposals == []
    assert "batches are not full" in story.stage.holds()["shop"]


def test_stale_data_hold_the_proposal() -> None:
    story = Story(SimulatedService())
    story.run(40)
    story.service.load_rps = 300.0
    story.run(5)
    story.clock.advance(10.0)
    story.open(Cause.LOAD_SURGE)
    story.run(3, samples=False)
    assert story.proposals == []
    assert "nothing is decided on stale data" in story.stage.holds()["shop"]


def test_stale_data_hold_an_approved_change_until_they_are_fresh() -> None:
    story = surge()
    story.run(5, samples=False)
    story.decide()
    assert story.states == ["proposed", "approved"]
    assert "stale" in story.stage.holds()["shop"]
    story.run(1)
    assert story.states == ["proposed", "approved", "applied"]


def test_a_rejected_proposal_touches_nothing_and_is_not_repeated() -> None:
    story = surge()
    story.decide(approve=False)
    story.run(10)
    assert story.states == ["proposed", "rejected"]
    assert story.service.writes == []
    assert "was rejected in this incident already: looks right" in story.stage.holds()["shop"]


def test_repeated_and_unknown_decisions_change_nothing() -> None:
    story = surge()
    stray = Decision("d", "shop", "no such proposal", "approve", 1, "ada", "?")
    story.give("decisions", stray)
    assert story.states == ["proposed"]
    story.decide()
    story.decide()
    story.decide(approve=False)
    assert story.states == ["proposed", "approved", "applied"]
    assert story.service.writes == [("max_batch", 8)]


def test_a_knob_that_someone_else_moved_is_theirs() -> None:
    story = surge()
    story.service.max_batch = 32
    story.decide()
    assert story.states == ["proposed", "approved", "expired"]
    assert "max_batch is 32, not 2" in story.proposal.history[-1].why
    assert story.service.writes == []


def test_a_knob_that_someone_else_moves_during_verification_is_theirs() -> None:
    story = surge()
    story.decide()
    story.run(5)
    story.service.max_batch = 32
    story.run(25)
    assert story.states[-1] == "expired"
    assert "it stays theirs" in story.proposal.history[-1].why
    assert story.service.writes == [("max_batch", 8)]


def test_an_unreachable_service_is_tried_again_and_changed_once() -> None:
    story = surge()
    story.service.failures = 1
    story.decide()
    assert story.states == ["proposed", "approved"]
    assert story.stage.holds() == {"shop": "nobody answers"}
    story.run(3)
    assert story.states == ["proposed", "approved", "applied"]
    assert story.service.writes == [("max_batch", 8)]


def test_a_change_whose_answer_was_lost_is_not_made_again() -> None:
    story = surge()
    story.service.lose_answer = True
    story.decide()
    assert story.states == ["proposed", "approved"]
    story.run(3)
    assert story.states == ["proposed", "approved", "applied"]
    assert story.service.writes == [("max_batch", 8)]


def test_an_undo_whose_answer_was_lost_is_not_made_again() -> None:
    story = surge()
    story.service.slowdown = 4.0
    story.decide()
    story.service.lose_answer = True
    story.run(45)
    assert story.states[-1] == "rolled_back"
    assert story.service.writes == [("max_batch", 8), ("max_batch", 2)]


def test_an_incident_that_resolves_takes_its_proposal_along() -> None:
    story = surge()
    story.resolve()
    assert story.states == ["proposed", "expired"]
    assert story.proposal.history[-1].why == "the incident resolved without it"


def test_an_incident_that_resolved_is_not_opened_by_its_old_self() -> None:
    story = surge()
    story.resolve()
    state = story.stage.snapshot()
    for _ in range(2):
        story.give("incidents", story.incident)
        story.run(5)
        assert story.states == ["proposed", "expired"]
        assert len({proposal.id for proposal in story.proposals}) == 1
        story.stage = story.new_stage()
        story.stage.restore(state)


def test_a_proposal_that_nobody_answers_expires() -> None:
    story = surge(config(expiry_s=20))
    story.run(30)
    assert story.states == ["proposed", "expired"]
    assert "could not be decided on within 20 s" in story.proposal.history[-1].why
    assert len(story.proposals) == 2


def test_another_cause_withdraws_the_proposal() -> None:
    story = surge()
    story.open(Cause.GPU_THROTTLING)
    assert story.states == ["proposed", "expired"]
    story.open(Cause.CAPACITY)
    story.run(4)
    assert story.states == ["proposed"]
    assert len({proposal.id for proposal in story.proposals}) == 2


def test_changes_may_need_no_approval() -> None:
    story = surge(config(approval="auto"))
    assert story.states == ["proposed", "approved", "applied"]


def test_bounds_narrow_the_servers_own() -> None:
    story = surge(config(bounds={"max_batch": {"high": 3}}))
    assert story.proposals == []
    assert "needs more replicas" in story.stage.holds()["shop"]


def test_a_restart_goes_on_from_the_snapshot() -> None:
    story = surge()
    state = story.stage.snapshot()
    story.stage = story.new_stage()
    story.stage.restore(state)
    story.run(10)
    story.decide()
    story.run(25)
    assert story.states == ["proposed", "approved", "applied", "verified"]
    assert story.service.writes == [("max_batch", 8)]


def test_a_change_without_traffic_to_prove_it_is_undone() -> None:
    story = surge()
    story.decide()
    story.service.load_rps = 0.5
    story.run(90)
    assert story.states[-1] == "rolled_back"
    assert "not enough to prove the change" in story.proposal.history[-1].why


def test_other_services_are_left_alone() -> None:
    story = surge()
    before: Sequence[Proposal] = list(story.proposals)
    stranger = Record("incidents", 0, 0, "other", story.incident)
    story.published += story.stage.process([stranger], story.clock.now_ms())
    assert story.proposals == before
