"""Whether the one knob of detection means what it says: false alarms asked for, and those measured on made noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

from benchmarks.noise import NOISES, Noise
from benchmarks.report import Row
from detectors import METHODS, RIVER, STATSMODELS
from detectors.fusion import Hysteresis
from detectors.latency_given_load import CACHE, LOAD
from detectors.panel import Batch, Detector
from detectors.plan import KNOB

ASKED = (0.1, 0.4, 1.0)
STEP_S = 10
"""Read this often, one in four thousand readings is twice a day: the knob decides, not the least rarity."""
DAY_TICKS = 86_400 // STEP_S
WARM_DAYS = 1
LEAST_DUE = 10.0
FEW = ("heavy tails", "noise in runs")


class AtOnce(Executor):
    """Does the work while one waits, so that what comes of it does not depend on time."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except ValueError as error:
            done.set_exception(error)
        return done


@dataclass(frozen=True, slots=True)
class Trial:
    """A method, the noises that it is given, how many series of each and for how long; less where each has its own model."""

    method: str
    noises: Sequence[str] = tuple(NOISES)
    series: int = 60
    days: int = 6
    settings: Mapping[str, Any] = field(default_factory=dict)

    def made(self, asked: float) -> Detector:
        return METHODS[self.method](**self.settings, **{KNOB: asked})


FITTED: Mapping[str, Any] = {"bucket_s": 900.0, "refit_minutes": 120.0, "worker": AtOnce()}
TRIALS = (
    Trial("robust_band"),
    Trial("level_shift"),
    Trial("latency_given_load", [name for name in NOISES if name != "a daily wave"]),
    Trial("flat_line", ("counts",)),
    *(Trial(method.name, FEW, 2, 2) for method in RIVER),
    *(Trial(method.name, FEW, 2, 2, FITTED) for method in STATSMODELS),
)
"""A wave of latency at equal load is what the method is to find; noise that is continuous never repeats itself."""


def detect_calibration(out: Console) -> Sequence[Row]:
    """Alarms on noise in which there is nothing to find, over the number that the knob asks for at most.

    Six days of 60 series of each noise, a reading every ten seconds, after one that does not count; two days of two
    series for methods of libraries, which go series by series. There is no goal where fewer alarms are due than can be
    counted. The other methods judge nothing that comes by chance, or have a bound that is given.
    """
    rows = []
    tried = [(trial, asked) for trial in TRIALS for asked in ASKED]
    for trial, asked in track(tried, "series-days of noise", console=out, transient=True):
        noises = [NOISES[name] for name in trial.noises]
        measured = false_alarms_a_day(
            trial.made(asked), noises, trial.series, STEP_S, WARM_DAYS * DAY_TICKS, trial.days * DAY_TICKS
        )
        for name, alarms in zip(trial.noises, measured, strict=True):
            metric = f"{trial.method}, {name}, asked for {asked} a series-day"
            due = asked * trial.series * trial.days
            rows.append(Row(metric, alarms, "a series-day", f"<= {2.0 * asked:g}" if due >= LEAST_DUE else None))
    return rows


def false_alarms_a_day(  # noqa: PLR0913, PLR0917  (what is measured, and for how long)
    method: Detector, noises: Sequence[Noise], series: int, step_s: int, warm_ticks: int, ticks: int
) -> list[float]:
    """Alarms a series-day of so many series of each noise, read every `step_s`, after `warm_ticks` that do not count.

    Latency comes in factors, and at a load that does not change but for chance.
    """
    sources = [noise(np.random.default_rng(number), series, 86_400 // step_s) for number, noise in enumerate(noises)]
    row, hysteresis = np.arange(series * len(noises)), Hysteresis(methods=1)
    arrivals, hits = np.random.default_rng(len(noises)), np.full(len(row), 0.6)
    counted = np.zeros(len(noises))
    for tick in range(warm_ticks + ticks):
        noise = np.concatenate([next(source) for source in sources])
        value = np.exp(0.1 * noise) if LOAD in method.needs else 100.0 + noise
        time_ms = np.full(len(row), 1000 * step_s * tick)
        beside = {LOAD: arrivals.poisson(100.0, len(row)).astype(np.float64), CACHE: hits} if method.needs else {}
        score = method.update(Batch(row, time_ms, value, beside)).score
        for at, _ in hysteresis.update(row, time_ms, score[:, None], starts_after=1).started:
            counted[at // series] += tick >= warm_ticks
    per_day: list[float] = (counted * 86_400 / (series * ticks * step_s)).tolist()
    return per_day
