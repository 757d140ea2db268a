"""What is forecast of load: how near it is, and how often its interval holds."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.forecast import HORIZON_S, Forecast
from detectors.panel import Batch
from detectors.plan import DetectionConfig
from detectors.stage import DetectorStage
from recwatch.core.bus import Record
from recwatch.core.canonical import canonical_series, derived_series
from recwatch.core.signals import Float64, Samples, SeriesSet

RATE = canonical_series("shop", "requests_per_second")
ROW = np.zeros(1, dtype=np.int64)
DAY_S = 86_400


def load(days: float, step_s: int, seed: int = 0) -> tuple[Float64, Float64, Float64]:
    """Seconds, readings of requests/s and their mean: a course by the day, slow wandering, and the noise of readings."""
    rng = np.random.default_rng(seed)
    second = np.arange(0.0, days * DAY_S, step_s)
    wander = np.cumsum(rng.standard_normal(len(second))) * 0.0002 * np.sqrt(step_s)
    mean = 200.0 * np.exp(0.7 * np.sin(2.0 * np.pi * second / DAY_S) + wander)
    return second, rng.poisson(mean).astype(np.float64), mean


def foreseen(second: Float64, value: Float64) -> Float64:
    """Forecast, lower and upper end after each reading."""
    detector, told = Forecast(), []
    for at, reading in zip(second.tolist(), value.tolist(), strict=True):
        detector.update(Batch(ROW, np.array([1000 * round(at)]), np.array([reading]), {}))
        told.append(detector.foresight(ROW)[0])
    return np.array(told)


def test_the_interval_holds_as_often_as_it_says() -> None:
    second, value, _ = load(days=4, step_s=30)
    ahead = round(HORIZON_S / 30)
    told = foreseen(second, value)[:-ahead]
    actual = value[ahead:]
    known = second[:-ahead] > DAY_S

    held = (actual >= told[:, 1]) & (actual <= told[:, 2])

    assert np.mean(held[known]) == pytest.approx(0.95, abs=0.02)


def test_from_the_second_day_on_the_forecast_knows_the_course_of_the_day() -> None:
    second, value, mean = load(days=4, step_s=30)
    ahead = round(HORIZON_S / 30)
    error = np.abs(mean[ahead:] - foreseen(second, value)[:-ahead, 0])
    first, later = second[:-ahead] < DAY_S, second[:-ahead] > 2 * DAY_S

    assert np.nanmean(error[later]) < 0.85 * np.nanmean(error[first])


def test_the_stage_publishes_the_forecast_of_load_with_its_interval() -> None:
    stage = DetectorStage({})
    told = stage.process([Record("series", 0, 0, "shop", SeriesSet("shop", (RATE,)))], now_ms=0)
    wanted = [derived_series(f"recwatch_forecast{end}", RATE, "forecast") for end in ("", "_lower", "_upper")]
    noise = np.random.default_rng(0).poisson(100.0, 700)
    ticks = [Samples.of("shop", "", 1000 * second, {RATE.id: float(value)}) for second, value in enumerate(noise)]

    outgoing = stage.process([Record("samples", 0, n, "shop", tick) for n, tick in enumerate(ticks)], now_ms=0)

    assert {one.id for one in wanted} <= {one.id for out in told for one in out.message.series}
    last = outgoing[-1].message
    said = dict(zip(last.series_id.tolist(), last.value.tolist(), strict=True))
    forecast, lower, upper = (said[one.id] for one in wanted)
    assert forecast == pytest.approx(100.0, rel=0.1)
    assert 50.0 < lower < forecast < upper < 150.0


def test_any_signal_can_be_forecast() -> None:
    config = DetectionConfig(also={"queue_depth": ("forecast",)})

    assert "forecast" in config.plan()["queue_depth"].methods
