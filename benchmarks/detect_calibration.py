"""Whether the one knob of detection means what it says: false alarms asked for, and those measured on made noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from rich.console import Console
from rich.progress import track

from benchmarks.report import Row
from detectors.fusion import Hysteresis
from detectors.panel import Batch
from detectors.robust_band import RobustBand
from recwatch.core.signals import Float64

Noise = Callable[[np.random.Generator, int], Iterator[Float64]]
"""Readings of so many series, a line a tick, without end."""

ASKED = (0.1, 0.4, 1.0)
STEP_S = 10
"""Read this often, one in four thousand readings is twice a day: the knob decides, not the least rarity."""
DAY_TICKS = 86_400 // STEP_S
WARM_DAYS, DAYS = 1, 6
SERIES = 60


def normal(rng: np.random.Generator, series: int) -> Iterator[Float64]:
    """Independent, normal."""
    while True:
        yield rng.standard_normal(series)


def heavy(rng: np.random.Generator, series: int) -> Iterator[Float64]:
    """Student's t with 3 degrees of freedom: the variance is finite, the fourth moment is not."""
    while True:
        yield rng.standard_t(3, series)


def skewed(rng: np.random.Generator, series: int) -> Iterator[Float64]:
    """Log-normal, as latencies are."""
    while True:
        yield np.exp(rng.standard_normal(series))


def runs(rng: np.random.Generator, series: int) -> Iterator[Float64]:
    """First-order autoregressive, 0.9."""
    value = np.zeros(series)
    while True:
        value = 0.9 * value + rng.standard_normal(series)
        yield value


def seasonal(rng: np.random.Generator, series: int) -> Iterator[Float64]:
    """A daily wave of ten standard deviations."""
    tick = 0
    while True:
        yield 10.0 * np.sin(2.0 * np.pi * tick / DAY_TICKS) + rng.standard_normal(series)
        tick += 1


def counts(rng: np.random.Generator, series: int) -> Iterator[Float64]:
    """Poisson, two a reading."""
    while True:
        yield rng.poisson(2.0, series).astype(np.float64)


KINDS: Mapping[str, Noise] = {
    "normal": normal,
    "heavy tails": heavy,
    "skewed": skewed,
    "noise in runs": runs,
    "a daily wave": seasonal,
    "counts": counts,
}


def detect_calibration(out: Console) -> Sequence[Row]:
    """Alarms of the default on noise in which there is nothing to find, over the number that the knob asks for at most."""
    rows = []
    warm, ticks = WARM_DAYS * DAY_TICKS, DAYS * DAY_TICKS
    for asked in track(ASKED, "series-days of noise", console=out, transient=True):
        measured = false_alarms_a_day(asked, list(KINDS.values()), SERIES, STEP_S, warm, ticks)
        for kind, alarms in zip(KINDS, measured, strict=True):
            rows.append(Row(f"{kind}, asked for {asked} a series-day", alarms, "a series-day", f"<= {2.0 * asked:g}"))
    return rows


def false_alarms_a_day(  # noqa: PLR0913, PLR0917  (what is measured, and for how long)
    asked: float, kinds: Sequence[Noise], series: int, step_s: int, warm_ticks: int, ticks: int
) -> list[float]:
    """Alarms a series-day of so many series of each kind, read every `step_s`, after `warm_ticks` that do not count."""
    sources = [noise(np.random.default_rng(number), series) for number, noise in enumerate(kinds)]
    method, hysteresis = RobustBand(asked), Hysteresis(methods=1)
    row = np.arange(series * len(kinds))
    counted = np.zeros(len(kinds))
    for tick in range(warm_ticks + ticks):
        value = 100.0 + np.concatenate([next(source) for source in sources])
        time_ms = np.full(len(row), 1000 * step_s * tick)
        score = method.update(Batch(row, time_ms, value, {})).score
        for at, _ in hysteresis.update(row, time_ms, score[:, None], starts_after=1).started:
            counted[at // series] += tick >= warm_ticks
    per_day: list[float] = (counted * 86_400 / (series * ticks * step_s)).tolist()
    return per_day
