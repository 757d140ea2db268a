from __future__ import annotations

import numpy as np
import pytest

from recwatch.core.objective import Objective
from recwatch.core.proposals import Action, Interval, Prediction, Proposal
from recwatch.core.signals import Float64
from tuning.config import VerifyConfig
from tuning.intervals import SIGNALS, Intervals
from tuning.verify import judge

LE = (0.05, 0.1, 0.15, 0.3, 1.0, float("inf"))
APPLIED_MS = 60_000
FAST, SLOW, WORSE = (np.array(row, float) for row in ([1, 1, 1, 1, 1, 1], [0, 0, 0.5, 1, 1, 1], [0, 0, 0, 0, 1, 1]))
PROMISE = Prediction(Interval(30, 50, 60), Interval(90, 100, 110), Interval(1, 1, 1))
APPLIED = Proposal(
    "p",
    "shop",
    "i",
    "applied",
    "max_batch",
    2,
    4,
    PROMISE,
    "why",
    (),
    "batching",
    0,
    900_000,
    (),
    (Action(APPLIED_MS, "max_batch", 4, 4, "ada"),),
)


def measured(
    after: Float64,
    seconds: int = 80,
    *,
    rps: float = 100.0,
    backlog_s: int = 0,
    errors: float = 0.0,
    quality: float = 0.9,
    before: Float64 = WORSE,
) -> Intervals:
    times = np.arange(1, seconds + 1) * 1000
    changed = times > APPLIED_MS
    columns = {name: np.full(seconds, np.nan) for name in SIGNALS}
    columns |= {
        "requests_per_second": np.full(seconds, rps),
        "errors_ratio": np.where(changed, errors, 0.0),
        "queue_depth": np.where(times <= APPLIED_MS + 1000 * backlog_s, 500.0, 0.0),
        "answer_quality_ratio": np.where(changed, quality, 0.9),
    }
    return Intervals(times, columns, LE, np.where(changed[:, None], after, before) * rps)


def verdict(intervals: Intervals) -> tuple[str, str]:
    made = judge(APPLIED, intervals, Objective(0.15), VerifyConfig())
    return made.outcome, made.why


def test_a_change_that_meets_the_objective_is_verified_over_one_window() -> None:
    made = judge(APPLIED, measured(FAST), Objective(0.15), VerifyConfig())
    assert made.outcome == "verified"
    assert made.p99_ms == pytest.approx(49.5)
    assert made.why == "p99 50 ms over 1000 requests, as predicted (30 to 60 ms); within the objective of 150 ms"


@pytest.mark.parametrize("seconds", [61, 64, 74])
def test_it_waits_until_the_window_is_full(seconds: int) -> None:
    assert verdict(measured(FAST, seconds))[0] == "waiting"


def test_it_waits_for_the_backlog_to_go() -> None:
    assert verdict(measured(FAST, seconds=79, backlog_s=9))[0] == "waiting"
    assert verdict(measured(FAST, seconds=80, backlog_s=9))[0] == "verified"


def test_a_backlog_that_stays_is_measured_all_the_same() -> None:
    assert verdict(measured(WORSE, seconds=90, backlog_s=30))[0] == "failed"


@pytest.mark.parametrize(
    ("intervals", "why"),
    [
        (measured(SLOW, before=SLOW), "above the objective of 150 ms"),
        (measured(WORSE), "outside what was predicted (30 to 60 ms)"),
        (measured(np.array([0, 0, 1, 1, 1, 1.0]), before=FAST), "worse than the 50 ms before"),
        (measured(FAST, errors=0.05), "5.0% errors, above the objective of 1.0%"),
        (measured(FAST, quality=0.7), "quality fell to 0.700; it was 0.900 at the lowest"),
    ],
)
def test_a_change_that_falls_short_fails_with_the_figures(intervals: Intervals, why: str) -> None:
    outcome, told = verdict(intervals)
    assert outcome == "failed"
    assert why in told


def test_few_requests_are_waited_for_and_then_are_no_proof() -> None:
    assert verdict(measured(FAST, seconds=100, rps=5.0))[0] == "waiting"
    assert verdict(measured(FAST, seconds=130, rps=5.0)) == (
        "failed",
        "fewer than 500 requests in 60 s: not enough to prove the change",
    )


def test_a_quality_that_wanders_as_before_has_not_fallen() -> None:
    intervals = measured(FAST, quality=0.86)
    intervals.columns["answer_quality_ratio"][30:35] = 0.87
    assert verdict(intervals)[0] == "verified"


def test_a_stall_in_a_change_that_helped_is_looked_at_over_a_longer_window() -> None:
    stalled = measured(FAST, seconds=110)
    stalled.increments[65] = np.array([0.7, 0.7, 0.7, 0.7, 1, 1]) * 100.0
    assert verdict(stalled.between(0, 90_000))[0] == "waiting"
    outcome, why = verdict(stalled)
    assert outcome == "verified"
    assert "over 4000 requests" in why


def test_a_longer_wait_does_not_find_a_lucky_window() -> None:
    recovered = measured(SLOW, seconds=125)
    recovered.increments[85:] = FAST * 100.0
    assert "over 4000 requests" in verdict(recovered)[1]
    assert "above the objective of 150 ms" in verdict(recovered)[1]


def test_what_clearly_helped_is_kept_though_it_does_not_meet_the_objective() -> None:
    assert verdict(measured(SLOW, seconds=123))[0] == "waiting"
    outcome, why = verdict(measured(SLOW, seconds=125))
    assert outcome == "verified"
    assert "above the objective of 150 ms" in why
