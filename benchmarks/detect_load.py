"""Whether a slow-down at equal load is found, and a peak of load left alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import track

from benchmarks.detect_baselines import BASELINES
from benchmarks.quiet_days import quiet_days
from benchmarks.report import Row
from benchmarks.simulated_days import MINUTES, MINUTES_A_DAY, STEP_S, Days, latency_curve, simulated_days
from detectors.event_score import Alarms
from detectors.fusion import Hysteresis
from detectors.labelled import LabelledSeries
from detectors.latency_given_load import CACHE, LOAD, LatencyGivenLoad
from detectors.panel import Batch, Detector
from detectors.robust_band import RobustBand

SLOWER = (1.03, 1.05, 1.10, 1.20)
RUNS = 200
BASELINE_RUNS = 25
COMPARED = ("3 sigma of a day", "EWMA, 3 sigma", "Grafana, adaptive rules", "Grafana, robust rules", "Netdata, k-means")
SOON, LATER = 60, 300
"""Minutes after its beginning within which a regression is to be found."""
COOLDOWN_MINUTES = 60
GOALS: Mapping[tuple[float, int], str] = {(1.10, SOON): ">= 0.95", (1.05, LATER): ">= 0.8"}
FALSE_ALARMS_GOAL = "<= 0.02"
OURS = "latency given load"

Worlds = Sequence[Sequence[Days]]
"""For each run the same two weeks, once with each regression."""


def detect_load(out: Console) -> Sequence[Row]:
    """Two weeks of minutes from the recommender's queueing, 200 runs; in the last four days batches begin to take longer.

    Load follows the day and the week, with promotions; deploys leave the cache cold; other work on the machine adds noise
    that lasts for minutes. Judged is the mean latency. Shares are of the runs in which an alarm comes within 60 or 300
    minutes; false alarms are those between the first day and the regression, at most one an hour. Methods that see latency
    alone get 25 of the runs; the default band gets all. Incidents are those of 25 services without objectives, all signals
    through the stages as they run live, while nothing is the matter but promotions and deploys.
    """
    worlds = made_worlds(out)
    panels: Mapping[str, Callable[[], Detector]] = {OURS: LatencyGivenLoad, "robust band, latency alone": RobustBand}
    rows = []
    for name, make in track(panels.items(), "panels", console=out, transient=True):
        rows += found_and_false(name, worlds, panel_alarms(make(), worlds))
    for name in track(COMPARED, "latency alone", console=out, transient=True):
        few = worlds[:BASELINE_RUNS]
        rows += found_and_false(name, few, [[BASELINES[name](_latency(days))[1] for days in run] for run in few])
    return [*rows, *quiet_days(worlds[:BASELINE_RUNS])]


def made_worlds(out: Console) -> Worlds:
    """The two weeks of each of the runs."""
    usual, slow = latency_curve(1.0), [latency_curve(factor) for factor in SLOWER]
    return [simulated_days(seed, usual, slow) for seed in track(range(RUNS), "two weeks", console=out, transient=True)]


def panel_alarms(method: Detector, worlds: Worlds) -> list[list[Alarms]]:
    """Where anomalies start, as in the stage: two readings make one, fast answers make none."""
    latency, load, hits = (
        np.array([[getattr(days, signal) for days in run] for run in worlds]).reshape(-1, MINUTES)
        for signal in ("latency_mean_seconds", LOAD, CACHE)
    )
    row = np.arange(len(latency))
    hysteresis = Hysteresis(methods=1)
    alarms = np.zeros(latency.shape, dtype=np.bool_)
    for minute in range(MINUTES):
        time_ms = np.full(len(row), round(1000 * STEP_S * minute), dtype=np.int64)
        value = latency[:, minute]
        told = method.update(Batch(row, time_ms, value, {LOAD: load[:, minute], CACHE: hits[:, minute]}))
        score = np.where(value < told.expected, 0.0, told.score)
        for index, _ in hysteresis.update(row, time_ms, score[:, None]).started:
            alarms[index, minute] = True
    return [list(run) for run in alarms.reshape(len(worlds), len(SLOWER), MINUTES)]


def _latency(days: Days) -> LabelledSeries:
    stamps = STEP_S * np.arange(MINUTES, dtype=np.float64)
    return LabelledSeries("latency", "simulated", "interval", STEP_S, stamps, days.latency_mean_seconds, MINUTES_A_DAY)


def found_and_false(name: str, worlds: Worlds, alarms: Sequence[Sequence[Alarms]]) -> list[Row]:
    """Shares of the runs in which each regression is found in time, and false alarms a series-day."""
    rows = []
    for number, factor in enumerate(SLOWER):
        delays = np.array([_delay(told[number], run[number].begins) for run, told in zip(worlds, alarms, strict=True)])
        for within in (SOON, LATER):
            goal = GOALS.get((factor, within)) if name == OURS else None
            share = float(np.mean(delays <= within))
            rows.append(Row(f"{name}: {factor - 1:.0%} slower, found in {within} min", share, "of runs", goal))
    false = sum(_false_alarms(told[0], run[0].begins) for run, told in zip(worlds, alarms, strict=True))
    days = sum(run[0].begins / MINUTES_A_DAY - 1.0 for run in worlds)
    goal = FALSE_ALARMS_GOAL if name == OURS else None
    return [*rows, Row(f"{name}: false alarms", false / days, "a series-day", goal)]


def _delay(alarms: npt.NDArray[np.bool_], begins: int) -> float:
    """Minutes from the beginning of the regression to the first alarm; infinite without one."""
    after = np.flatnonzero(alarms[begins:])
    return float(after[0]) if len(after) else np.inf


def _false_alarms(alarms: npt.NDArray[np.bool_], begins: int) -> int:
    """Alarms between the first day and the regression, those within the cool-down of a counted one left out."""
    count, free_from = 0, MINUTES_A_DAY
    for minute in np.flatnonzero(alarms[:begins]).tolist():
        if minute >= free_from:
            count += 1
            free_from = minute + COOLDOWN_MINUTES
    return count
