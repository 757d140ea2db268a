from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recwatch.core.events import Cause, Incident, Mark, RankedCause
from recwatch.core.objective import Objective
from tuning.actuators import Knob
from tuning.config import TuningConfig, VerifyConfig
from tuning.intervals import SIGNALS, Intervals
from tuning.policies import POLICIES, Candidate, NoChange, Reading, View
from tuning.policies.rollback import version_before

LE = (0.01, 0.02, 0.05, 0.1, 0.15, 0.3, 1.0, float("inf"))
START_MS = 60_000


def intervals(seconds: int = 70) -> Intervals:
    """A minute of a service at rest, then ten seconds of full batches and waiting requests."""
    times = np.arange(1, seconds + 1) * 1000
    bad = times > START_MS
    columns = {name: np.full(seconds, np.nan) for name in SIGNALS}
    columns |= {
        "requests_per_second": np.where(bad, 250.0, 100.0),
        "queue_depth": np.where(bad, 200.0, 0.0),
        "queue_wait_mean_seconds": np.where(bad, 0.8, 0.003),
        "batch_size_mean": np.where(bad, 2.0, 1.0 + times % 7000 / 10_000),
        "replicas": np.full(seconds, 1.0),
        "answer_quality_ratio": np.full(seconds, 0.9),
    }
    columns["batch_duration_mean_seconds"] = 0.007 + 0.0005 * columns["batch_size_mean"]
    good_shape, bad_shape = np.array([0.5, 0.9, 1, 1, 1, 1, 1, 1]), np.array([0, 0, 0, 0, 0, 0.1, 1, 1])
    increments = np.where(bad[:, None], bad_shape, good_shape) * columns["requests_per_second"][:, None]
    return Intervals(times, columns, LE, increments)


def view(cause: Cause, seen: Intervals | None = None) -> View:
    incident = Incident("i", "shop", "open", "page", START_MS, None, "slow", (RankedCause(cause, 1.0, ()),), (), (), ())
    knobs = {"max_batch": Knob(2, low=1, high=64), "model_version": Knob("v2", choices=("v1", "v2"))}
    deploy = Mark.of("shop", "deploy", START_MS - 1_000, "model v1 → v2", "ci")
    return View(incident, knobs, (), (deploy,), intervals() if seen is None else seen, Objective(0.15))


EVERY = [pytest.param(name, cause, id=f"{name}-{cause}") for name, made in POLICIES.items() for cause in sorted(made.causes)]


@pytest.mark.parametrize(("name", "cause"), EVERY)
def test_it_proposes_a_value_that_the_knob_takes_and_promises_the_objective(name: str, cause: Cause) -> None:
    seen = view(cause)
    answer = POLICIES[name]().propose(seen)
    assert isinstance(answer, Candidate)
    knob = seen.knobs[answer.knob]
    assert answer.from_value == knob.value != answer.to_value
    assert knob.allows(answer.to_value)
    promised = answer.predicted.p99_ms
    assert 0 < promised.low <= promised.mid <= promised.high
    assert promised.mid <= 150.0
    assert answer.evidence


@pytest.mark.parametrize(("name", "cause"), EVERY)
def test_equal_views_give_equal_answers(name: str, cause: Cause) -> None:
    assert POLICIES[name]().propose(view(cause)) == POLICIES[name]().propose(view(cause))


@pytest.mark.parametrize(("name", "cause"), EVERY)
def test_without_data_it_holds(name: str, cause: Cause) -> None:
    nothing = intervals().since(10**9)
    assert isinstance(POLICIES[name]().propose(view(cause, nothing)), NoChange)
    two = intervals(62)
    answer = POLICIES[name]().propose(view(cause, two))
    assert answer == NoChange("waiting for data: 2 of 3 intervals since the incident started")


@pytest.mark.parametrize(("name", "cause"), EVERY)
def test_without_its_knob_it_holds(name: str, cause: Cause) -> None:
    answer = POLICIES[name]().propose(replace(view(cause), knobs={"cache_entries": Knob(9)}))
    assert isinstance(answer, NoChange)
    assert "only ['cache_entries']" in answer.reason


@pytest.mark.parametrize(("name", "cause"), EVERY)
def test_an_objective_out_of_reach_is_a_hold(name: str, cause: Cause) -> None:
    assert isinstance(POLICIES[name]().propose(replace(view(cause), objective=Objective(0.001))), NoChange)


def test_a_larger_batch_that_may_not_be_enough_says_so() -> None:
    seen, said = view(Cause.LOAD_SURGE), set()
    for bound_ms in range(5, 60):
        answer = POLICIES["batching"]().propose(replace(seen, objective=Objective(bound_ms / 1000)))
        if isinstance(answer, Candidate):
            doubtful = answer.predicted.p99_ms.mid > bound_ms
            assert (f"; it may not be enough for the objective of {bound_ms} ms" in answer.reason) == doubtful
            said.add(doubtful)
    assert said == {True, False}


def test_no_cause_has_two_policies() -> None:
    causes = [cause for made in POLICIES.values() for cause in made.causes]
    assert len(causes) == len(set(causes))


def test_what_was_rolled_back_by_hand_is_not_deployed_again() -> None:
    knob = replace(view(Cause.SLOW_VERSION).knobs["model_version"], value="v1")
    answer = POLICIES["rollback"]().propose(replace(view(Cause.SLOW_VERSION), knobs={"model_version": knob}))
    assert answer == NoChange("v1 runs, no longer what 'model v1 → v2' brought")


def test_rollback_needs_a_deploy_that_came_before() -> None:
    later = Mark.of("shop", "deploy", START_MS + 8_000, "model v1 → v2", "ci")
    answer = POLICIES["rollback"]().propose(replace(view(Cause.SLOW_VERSION), marks=(later,)))
    assert answer == NoChange("no deploy before the incident is on record, so there is nothing to go back to")


@pytest.mark.parametrize(
    ("text", "read", "expected"),
    [
        ("model v1 → v2", "v3", "v3"),
        ("model v1 → v2", None, "v1"),
        ("model v3 -> v2 (lite)", None, "v3"),
        ("a new model", None, None),
        ("model v2", None, None),
        ("model v9 → v2", "v2", None),
    ],
)
def test_which_version_ran_before(text: str, read: str | None, expected: str | None) -> None:
    knob = Knob("v2", choices=("v1", "v2", "v3"))
    readings = () if read is None else (Reading(1_000, {"model_version": replace(knob, value=read)}),)
    deploy = Mark.of("shop", "deploy", 5_000, text, "ci")
    assert version_before(deploy, knob, replace(view(Cause.SLOW_VERSION), readings=readings)) == expected


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"policies": {"guessing": {}}}, "no policy is called 'guessing'; there are: batching, rollback"),
        ({"policies": {"batching": {"speed": 1}}}, "speed"),
        ({"actuator": {"kind": "telepathy", "url": "x"}}, "no actuator is called 'telepathy'"),
        ({"cooldown": 3}, "cooldown"),
    ],
)
def test_a_wrong_configuration_is_named(wrong: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        TuningConfig.model_validate({"actuator": {"url": "http://127.0.0.1:1/knobs"}, **wrong})


def test_the_defaults_leave_time_to_verify_within_a_cool_down() -> None:
    settings, window = TuningConfig.model_validate({"actuator": {"url": "http://127.0.0.1:1/knobs"}}), VerifyConfig()
    assert window.settle_s + window.shortest_s < settings.cool_down_s
