"""What a band learns its width from, and what it does not."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.latency_given_load import CACHE, LOAD, LatencyGivenLoad
from detectors.panel import Batch
from recwatch.core.signals import Float64, Judgement

SERVICES = 12
WARM_S, FAULT_S, AFTER_S = 50, 20, 150


def p99_s(second: int, rng: np.random.Generator, runs: Float64) -> Float64:
    """25 ms; then an overload that rises to 2 s; then what is normal at that load. Its noise of 15 % comes in runs."""
    runs *= 0.8
    runs += 0.6 * rng.standard_normal(SERVICES)
    since = second - WARM_S
    level = 0.025 if since < 0 else min(0.2 + 0.36 * since, 2.0) if since < FAULT_S else 0.060
    return level * np.exp(0.15 * runs)


def test_a_surge_leaves_the_band_of_latency_narrow_enough_for_the_next_regression() -> None:
    method, rng, runs = LatencyGivenLoad(), np.random.default_rng(0), np.zeros(SERVICES)
    widest, told = 0.0, Judgement.abstain(SERVICES)
    for second in range(WARM_S + FAULT_S + AFTER_S):
        load = rng.poisson(110 if second < WARM_S else 350, SERVICES).astype(np.float64)
        latency = p99_s(second, rng, runs)
        told = method.update(
            Batch(
                np.arange(SERVICES), np.full(SERVICES, 1000 * second), latency, {LOAD: load, CACHE: np.full(SERVICES, 0.6)}
            )
        )
        if second >= WARM_S:
            widest = max(widest, float(np.nan_to_num(told.upper / told.expected).max()))

    assert 1.0 < widest <= 10.0
    assert (told.upper <= 4.0 * told.expected).all()


def test_readings_at_an_unfamiliar_load_leave_the_band_as_it_was() -> None:
    method, rng = LatencyGivenLoad(), np.random.default_rng(1)

    def update(second: int, latency_s: float, load: float) -> Judgement:
        latency = np.array([latency_s]) * np.exp(0.1 * rng.standard_normal(1))
        return method.update(
            Batch(
                np.zeros(1, dtype=np.int64),
                np.array([1000 * second]),
                latency,
                {LOAD: np.array([load]), CACHE: np.array([np.nan])},
            )
        )

    for second in range(WARM_S):
        update(second, 0.025, 110.0)
    before = method.state()
    unfamiliar = [update(WARM_S + n, 0.040, 350.0 * 1.5**n) for n in range(6)]
    after = method.state()

    assert all(np.isnan(told.score).all() for told in unfamiliar)
    assert [after[f"band.{name}"][0] for name in ("scale", "tail")] == [
        before[f"band.{name}"][0] for name in ("scale", "tail")
    ]


@pytest.mark.parametrize(("share", "alarms"), [(0.6, True), (0.4, False), (-0.6, True), (None, False)])
def test_a_deviation_of_half_the_band_counts_once_it_lasts_on_one_side(share: float | None, alarms: bool) -> None:
    method, rng = LatencyGivenLoad(), np.random.default_rng(2)

    def update(second: int, latency_s: float) -> Judgement:
        beside = {LOAD: np.array([110.0]), CACHE: np.array([np.nan])}
        return method.update(Batch(np.zeros(1, dtype=np.int64), np.array([1000 * second]), np.array([latency_s]), beside))

    told = Judgement.abstain(1)
    for second in range(WARM_S):
        told = update(second, 0.025 * float(np.exp(0.1 * rng.standard_normal())))
    scores = []
    for second in range(WARM_S, WARM_S + 6):
        away = share if share is not None else 0.6 * (-1) ** second
        told = update(second, float((told.expected * (told.upper / told.expected) ** away)[0]))
        scores.append(float(told.score[0]))

    assert max(scores[:4]) < 1.0
    assert (max(scores) >= 1.0) is alarms
