"""What the stage does where the world fails it: stale data, lost answers, somebody else's hand, a new start."""

from __future__ import annotations

from recwatch.core.events import Cause
from recwatch.core.proposals import Decision
from tests.simulated_service import SimulatedService
from tests.tuning.story import Story, surge


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
