"""When the level of a series last changed, in words: too slow to run on every reading, quick enough when asked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from detectors.dated_changes import DatedChange, dated_changes
from recwatch.core.recent import Recent
from recwatch.core.signals import Float64, Int64, Series
from recwatch.core.wording import figure, least, utc

LONGEST = 1000
"""More readings than these are thinned; so many take about a quarter of a second."""
TOLD = 3


@dataclass(frozen=True, slots=True)
class LevelChange:
    """When a level changed, in unix milliseconds, and a sentence on it."""

    time_ms: int
    said: str


def level_changes(series: Series, recent: Recent) -> tuple[LevelChange, ...]:
    """The last changes of level that `recent` shows, the oldest first.

    Readings that are not finite count as missing.
    """
    times, values = recent.rows(series.id)
    there = np.isfinite(values)
    first_ms, last_ms, means = _thinned(times[there], values[there])
    return tuple(
        LevelChange(int(first_ms[change.row]), f"The level changed {changed(series, recent, change, (first_ms, last_ms))}.")
        for change in dated_changes(means)[-TOLD:]
    )


def changed(series: Series, recent: Recent, change: DatedChange, times: tuple[Int64, Int64]) -> str:
    """When, how surely, from what and to what; `times` are those of the first and the last reading of each row.

    A change came between the last reading of the old level and the first of the new one, with a probability of 0.9. Where
    readings are missing, the time between is the longer.
    """
    first_ms, last_ms = times
    return (
        f"at {utc(int(first_ms[change.row]))} (between {_clock(first_ms[change.earliest - 1])} and "
        f"{_clock(last_ms[change.latest])}) from {_level(series, recent, change.before)} to "
        f"{_level(series, recent, change.after)}"
    )


def _thinned(times: Int64, values: Float64) -> tuple[Int64, Int64, Float64]:
    """Means of so many readings each that there are at most `LONGEST`, with the times of the first and the last of each."""
    size = max(1, -(-len(times) // LONGEST))
    starts = np.arange(0, len(times), size)
    ends = np.minimum(starts + size, len(times))
    sums = np.add.reduceat(values, starts) if len(starts) else values
    return times[starts], times[ends - 1], sums / (ends - starts)


def _level(series: Series, recent: Recent, value: float) -> str:
    return least(figure(value, series.unit), recent.open_ended(series.service, series.name, value))


def _clock(time_ms: np.int64) -> str:
    return utc(int(time_ms), "%H:%M:%S")
