"""What detection hits, misses and tells falsely on labelled series, one case at a time, in classes that say of what sort."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from detectors.evaluation import Told
from detectors.event_score import COOLDOWN_S, COOLDOWN_STEPS, Window, scores_of_alarms, windows_of
from detectors.labelled import DAY_S, LabelledSeries
from recwatch.core.signals import Float64

Kind = Literal["hit", "miss", "false alarm"]
SAME_TIME_S = 600.0
LASTS_ROWS = 12


@dataclass(frozen=True, slots=True)
class Case:
    """An event that was caught in time or missed, or an alarm outside of every event, in unix seconds.

    `series` is its number in the corpus, `sort` the class of a miss or a false alarm.
    """

    kind: Kind
    series: int
    start_s: float
    end_s: float
    sort: str = ""


def cases_of(number: int, series: LabelledSeries, told: Told) -> Iterator[Case]:
    """Every event that counts, and every alarm outside of them, whatever came shortly before it."""
    score, alarms = told
    windows, clock = windows_of(series), series.clock_s
    at_s = clock[np.flatnonzero(alarms)]
    at_s = at_s[at_s >= clock[series.first_scored]]
    for window in windows:
        if window.counts:
            caught = scores_of_alarms(at_s, [window], series.step_s, series.scored_days).caught
            sort = "" if caught else _sort_of_miss(series, score, at_s, window)
            yield Case("hit" if caught else "miss", number, window.start_s, window.end_s, sort)
    outside = np.array([one for one in at_s.tolist() if not any(w.start_s <= one <= w.end_s for w in windows)])
    for alarm_s in outside.tolist():
        yield Case("false alarm", number, alarm_s, alarm_s, _sort_of_false(series, score, outside, alarm_s, windows))


def _sort_of_miss(series: LabelledSeries, score: Float64, at_s: Float64, window: Window) -> str:
    first, last = np.searchsorted(series.clock_s, (window.start_s, window.close_s))
    if ((at_s >= window.start_s) & (at_s <= window.end_s)).any():
        return "found late"
    if ((at_s < window.start_s) & (at_s >= window.start_s - _cooldown_s(series))).any():
        return "told of less than a cool-down before"
    reached = float(score[first : last + 1].max(initial=0.0))
    return "half the band or more" if reached >= 0.5 else "a fifth to a half" if reached >= 0.2 else "less than a fifth"


def _sort_of_false(series: LabelledSeries, score: Float64, outside: Float64, alarm_s: float, windows: list[Window]) -> str:
    near_s = _cooldown_s(series)
    if any(window.start_s - near_s <= alarm_s <= window.end_s + near_s for window in windows):
        return "within a cool-down of an event"
    apart_s = np.abs((outside - alarm_s + DAY_S / 2) % DAY_S - DAY_S / 2)
    if ((apart_s <= max(series.step_s, SAME_TIME_S)) & (np.abs(outside - alarm_s) > DAY_S / 2)).any():
        return "at the time of day of another"
    beyond = score[np.searchsorted(series.clock_s, alarm_s) :] >= 1.0
    rows = len(beyond) if beyond.all() else int(np.argmin(beyond))
    return "one reading" if rows <= 1 else f"fewer than {LASTS_ROWS} readings" if rows < LASTS_ROWS else "longer"


def _cooldown_s(series: LabelledSeries) -> float:
    return max(COOLDOWN_S, COOLDOWN_STEPS * series.step_s)
