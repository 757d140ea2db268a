from __future__ import annotations

from dataclasses import replace

import pytest

from recwatch.core.events import Cause, Incident, RankedCause
from recwatch.core.proposals import Action, Interval, KnobValue, Prediction, Proposal, ProposalState
from tuning import guard
from tuning.actuators import Knob
from tuning.policies import Candidate, NoChange

NOW_MS = 1_000_000_000
INCIDENT = Incident(
    "i1", "shop", "open", "page", NOW_MS, None, "slow", (RankedCause(Cause.LOAD_SURGE, 1.0, ()),), (), (), ()
)
KNOB = Knob(2, low=1, high=64)
PROMISE = Prediction(Interval(25, 30, 35), Interval(290, 300, 310), Interval(1, 1, 1))
CANDIDATE = Candidate("max_batch", 2, 4, PROMISE, "why", ())
SLOW = guard.Measured(p99_ms=900.0, quality_ratio=0.9)


def proposal(*steps: tuple[ProposalState, int], sent_ms: int | None = None) -> Proposal:
    made = Proposal(
        "p1", "shop", "i1", "proposed", "max_batch", 2, 4, PROMISE, "why", (), "batching", NOW_MS, NOW_MS + 900_000, ()
    )
    for state, time_ms in steps:
        made = made.moved(state, time_ms, "someone", f"said {state}")
    return made if sent_ms is None else replace(made, actions=(Action(sent_ms, "max_batch", 4, 4, "someone"),))


def reason(answer: object) -> str:
    return answer.reason if isinstance(answer, NoChange) else ""


def test_a_sound_candidate_passes() -> None:
    assert guard.may_propose(INCIDENT, CANDIDATE, KNOB, SLOW, ()) is None


@pytest.mark.parametrize(
    ("candidate", "measured", "why"),
    [
        (replace(CANDIDATE, to_value=128), SLOW, "max_batch=128 is out of range, which is 1 to 64"),
        (CANDIDATE, guard.Measured(31.0, None), "less than 10% better is noise"),
        (
            replace(CANDIDATE, predicted=replace(PROMISE, quality_ratio=Interval(0.79, 0.8, 0.81))),
            SLOW,
            "would lower the quality from 0.900 to 0.800",
        ),
    ],
)
def test_a_bad_candidate_is_refused(candidate: Candidate, measured: guard.Measured, why: str) -> None:
    assert why in reason(guard.may_propose(INCIDENT, candidate, KNOB, measured, ()))


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        ((("proposed", NOW_MS),), "one at a time"),
        ((("proposed", NOW_MS), ("approved", NOW_MS), ("applied", NOW_MS)), "p1 is applied"),
        ((("proposed", NOW_MS), ("rejected", NOW_MS)), "was rejected in this incident already: said rejected"),
        ((("proposed", NOW_MS), ("approved", NOW_MS), ("applied", NOW_MS), ("rolled_back", NOW_MS)), "was rolled back"),
        ((("proposed", NOW_MS), ("approved", NOW_MS), ("expired", NOW_MS)), "was expired in this incident"),
        ((("proposed", NOW_MS), ("expired", NOW_MS + 900_000)), "was expired in this incident"),
        ((("proposed", NOW_MS), ("expired", NOW_MS + 5)), ""),
        ((("proposed", NOW_MS), ("approved", NOW_MS), ("applied", NOW_MS), ("verified", NOW_MS)), ""),
    ],
)
def test_an_incident_is_not_asked_twice(steps: tuple[tuple[ProposalState, int], ...], why: str) -> None:
    answer = reason(guard.may_propose(INCIDENT, CANDIDATE, KNOB, SLOW, (proposal(*steps),)))
    assert why in answer
    assert bool(answer) == bool(why)


@pytest.mark.parametrize(
    ("pace", "sent_ms", "why"),
    [
        (guard.Pace(60, 6), NOW_MS - 20_000, "cooling down for another 40 s"),
        (guard.Pace(60, 1), NOW_MS - 90_000, "1 changes within the hour, and 1 are allowed"),
        (guard.Pace(60, 6), NOW_MS - 90_000, ""),
        (guard.Pace(60, 1), NOW_MS - 4_000_000, ""),
    ],
)
def test_changes_keep_a_pace(pace: guard.Pace, sent_ms: int, why: str) -> None:
    answer = reason(guard.may_change(pace, (proposal(("verified", NOW_MS), sent_ms=sent_ms),), NOW_MS))
    assert why in answer
    assert bool(answer) == bool(why)


@pytest.mark.parametrize(
    ("newest_ms", "why"),
    [(None, "no traffic figures"), (NOW_MS - 3_001, "3.0 s old"), (NOW_MS - 3_000, ""), (NOW_MS, "")],
)
def test_nothing_is_decided_on_stale_data(newest_ms: int | None, why: str) -> None:
    answer = reason(guard.stale(newest_ms, 1000.0, NOW_MS))
    assert why in answer
    assert bool(answer) == bool(why)


@pytest.mark.parametrize(
    ("knob", "why"),
    [
        (KNOB, ""),
        (Knob(4, low=1, high=64), ""),
        (Knob(8, low=1, high=64), "max_batch is 8, not 2 as when this was proposed: someone else changed it"),
        (Knob(2, low=1, high=3), "no longer takes 4"),
        (None, "no longer has the knob"),
    ],
)
def test_a_knob_that_was_changed_meanwhile_is_left_alone(knob: Knob | None, why: str) -> None:
    answer = reason(guard.to_apply(proposal(("proposed", NOW_MS)), knob))
    assert why in answer
    assert bool(answer) == bool(why)


@pytest.mark.parametrize(
    ("value", "verified", "ours"), [(4, True, True), (4, False, True), (2, False, True), (2, True, False), (8, False, False)]
)
def test_a_verdict_speaks_only_of_our_own_change(value: KnobValue, verified: bool, ours: bool) -> None:
    applied = proposal(("applied", NOW_MS), sent_ms=NOW_MS)
    answer = guard.to_conclude(applied, Knob(value, low=1, high=64), verified)
    assert isinstance(answer, Knob) == ours
