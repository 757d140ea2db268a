"""Methods of libraries: chosen and set by name, forecasts whose intervals hold, and fits that nothing waits for."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from detectors import METHODS, RIVER, STATSMODELS
from detectors.panel import Batch, Foresees
from detectors.plan import KNOB, DetectionConfig
from detectors.stage import DetectorStage
from detectors.statsmodels_fits import MODELS, forecast
from detectors.statsmodels_forecast import StatsmodelsLocalLevel, fitting_process
from recwatch.core.bus import Record
from recwatch.core.canonical import canonical_series, derived_series
from recwatch.core.signals import Float64, Samples, SeriesSet

RATE = canonical_series("shop", "requests_per_second")
ROW = np.zeros(1, dtype=np.int64)
SEASON, AHEAD = 48, 12


@pytest.mark.parametrize("name", [method.name for method in (*RIVER, *STATSMODELS)])
def test_each_can_be_chosen_for_a_signal_under_its_name(name: str) -> None:
    stage = DetectorStage({}, DetectionConfig(also={"requests_per_second": (name,)}))
    (told,) = stage.process([Record("series", 0, 0, "shop", SeriesSet("shop", (RATE,)))], now_ms=0)

    assert derived_series("recwatch_score", RATE, name) in told.message.series


def test_parameters_reach_the_method() -> None:
    config = DetectionConfig.model_validate(
        {
            "also": {"requests_per_second": ["statsmodels_ets", "river_kswin"]},
            "methods": {"statsmodels_ets": {"bucket_s": 60, "refit_minutes": 5}, "river_kswin": {"window_rows": 200}},
        }
    )

    knob = {KNOB: config.max_false_alarms_per_series_day}
    assert config.settings()["statsmodels_ets"] == {**knob, "bucket_s": 60.0, "refit_minutes": 5.0}
    assert METHODS["river_kswin"](**config.settings()["river_kswin"])._settings["window_size"] == 200  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"methods": {"prophet": {}}}, "'prophet' is no detection method; they are: robust_band, .*statsmodels_stl"),
        ({"methods": {"river_adwin": {"alpha": 1}}}, "river_adwin has no parameter 'alpha'; it has: delta"),
        ({"methods": {"river_adwin": {"delta": 2}}}, "river_adwin.delta is 2: Input should be less than 1"),
        ({"methods": {"robust_band": {"max_false_alarms_per_series_day": 1}}}, "has no parameter .*; it has: none"),
        (
            {"also": {"queue_depth": ["exhaustion"]}},
            "nothing is known that 'queue_depth' could use up; exhaustion judges: gpu_",
        ),
    ],
)
def test_what_cannot_be_set_is_refused_with_what_can(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        DetectionConfig.model_validate(given)


def course(seed: int, days: int = 3) -> tuple[Float64, Float64]:
    """Days of half hours with a course by the day and noise that lasts, and the six hours after them."""
    rng = np.random.default_rng(seed)
    noise = np.zeros(days * SEASON + AHEAD)
    for place in range(1, len(noise)):
        noise[place] = 0.6 * noise[place - 1] + rng.standard_normal()
    value = 100.0 + 10.0 * np.sin(2.0 * np.pi * np.arange(len(noise)) / SEASON) + noise
    return value[:-AHEAD], value[-AHEAD:]


@pytest.mark.parametrize("kind", MODELS)
def test_the_interval_of_a_forecast_holds(kind: str) -> None:
    held = []
    for seed in range(8):
        history, actual = course(seed, days=7 if kind == "stl" else 3)
        mean, deviation = forecast(kind, history, AHEAD, SEASON)
        held.append(np.abs(actual - mean) <= 1.96 * deviation)

    assert np.mean(held) >= 0.80


@pytest.mark.parametrize("kind", MODELS)
def test_a_season_makes_the_forecast_better(kind: str) -> None:
    errors = []
    for seed in range(4):
        history, actual = course(seed)
        errors.append([np.abs(actual - forecast(kind, history, AHEAD, rows)[0]).mean() for rows in (SEASON, 10_000)])

    known, unknown = np.mean(errors, axis=0)
    assert known < 0.85 * unknown


@pytest.mark.parametrize("kind", MODELS)
def test_missing_values_and_constants_are_forecast_too(kind: str) -> None:
    history, _ = course(0)
    history[20:30] = np.nan

    assert np.isfinite(forecast(kind, history, AHEAD, SEASON)).all()
    np.testing.assert_array_equal(forecast(kind, np.full(40, 7.0), 3, SEASON), [[7.0] * 3, [0.0] * 3])


class Watched(Executor):
    """The process that fits, and what was given to it."""

    def __init__(self) -> None:
        self.given: list[Future[Any]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.given.append(fitting_process().submit(fn, *args, **kwargs))
        return self.given[-1]


def test_a_process_of_its_own_fits_while_readings_are_judged() -> None:
    worker = Watched()
    method = StatsmodelsLocalLevel(bucket_s=60.0, worker=worker)
    assert isinstance(method, Foresees)
    rng = np.random.default_rng(0)

    def give(minute: int) -> Float64:
        return method.update(Batch(ROW, np.array([60_000 * minute]), 100.0 + rng.standard_normal(1), {})).score

    waiting = [give(minute) for minute in range(14)]
    assert np.isnan(waiting).all()
    assert len(worker.given) == 1
    worker.given[0].result(timeout=120)
    scores = [give(minute) for minute in range(14, 32)]

    assert np.isfinite(scores[-1]).all()
    forecast_now, lower, upper = method.foresight(ROW)[0]
    assert 95.0 < lower < forecast_now < upper < 105.0


class Failing(Executor):
    """Where every fit fails."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        failed: Future[Any] = Future()
        failed.set_exception(ValueError("no finite forecast"))
        return failed


def test_where_no_fit_succeeds_the_method_says_so_and_abstains(caplog: pytest.LogCaptureFixture) -> None:
    method = StatsmodelsLocalLevel(bucket_s=60.0, worker=Failing())
    for minute in range(40):
        score = method.update(Batch(ROW, np.array([60_000 * minute]), np.array([float(minute % 7)]), {})).score

    assert np.isnan(score).all()
    assert caplog.messages == ["statsmodels_local_level has no new forecast: no finite forecast"] * 3


def test_a_forecast_that_was_not_renewed_is_not_judged_by() -> None:
    method = StatsmodelsLocalLevel(bucket_s=60.0, refit_minutes=10.0, worker=Watched())
    rng = np.random.default_rng(0)
    minute = 0
    while not method._fitting:
        method.update(Batch(ROW, np.array([60_000 * minute]), rng.standard_normal(1), {}))
        minute += 1
    method._fitting[0][1].result(timeout=120)
    method._refit_ms = 10**12
    told = [
        method.update(Batch(ROW, np.array([60_000 * (minute + n)]), rng.standard_normal(1), {})).score for n in range(60)
    ]

    judged = np.flatnonzero(np.isfinite(np.array(told)[:, 0]))
    assert judged[-1] < 32


def test_the_stage_publishes_what_a_model_forecasts() -> None:
    config = DetectionConfig.model_validate(
        {
            "also": {"requests_per_second": ["statsmodels_local_level"]},
            "methods": {"statsmodels_local_level": {"bucket_s": 60}},
        }
    )
    stage = DetectorStage({}, config)
    stage.process([Record("series", 0, 0, "shop", SeriesSet("shop", (RATE,)))], now_ms=0)
    method = stage._ensemble.methods["statsmodels_local_level"]
    assert isinstance(method, StatsmodelsLocalLevel)
    wanted = derived_series("recwatch_forecast", RATE, "statsmodels_local_level").id
    said: dict[int, float] = {}
    for minute, value in enumerate(np.random.default_rng(0).poisson(100.0, 20).tolist()):
        tick = Samples.of("shop", "", 60_000 * minute, {RATE.id: float(value)})
        for out in stage.process([Record("samples", 0, minute, "shop", tick)], now_ms=0):
            said |= dict(zip(out.message.series_id.tolist(), out.message.value.tolist(), strict=True))
        for _, fitting in method._fitting.values():
            fitting.result(timeout=120)

    assert said[wanted] == pytest.approx(100.0, rel=0.1)


def test_snarimax_is_not_led_astray_by_what_an_outlier_teaches() -> None:
    method, row = METHODS["river_snarimax"](), np.arange(4)
    noise = np.random.default_rng(5).standard_t(3, (3000, 4))
    expected = [method.update(Batch(row, np.full(4, 1000 * n), value, {})).expected for n, value in enumerate(noise)]

    assert np.nanmax(np.abs(expected)) < np.quantile(np.abs(noise), 0.999)
