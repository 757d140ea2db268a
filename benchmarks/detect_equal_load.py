"""How far off a comparison at equal load is, and how often its interval holds the truth, beside a comparison of medians."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from rich.console import Console
from rich.progress import track

from benchmarks.detect_load import SLOWER
from benchmarks.report import Row
from benchmarks.simulated_days import CACHE_SECONDS, MINUTES_A_DAY, STEP_S, Curve, Days, latency_curve, simulated_days
from detectors.equal_load import Difference, Stretch, at_equal_load
from recwatch.core.signals import Float64

RUNS = 200
HOLDS = ">= 0.9"
HOUR = 60
SPANS: Mapping[str, tuple[int, int, int]] = {
    "3 h, the 12 h before": (-12 * HOUR, 0, 3 * HOUR),
    "1 h, the 4 h before": (-4 * HOUR, 0, HOUR),
    "1 h, the day before": (-MINUTES_A_DAY, HOUR - MINUTES_A_DAY, HOUR),
    "6 h, 12 h apart": (-18 * HOUR, -6 * HOUR, 6 * HOUR),
}
"""Minutes from the beginning of the regression: where the earlier stretch begins and ends, and where the later one ends."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One comparison: what was told, if anything, the true ratio, and what medians alone tell."""

    told: Difference | None
    truth: float
    of_medians: float

    @property
    def holds(self) -> bool:
        return self.told is not None and self.told.low <= self.truth <= self.told.high

    @property
    def sure(self) -> bool:
        """Whether it is told to be slower."""
        return self.told is not None and self.told.low > 1.0


def detect_equal_load(out: Console) -> Sequence[Row]:
    """Two weeks of minutes as in `detect_load`, 200 runs: mean latency since batches take longer beside some time before.

    Loads differ as they do between hours of a day; told is a ratio where enough readings are at loads that both saw. Errors
    are in percent of the true ratio, medians of the runs; that of medians is what median latencies without a look at the
    load say in the same runs.
    """
    curves = {factor: latency_curve(factor) for factor in (1.0, *SLOWER)}
    found: dict[str, dict[float, list[Outcome]]] = {name: {factor: [] for factor in curves} for name in SPANS}
    for seed in track(range(RUNS), "two weeks", console=out, transient=True):
        run = simulated_days(seed, curves[1.0], list(curves.values()))
        for (factor, curve), days in zip(curves.items(), run, strict=True):
            for name, span in SPANS.items():
                found[name][factor].append(_outcome(days, span, (curves[1.0], curve)))
    return [row for name, by_factor in found.items() for row in _rows(name, by_factor)]


def _outcome(days: Days, span: tuple[int, int, int], curves: tuple[Curve, Curve]) -> Outcome:
    earlier, later = (days.begins + span[0], days.begins + span[1]), (days.begins, days.begins + span[2])
    before, after = _stretch(days, *earlier), _stretch(days, *later)
    told = at_equal_load(before, after)
    usual, slow = (np.log(_noiseless(after, curve)) for curve in curves)
    of_medians = float(np.median(after.latency_seconds) / np.median(before.latency_seconds))
    return Outcome(told if isinstance(told, Difference) else None, float(np.exp(np.mean(slow - usual))), of_medians)


def _stretch(days: Days, start: int, end: int) -> Stretch:
    minute = slice(start, end)
    times = np.arange(start, end) * round(1000 * STEP_S)
    return Stretch(times, days.latency_mean_seconds[minute], days.requests_per_second[minute], days.cache_hit_ratio[minute])


def _noiseless(stretch: Stretch, curve: Curve) -> Float64:
    """Mean latency at these loads, hits of the cache among them."""
    hits = stretch.cache_hit_ratio
    return hits * CACHE_SECONDS + (1.0 - hits) * curve.at(stretch.requests_per_second * (1.0 - hits))[0]


def _rows(name: str, by_factor: Mapping[float, Sequence[Outcome]]) -> Iterator[Row]:
    outcomes = [one for of_factor in by_factor.values() for one in of_factor]
    told = [(one.told, one) for one in outcomes if one.told is not None]
    yield Row(f"{name}: told", len(told) / len(outcomes), "of runs")
    yield Row(f"{name}: error", 100.0 * median(abs(found.ratio / one.truth - 1.0) for found, one in told), "%")
    yield Row(f"{name}: half the interval", 50.0 * median((found.high - found.low) / found.ratio for found, _ in told), "%")
    yield Row(f"{name}: error of medians", 100.0 * median(abs(one.of_medians / one.truth - 1.0) for _, one in told), "%")
    for factor, of_factor in by_factor.items():
        known = [one for one in of_factor if one.told is not None]
        what = f"{name}, {factor - 1.0:.0%} slower"
        yield Row(f"{what}: interval holds the truth", sum(one.holds for one in known) / len(known), "of those", HOLDS)
        yield Row(f"{what}: told to be slower", sum(one.sure for one in known) / len(known), "of those")
