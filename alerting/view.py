"""What a diagnosis looks at: each canonical signal before an incident and now, and what was done near its start."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from math import inf, log

import numpy as np

from alerting.grouping import signal_of, unanswered
from recwatch.core.canonical import SIGNALS
from recwatch.core.events import Anomaly, Evidence, Mark
from recwatch.core.recent import Recent
from recwatch.core.signals import Float64, Series
from recwatch.core.targets import TargetState
from recwatch.core.wording import clean, duration, figure, least, spoken

NOW_MS = 5_000
BASELINE_MS = 60_000
GUARD_MS = 15_000
BASELINE_ROWS = 5
MARK_BEFORE_MS = 120_000
MARK_AFTER_MS = 2_000


@dataclass(frozen=True, slots=True)
class Reading:
    """One signal: its median before the incident and over the last seconds, in `unit`; None where it was absent.

    `of` tells which of several series of the signal this is, say "gpu 3"; empty where there is but one. `open_ended` says
    that `now` is but a lower limit.
    """

    signal: str
    series: str
    unit: str
    before: float | None
    now: float | None
    emulated: bool = False
    expected: float | None = None
    of: str = ""
    open_ended: bool = False

    @property
    def ratio(self) -> float:
        """Now over before; 1 when that cannot be said."""
        if self.before is None or self.now is None or self.before <= 0:
            return 1.0
        return self.now / self.before

    def evidence(self) -> Evidence:
        """The reading in words, against what a detector expected of it if one did, else against what it was."""
        now = "no reading" if self.now is None else least(figure(self.now, self.unit), self.open_ended)
        if self.expected is not None:
            against = f", expected {figure(self.expected, self.unit)}"
        else:
            against = "" if self.before is None else f", was {figure(self.before, self.unit)}"
        which = f" ({clean(self.of)})" if self.of else ""
        text = f"{spoken(self.signal)}{which} {now}{against}{' (emulated)' if self.emulated else ''}"
        return Evidence(text, self.series, self.now, self.before if self.expected is None else self.expected)


@dataclass(frozen=True, slots=True)
class View:
    """An incident as `diagnose` sees it, from the first anomaly that users feel to the last sample looked at.

    `anomalous` are the names of the signals that a detector called so, but for those that stand still: what measures them is
    stuck, and they may be well. `down` are the targets that do not answer.
    """

    service: str
    start_ms: int
    until_ms: int
    readings: Mapping[str, Reading]
    marks: tuple[Mark, ...]
    anomalous: frozenset[str] = frozenset()
    down: tuple[TargetState, ...] = ()

    def ratio(self, signal: str) -> float:
        """Now over before; 1 when that cannot be said."""
        return self.readings[signal].ratio if signal in self.readings else 1.0

    def now(self, signal: str) -> float | None:
        return self.readings[signal].now if signal in self.readings else None

    def rise(self, signal: str) -> float:
        """Now less before, in the signal's unit; 0 when that cannot be said."""
        reading = self.readings.get(signal)
        if reading is None or reading.now is None or reading.before is None:
            return 0.0
        return reading.now - reading.before

    def evidence(self, *signals: str) -> tuple[Evidence, ...]:
        """In words, those of `signals` that are known."""
        return tuple(self.readings[s].evidence() for s in signals if s in self.readings)

    def marks_before(self, *kinds: str) -> tuple[Evidence, ...]:
        """In words, the marks of these kinds that may have caused the incident, the latest first."""
        return tuple(Evidence(_said(m, self.start_ms)) for m in self.near(*kinds))

    def near(self, *kinds: str) -> list[Mark]:
        """The marks of these kinds that may have caused the incident, the latest first."""
        near = (m for m in self.marks if m.kind in kinds and -MARK_BEFORE_MS <= m.time_ms - self.start_ms <= MARK_AFTER_MS)
        return sorted(near, key=lambda m: -m.time_ms)


def _said(mark: Mark, start_ms: int) -> str:
    apart = f"{duration(abs(start_ms - mark.time_ms))} {'before' if mark.time_ms <= start_ms else 'after'} the start"
    return f"{mark.kind.replace('_', ' ')} {clean(mark.text)} by {clean(mark.by)}, {apart}"


def view_of(
    recent: Recent, service: str, between_ms: tuple[int, int], anomalies: Iterable[Anomaly], marks: Iterable[Mark]
) -> View:
    """The view of an incident between its start and now, both in sample time.

    The baseline is the minute that ended fifteen seconds before the start. "Now" is the last five seconds since the start,
    and never later than what was done about it: how a service looks under treatment says nothing of the cause.
    """
    marks, anomalies = tuple(marks), tuple(anomalies)
    start_ms, now_ms = between_ms
    until_ms = min([now_ms, *(m.time_ms - 1 for m in marks if _treats(m, start_ms))])
    off = [a for a in anomalies if a.method != "flat_line"]
    anomalous = frozenset(a.series for a in off)
    expected = {a.series: a.expected for a in anomalies if a.method != "objective" and a.expected is not None}
    readings: dict[str, Reading] = {}
    known = [s for s in recent.series(service) if s.canonical and s.name in SIGNALS and "le" not in s.labels]
    several = Counter(s.name for s in known)
    for series in known:
        reading = _reading(recent, series, start_ms, until_ms, expected.get(series.key))
        if reading is not None and _telling(reading, anomalous) >= _telling(readings.get(series.name), anomalous):
            of = _labels(series) if several[series.name] > 1 else ""
            readings[series.name] = replace(reading, of=of)
    return View(service, start_ms, until_ms, readings, marks, frozenset(map(signal_of, off)))


def _labels(series: Series) -> str:
    """Which of several: a stage by its name alone, as "time in a stage" says the rest."""
    told = {label: text for label, text in sorted(series.labels.items()) if label not in ("service", "emulated")}
    return ", ".join(text if label == "stage" else f"{label} {text}" for label, text in told.items())


def sunk(anomaly: Anomaly, recent: Recent, since_ms: int) -> Anomaly:
    """The anomaly with the highest of its readings since then as its value, if that is next to no answers.

    A detector tells the value at the start, when the second in which a service hung is not over yet.
    """
    if signal_of(anomaly) != "requests_per_second" or anomaly.end_ms is not None or anomaly.start_ms > since_ms:
        return anomaly
    readings = recent.rows(int(anomaly.series_id), since_ms)[1]
    deeper = replace(anomaly, value=min(anomaly.value, float(readings.max()))) if len(readings) else anomaly
    return deeper if unanswered(deeper) and not unanswered(anomaly) else anomaly


def _treats(mark: Mark, start_ms: int) -> bool:
    return mark.kind in ("deploy", "knob_change", "restart") and mark.time_ms > start_ms + MARK_AFTER_MS


def _reading(recent: Recent, series: Series, start_ms: int, until_ms: int, expected: float | None) -> Reading | None:
    times, values = recent.rows(series.id, start_ms - GUARD_MS - BASELINE_MS, until_ms)
    before = values[times <= start_ms - GUARD_MS]
    now = values[times >= max(start_ms, until_ms - NOW_MS)]
    if len(before) < BASELINE_ROWS and not len(now):
        return None
    latest = _median(now, series.unit) if len(now) else None
    return Reading(
        series.name,
        series.key,
        series.unit,
        _median(before, series.unit) if len(before) >= BASELINE_ROWS else None,
        latest,
        series.labels.get("emulated") == "true",
        expected,
        open_ended=latest is not None and recent.open_ended(series.service, series.name, latest),
    )


def _median(values: Float64, unit: str) -> float:
    """The middle one; of what has no unit, such as codes and counts, never a mean of two."""
    return float(np.median(values)) if unit else float(np.quantile(values, 0.5, method="higher"))


def _telling(reading: Reading | None, anomalous: Collection[str]) -> tuple[bool, float, float]:
    """How much a reading tells: of several series of one signal, say GPUs, the anomalous one that moved furthest does most.

    A disk that was full before does not move any more.
    """
    return (reading is not None and reading.series in anomalous, *_change(reading))


def _change(reading: Reading | None) -> tuple[float, float]:
    """How far a reading moved. From or to nothing is further than any factor, and the further the more it is."""
    if reading is None:
        return (-1.0, 0.0)
    if reading.now is None:
        return (inf, inf)
    if reading.before is None or reading.now == reading.before:
        return (0.0, 0.0)
    if reading.before <= 0 or reading.now <= 0:
        return (inf, abs(reading.now - reading.before))
    return (abs(log(reading.ratio)), 0.0)
