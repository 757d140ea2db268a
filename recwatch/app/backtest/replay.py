"""History through detectors and alerting, as they run live: what would have alarmed, and what would have paged."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from alerting.stage import AlertingStage
from detectors.backtest import Backtest, Readings, SeriesResult, judged, marked_windows, readings_of
from detectors.event_score import EventScores, pooled, scores_of_alarms
from detectors.plan import DetectionConfig
from detectors.ticks import rounds
from recwatch.app.backtest.history import History
from recwatch.app.backtest.sketch import Sketch
from recwatch.core.bus import Record
from recwatch.core.clock import Clock
from recwatch.core.errors import BadInput
from recwatch.core.events import Incident
from recwatch.core.objective import Objective
from recwatch.core.signals import Samples
from recwatch.core.wording import utc


@dataclass(frozen=True, slots=True)
class Paged:
    """An incident as it was last, and the sample time at which it was told."""

    incident: Incident
    told_ms: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one configuration would have told; `cost_s` is what telling it took, for `rows` readings, learnt ones too."""

    name: str
    config: DetectionConfig
    series: Sequence[SeriesResult]
    paged: Sequence[Paged]
    pages: EventScores
    rows: int
    cost_s: float

    @property
    def alarms(self) -> EventScores:
        """The scores of all series together."""
        return pooled(one.scores for one in self.series)


class Replay:
    """One configuration: the detectors and, on what they find, alerting's grouping."""

    def __init__(self, name: str, history: History, objective: Objective | None, config: DetectionConfig) -> None:
        service = history.known.service
        objectives = {service: objective} if objective else {}
        self._name = name
        self._config = config
        self._history = history
        self._backtest = Backtest(history.known, objectives, config)
        self._alerting = AlertingStage(objectives)
        self._alerting.process([Record("series", 0, 0, service, history.known)], now_ms=0)
        self._marks = deque(history.marks)
        self._paged: dict[str, Paged] = {}
        self.cost_s = 0.0

    def step(self, tick: Samples) -> list[Samples]:
        """Go on by one tick; how the detectors judged it."""
        now_ms = int(tick.time_ms[0])
        told = self._backtest.judge(tick)
        records = [Record("samples", 0, 0, tick.service, tick)]
        while self._marks and self._marks[0].time_ms <= now_ms:
            records.append(Record("marks", 0, 0, tick.service, self._marks.popleft()))
        records += [Record(out.topic, 0, 0, out.key, out.message) for out in told if out.topic == "anomalies"]
        for incident in (out.message for out in self._alerting.process(records, now_ms)):
            first = self._paged.get(incident.id)
            self._paged[incident.id] = Paged(incident, now_ms) if first is None else replace(first, incident=incident)
        return [out.message for out in told if out.topic == "judgements"]

    def outcome(self, readings: Mapping[int, Readings], rows: int) -> Outcome:
        """What was told of what counts; `readings` are those that count."""
        history = self._history
        since_ms = history.span.counted_from_ms
        series = self._backtest.results(readings, history.marked, history.step_s, since_ms)
        paged = [one for one in self._paged.values() if one.told_ms >= since_ms]
        pages = _worth(history, paged, (one.readings for one in series))
        return Outcome(self._name, self._config, series, paged, pages, rows, self.cost_s)


def replay(
    history: History,
    objective: Objective | None,
    configs: Mapping[str, DetectionConfig],
    clock: Clock,
    sketch: Sketch | None = None,
) -> list[Outcome]:
    """Run each configuration over the history; `sketch`, if there is one, sees what the first one judged.

    Raises BadInput where there is nothing to judge.
    """
    runs = [Replay(name, history, objective, config) for name, config in configs.items()]
    readings: dict[int, Readings] = {}
    rows = 0
    for batch in history.batches():
        rows += len(batch)
        for series_id, more in readings_of(batch, history.span.counted_from_ms).items():
            readings[series_id] = readings[series_id] + more if series_id in readings else more
        ticks = [tick for (tick,) in rounds([batch])]
        for run in runs:
            start_s = clock.monotonic_s()
            said = [samples for tick in ticks for samples in run.step(tick)]
            run.cost_s += clock.monotonic_s() - start_s
            if sketch is not None and run is runs[0]:
                sketch.take([batch, *said])
    if not any(series.id in readings for series in judged(history.known)):
        span = history.span
        raise BadInput(
            f"{history.known.service} has no reading that is judged from {utc(span.counted_from_ms)} to {utc(span.end_ms)};"
            " ask for another time with --since and --until"
        )
    return [run.outcome(readings, rows) for run in runs]


def _worth(history: History, paged: Sequence[Paged], readings: Iterable[Readings]) -> EventScores:
    """What incidents are worth: each marked stretch is one event of the service."""
    parts = list(readings)
    first_ms, last_ms = min(one.first_ms for one in parts), max(one.last_ms for one in parts)
    whole = Readings(sum(one.count for one in parts), first_ms, last_ms)
    told_s = np.array([one.told_ms / 1000 for one in paged], dtype=np.float64)
    return scores_of_alarms(told_s, marked_windows(history.marked, whole, history.step_s), history.step_s, whole.days)
