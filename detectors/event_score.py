"""Alarms against the anomalies that people marked.

Scored are events, not points: a score that is adjusted to whole anomalies lets random detectors shine. The protocol: runs of
labelled readings at most two steps apart are one event. It is caught by an alarm within `MAX_DELAY_STEPS` of its start
(`MAX_DELAY_STEPS_HOURLY` for hourly data; anywhere in NAB's windows, which start before the anomaly). An alarm outside
every event is false, and counts once a cool-down of an hour or six steps, whichever is longer. Readings before
`first_scored` count for nothing. Figures are pooled over series.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np
import numpy.typing as npt

from detectors.labelled import NAB, LabelledSeries, Run
from recwatch.core.signals import Float64

Alarms = npt.NDArray[np.bool_]

MERGED_GAP_STEPS = 2
MAX_DELAY_STEPS = 7
MAX_DELAY_STEPS_HOURLY = 2
COOLDOWN_S = 3600.0
COOLDOWN_STEPS = 6


@dataclass(frozen=True, slots=True)
class EventScores:
    """Counts over one or more series; they add up.

    `found` are events with an alarm at any time, `caught` those in time; `told` are the alarms inside events.
    """

    events: int = 0
    caught: int = 0
    found: int = 0
    told: int = 0
    false_alarms: int = 0
    series_days: float = 0.0
    delays_steps: tuple[float, ...] = ()

    def __add__(self, other: EventScores) -> EventScores:
        return EventScores(
            self.events + other.events,
            self.caught + other.caught,
            self.found + other.found,
            self.told + other.told,
            self.false_alarms + other.false_alarms,
            self.series_days + other.series_days,
            self.delays_steps + other.delays_steps,
        )

    @property
    def precision(self) -> float:
        return _share(self.caught, self.caught + self.false_alarms)

    @property
    def recall(self) -> float:
        return _share(self.caught, self.events)

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall.

        >>> EventScores(events=10, caught=5, false_alarms=5).f1
        0.5
        """
        return _share(2 * self.caught, self.caught + self.false_alarms + self.events)

    @property
    def recall_at_any_time(self) -> float:
        return _share(self.found, self.events)

    @property
    def alarms_per_found_event(self) -> float:
        """Into how many alarms an event falls; 1 at best."""
        return _share(self.told, self.found)

    @property
    def false_alarms_per_series_day(self) -> float:
        return _share(self.false_alarms, self.series_days)

    @property
    def median_delay_steps(self) -> float:
        return float(np.median(self.delays_steps)) if self.delays_steps else float("nan")


def _share(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")


def pooled(scores: Iterable[EventScores]) -> EventScores:
    """The counts of all series together."""
    return reduce(add, scores, EventScores())


def events_of(series: LabelledSeries) -> list[Run]:
    """The labelled runs with those at most `MERGED_GAP_STEPS` apart taken together, in time order."""
    merged: list[Run] = []
    for first, last in sorted(series.runs):
        if merged and first - merged[-1][1] - 1 <= MERGED_GAP_STEPS:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return merged


def event_scores(series: LabelledSeries, alarms: Alarms) -> EventScores:
    """What the alarms (bool[n], one a reading) of a detector are worth."""
    clock = series.clock_s
    rows = np.flatnonzero(alarms)
    at = clock[rows[rows >= series.first_scored]]
    explained = np.zeros(len(at), dtype=np.bool_)
    found, told, delays, scored = 0, 0, [], 0
    for first, last in events_of(series):
        start_s, close_s = _window(series, clock, first, last)
        low, high = np.searchsorted(at, start_s, "left"), np.searchsorted(at, max(clock[last], close_s), "right")
        explained[low:high] = True
        counts = (last if series.source == NAB else first) >= series.first_scored
        scored += counts
        if counts and high > low:
            found += 1
            told += int(high - low)
            if at[low] <= close_s:
                delays.append(float(at[low] - start_s) / series.step_s)
    false = _cooled_down(at[~explained], max(COOLDOWN_S, COOLDOWN_STEPS * series.step_s))
    return EventScores(scored, len(delays), found, told, false, series.scored_days, tuple(delays))


def _window(series: LabelledSeries, clock: Float64, first: int, last: int) -> tuple[float, float]:
    """When an event starts, and until when an alarm is in time."""
    if series.source == NAB:
        return float(clock[max(first, series.first_scored)]), float(clock[last])
    steps = MAX_DELAY_STEPS_HOURLY if series.step_s >= COOLDOWN_S else MAX_DELAY_STEPS
    return float(clock[first]), float(clock[first] + steps * series.step_s)


def _cooled_down(at_s: Float64, cooldown_s: float) -> int:
    count = position = 0
    while position < len(at_s):
        count += 1
        position = int(np.searchsorted(at_s, at_s[position] + cooldown_s, "right"))
    return count


def average_precision(series: LabelledSeries, score: Float64) -> float:
    """The area under precision over recall of single readings, equal scores taken together; NaN without events."""
    labelled = np.zeros(len(series), dtype=np.bool_)
    for first, last in series.runs:
        labelled[first : last + 1] = True
    truth, scored = labelled[series.first_scored :], score[series.first_scored :]
    if truth.all() or not truth.any():
        return float("nan")
    order = np.argsort(-scored, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scored[order])), len(order) - 1)
    hits = np.cumsum(truth[order])[ends]
    return float(np.sum(np.diff(hits / hits[-1], prepend=0.0) * hits / (ends + 1.0)))


def mean_average_precision(corpus: Sequence[LabelledSeries], scores: Sequence[Float64]) -> float:
    """Over the series that have an event; NaN if none has."""
    each = np.array([average_precision(*pair) for pair in zip(corpus, scores, strict=True)])
    return float(np.nanmean(each)) if np.isfinite(each).any() else float("nan")
