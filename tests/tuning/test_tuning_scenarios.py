"""Whole stories in sample time: a simulated service gets into trouble, and the stage does what it should."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from recwatch.core.bus import Record
from recwatch.core.events import Cause
from recwatch.core.proposals import Proposal
from tests.simulated_service import SimulatedService
from tests.tuning.story import Story, config, deployed, surge


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


def test_a_rejected_proposal_touches_nothing_and_is_not_repeated() -> None:
    story = surge()
    story.decide(approve=False)
    story.run(10)
    assert story.states == ["proposed", "rejected"]
    assert story.service.writes == []
    assert "was rejected in this incident already: looks right" in story.stage.holds()["shop"]


def test_an_incident_that_resolves_takes_its_proposal_along() -> None:
    story = surge()
    story.resolve()
    assert story.states == ["proposed", "expired"]
    assert story.proposal.history[-1].why == "the incident resolved without it"


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
