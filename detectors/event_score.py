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
    """Counts over one or more series; they add up. `caught` are events with an alarm in time, each with its delay in steps.

    `late_steps` are the delays of those whose first alarm came later; `told` are the alarms inside events.
    """

    events: int = 0
    caught: int = 0
    told: int = 0
    false_alarms: int = 0
    series_days: float = 0.0
    delays_steps: tuple[float, ...] = ()
    late_steps: tuple[float, ...] = ()

    def __add__(self, other: EventScores) -> EventScores:
        return EventScores(
            self.events + other.events,
            self.caught + other.caught,
            self.told + other.told,
            self.false_alarms + other.false_alarms,
            self.series_days + other.series_days,
            self.delays_steps + other.delays_steps,
            self.late_steps + other.late_steps,
        )

    @property
    def found(self) -> int:
        """Events with an alarm at any time."""
        return self.caught + len(self.late_steps)

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


@dataclass(frozen=True, slots=True)
class Window:
    """An event in unix seconds: an alarm from its start on is no false one until `end_s`, and in time until `close_s`.

    One that does not count explains alarms, and is not to be caught.
    """

    start_s: float
    close_s: float
    end_s: float
    counts: bool = True

    @classmethod
    def of(cls, start_s: float, end_s: float, step_s: float, *, counts: bool = True) -> Window:
        """The window of a marked stretch of a series that is read every `step_s`."""
        steps = MAX_DELAY_STEPS_HOURLY if step_s >= COOLDOWN_S else MAX_DELAY_STEPS
        close_s = start_s + steps * step_s
        return cls(start_s, close_s, max(end_s, close_s), counts)


def event_scores(series: LabelledSeries, alarms: Alarms) -> EventScores:
    """What the alarms (bool[n], one a reading) of a detector are worth."""
    rows = np.flatnonzero(alarms)
    at_s = series.clock_s[rows[rows >= series.first_scored]]
    return scores_of_alarms(at_s, windows_of(series), series.step_s, series.scored_days)


def windows_of(series: LabelledSeries) -> list[Window]:
    """The window of each event."""
    clock, windows = series.clock_s, []
    for first, last in events_of(series):
        start_s, end_s = float(clock[first]), float(clock[last])
        if series.source == NAB:
            start_s = float(clock[max(first, series.first_scored)])
            windows.append(Window(start_s, end_s, end_s, last >= series.first_scored))
        else:
            windows.append(Window.of(start_s, end_s, series.step_s, counts=first >= series.first_scored))
    return windows


def scores_of_alarms(at_s: Float64, windows: Iterable[Window], step_s: float, days: float) -> EventScores:
    """What alarms at these times (unix seconds, ascending) are worth over so many days."""
    explained = np.zeros(len(at_s), dtype=np.bool_)
    in_time: list[float] = []
    late: list[float] = []
    events = told = 0
    for window in windows:
        low, high = np.searchsorted(at_s, window.start_s, "left"), np.searchsorted(at_s, window.end_s, "right")
        explained[low:high] = True
        events += window.counts
        if window.counts and high > low:
            told += int(high - low)
            delays = in_time if at_s[low] <= window.close_s else late
            delays.append(float(at_s[low] - window.start_s) / step_s)
    false = _cooled_down(at_s[~explained], max(COOLDOWN_S, COOLDOWN_STEPS * step_s))
    return EventScores(events, len(in_time), told, false, days, tuple(in_time), tuple(late))


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
