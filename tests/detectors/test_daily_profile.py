"""What comes at the same time each day is expected, however often the series is read."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.daily_profile import DailyProfile
from detectors.panel import Batch
from detectors.robust_band import RobustBand
from recwatch.core.signals import Float64, Int64

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
ROW = np.zeros(1, dtype=np.int64)


def time_ms(days: int, step_ms: int) -> Int64:
    return np.arange(0, days * DAY_MS, step_ms, dtype=np.int64)


def nearest_of_profile(at_ms: Int64, value: Float64, ask_ms: int) -> float:
    """The value that the profile of one series knows for `ask_ms` and that is nearest to 1."""
    profile = DailyProfile()
    profile.rows.reserve(ROW)
    for when, reading in zip(at_ms, value, strict=True):
        profile.learn(ROW, ROW, when[None], reading[None])
    known = np.array(profile.expected(ROW, ROW, np.array([ask_ms])))
    return float(known[np.argmin(np.abs(known - 1.0)), 0])


@pytest.mark.parametrize("step_ms", [5 * MINUTE_MS, 20 * MINUTE_MS, 30 * MINUTE_MS, HOUR_MS, 2 * HOUR_MS])
def test_the_profile_knows_the_hours_of_the_day_before(step_ms: int) -> None:
    at_ms = time_ms(2, step_ms)
    value = (at_ms % DAY_MS // HOUR_MS == 8).astype(np.float64)

    assert nearest_of_profile(at_ms, value, 2 * DAY_MS + 8 * HOUR_MS) == pytest.approx(1.0)
    assert nearest_of_profile(at_ms, value, 2 * DAY_MS + 14 * HOUR_MS) == 0.0


def test_a_longer_silence_teaches_the_profile_nothing() -> None:
    at_ms = np.array([0, 6 * HOUR_MS, DAY_MS, DAY_MS + 6 * HOUR_MS])

    assert np.isnan(nearest_of_profile(at_ms, np.ones(4), 2 * DAY_MS + 3 * HOUR_MS))


def test_a_peak_that_comes_each_day_is_no_anomaly_in_a_series_that_is_read_each_hour() -> None:
    at_ms = time_ms(12, HOUR_MS)
    value = 10.0 + np.random.default_rng(0).standard_normal(len(at_ms))
    value[at_ms % DAY_MS == 9 * HOUR_MS] += 30.0
    value[-3] += 30.0
    method = RobustBand()
    score = np.array(
        [
            method.update(Batch(ROW, when[None], reading[None], {})).score[0]
            for when, reading in zip(at_ms, value, strict=True)
        ]
    )

    peaks = score[(at_ms % DAY_MS == 9 * HOUR_MS) & (at_ms > 3 * DAY_MS)]
    assert (peaks < 1.0).all()
    assert score[-3] > 1.0
