"""What a configuration would have told of history: the stage that runs live, tick by tick, on sample time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from detectors.event_score import EventScores, Window, scores_of_alarms
from detectors.plan import PLAN, DetectionConfig
from detectors.stage import DetectorStage
from detectors.views import DAY_MS
from recwatch.core.bus import Outgoing, Record
from recwatch.core.canonical import SIGNALS
from recwatch.core.events import Anomaly
from recwatch.core.objective import Objective
from recwatch.core.signals import Samples, Series, SeriesSet


@dataclass(frozen=True, slots=True)
class Alarm:
    """An anomaly as it was last, and the sample time at which it was told."""

    anomaly: Anomaly
    told_ms: int


@dataclass(frozen=True, slots=True)
class Marked:
    """A stretch, ends included, in which something was the matter, and the ids of the series in which that showed."""

    start_ms: int
    end_ms: int
    what: str
    series: frozenset[int]


@dataclass(frozen=True, slots=True)
class Readings:
    """How many readings of a series count, and the times of the first and the last."""

    count: int
    first_ms: int
    last_ms: int

    def __add__(self, later: Readings) -> Readings:
        return Readings(self.count + later.count, self.first_ms, later.last_ms)

    @property
    def days(self) -> float:
        return (self.last_ms - self.first_ms) / DAY_MS


@dataclass(frozen=True, slots=True)
class SeriesResult:
    """What was told of one series, and what that was worth: `scores` counts alarms as `detectors.event_score` does."""

    series: Series
    readings: Readings
    alarms: tuple[Alarm, ...]
    scores: EventScores

    def stretches_ms(self) -> list[tuple[int, int]]:
        """From when to when the series was in any anomaly; one that is open lasts until the last reading."""
        joined: list[tuple[int, int]] = []
        for anomaly in sorted((alarm.anomaly for alarm in self.alarms), key=lambda anomaly: anomaly.start_ms):
            end_ms = self.readings.last_ms if anomaly.end_ms is None else anomaly.end_ms
            if joined and anomaly.start_ms <= joined[-1][1]:
                joined[-1] = (joined[-1][0], max(joined[-1][1], end_ms))
            else:
                joined.append((anomaly.start_ms, end_ms))
        return joined

    def lengths_ms(self, step_s: float) -> list[int]:
        """How long each stretch lasted; that of one reading lasts until the next."""
        return [end_ms - start_ms + round(1000 * step_s) for start_ms, end_ms in self.stretches_ms()]


def readings_of(batch: Samples, since_ms: int) -> dict[int, Readings]:
    """The readings of each series in a batch that are not before `since_ms`.

    >>> readings_of(Samples("shop", "", np.arange(4), np.array([7, 7, 8, 7]), np.zeros(4)), since_ms=1)
    {7: Readings(count=2, first_ms=1, last_ms=3), 8: Readings(count=1, first_ms=2, last_ms=2)}
    """
    counted = batch.time_ms >= since_ms
    ids, times = batch.series_id[counted], batch.time_ms[counted]
    order = np.argsort(ids, kind="stable")
    each = np.split(times[order], np.flatnonzero(np.diff(ids[order])) + 1) if len(ids) else []
    return {
        int(series_id): Readings(len(one), int(one.min()), int(one.max()))
        for series_id, one in zip(np.unique(ids), each, strict=True)
    }


def marked_windows(
    marked: Iterable[Marked], readings: Readings, step_s: float, series_id: int | None = None
) -> list[Window]:
    """The windows for alarms of one series, or of the service.

    What began among its readings, and showed in it, is to be caught; the rest explains alarms.
    """
    return [
        Window.of(
            one.start_ms / 1000,
            one.end_ms / 1000,
            step_s,
            counts=series_id in (None, *one.series) and readings.first_ms <= one.start_ms <= readings.last_ms,
        )
        for one in marked
    ]


def judged(known: SeriesSet) -> list[Series]:
    """The series of which a backtest tells: the signals that are judged live, and whatever is no signal."""
    return [series for series in known.series if series.name in PLAN or series.name not in SIGNALS]


class Backtest:
    """One configuration over the history of one service. Series that are no signals are judged as `plan.UNLISTED`."""

    def __init__(self, known: SeriesSet, objectives: Mapping[str, Objective], config: DetectionConfig) -> None:
        self._judged = judged(known)
        self._stage = DetectorStage(objectives, config, {series.name for series in self._judged} - PLAN.keys())
        self._stage.process([Record("series", 0, 0, known.service, known)], now_ms=0)
        self._alarms: dict[str, Alarm] = {}

    def judge(self, tick: Samples) -> Sequence[Outgoing]:
        """All that the stage tells of the next tick."""
        now_ms = int(tick.time_ms[0])
        told = self._stage.process([Record("samples", 0, 0, tick.service, tick)], now_ms)
        for anomaly in (out.message for out in told if out.topic == "anomalies"):
            first = self._alarms.get(anomaly.id)
            self._alarms[anomaly.id] = Alarm(anomaly, now_ms) if first is None else replace(first, anomaly=anomaly)
        return told

    def results(
        self, readings: Mapping[int, Readings], marked: Sequence[Marked], step_s: float, since_ms: int
    ) -> list[SeriesResult]:
        """What was told from `since_ms` on of each series that has readings; `step_s` is the usual time between two."""
        alarms: dict[str, list[Alarm]] = {}
        for alarm in self._alarms.values():
            if alarm.told_ms >= since_ms:
                alarms.setdefault(alarm.anomaly.series_id, []).append(alarm)
        return [
            _result(series, readings[series.id], alarms.get(str(series.id), []), marked, step_s)
            for series in self._judged
            if series.id in readings
        ]


def _result(
    series: Series, readings: Readings, alarms: Iterable[Alarm], marked: Iterable[Marked], step_s: float
) -> SeriesResult:
    windows = marked_windows(marked, readings, step_s, series.id)
    told = tuple(sorted(alarms, key=lambda alarm: (alarm.told_ms, alarm.anomaly.id)))
    at_s = np.array([alarm.told_ms / 1000 for alarm in told], dtype=np.float64)
    return SeriesResult(series, readings, told, scores_of_alarms(at_s, windows, step_s, readings.days))
