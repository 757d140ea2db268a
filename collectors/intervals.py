"""The targets of a service that a Prometheus scrapes, interval by interval of sample time → its canonical signals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from collectors.collector import STALE_INTERVALS
from collectors.fleet import Fleet
from collectors.measures import Key
from collectors.received import Source
from collectors.selector import Selector
from collectors.target import TargetStatus
from recwatch.core.canonical import canonical_series
from recwatch.core.events import Mark
from recwatch.core.signals import Float64, Int64, Kind, Samples, Series, SeriesSet

COMPLETE_MS = 5_000
"""Of sample time: Prometheus's `batch_send_deadline`, by which one of its queues may be ahead of another."""
BEHIND_MS = 2 * COMPLETE_MS
"""How long after its time a signal may come: its rows wait to be sent, and it waits for rows of other queues."""
QUIET_MS = 15_000
"""Of wall clock: a Prometheus that has sent nothing for three such deadlines has nothing under way."""
_UP: Key = ("targets_up_ratio", ())


class ReceivedService:
    """One service; times are unix milliseconds.

    An interval is over, and its signals are due, once rows have come that are `COMPLETE_MS` newer than its end, or none has
    come for `QUIET_MS`. A row that comes later than that is stored and has no part in the signals. While nothing comes at
    all, the service has no target that is known to be up. What a target sends in its first `settles_ms` may be a part of it.
    """

    def __init__(self, name: str, selectors: Sequence[Selector], interval_ms: int, settles_ms: int = COMPLETE_MS) -> None:
        self.name = name
        self._selectors = selectors
        self._interval_ms = interval_ms
        self._settles_ms = settles_ms
        self._stale_ms = STALE_INTERVALS * self._interval_ms
        self._sources: dict[tuple[str, str], Source] = {}
        self._fleet = Fleet()
        self._canonical: dict[Key, Series] = {}
        self._pending: set[int] = set()
        self._over_ms = 0
        self._newest_ms = 0
        self._arrived_ms = 0
        self._up_told_ms = 0
        self._known: dict[int, Series] = {}
        self._undescribed: set[Source] = set()

    def selects(self, labels: Mapping[str, str]) -> bool:
        return any(selector.matches(labels) for selector in self._selectors)

    def add(self, labels: Mapping[str, str]) -> tuple[Source, int]:
        """Take note of a new series; returns the target that it is of, and its place there."""
        key = labels.get("job", ""), labels.get("instance", "")
        if key not in self._sources:
            self._sources[key] = Source(self.name, key, self._stale_ms, self._settles_ms)
        source = self._sources[key]
        self._undescribed.add(source)
        return source, source.add(labels)

    def begin_anew(self) -> None:
        """Forget every target and its series; those that are still there come again."""
        self._sources = {}
        self._known = {}
        self._pending = set()

    def describe(self, kinds: Mapping[str, Kind], everything: bool = False) -> SeriesSet | None:
        """Every series so far, if some are new, or `everything` may be of another kind than was known."""
        known = len(self._known)
        for source in self._sources.values() if everything else self._undescribed:
            source.describe(kinds)
            self._known |= {series.id: series for series in source.series}
        self._undescribed.clear()
        self._known |= {series.id: series for series in self._canonical.values()}
        return SeriesSet(self.name, tuple(self._known.values())) if everything or len(self._known) > known else None

    def take(self, source: Source, places: Int64, time_ms: Int64, values: Float64, now_ms: int) -> int:
        """Put rows, in the order of their time, on the pages of their intervals; returns how many came too late for that."""
        source.gone = False
        self._arrived_ms = now_ms
        self._newest_ms = max(self._newest_ms, min(now_ms, int(time_ms.max())))
        ends = -(-time_ms // self._interval_ms) * self._interval_ms
        for end_ms in np.unique(ends[ends > self._over_ms]).tolist():
            rows = ends == end_ms
            source.take(end_ms, places[rows], time_ms[rows], values[rows])
            self._pending.add(end_ms)
        return int((ends <= self._over_ms).sum())

    def due(self, now_ms: int) -> list[int]:
        """The ends of the intervals that are over, the earliest first."""
        quiet = now_ms - self._arrived_ms >= QUIET_MS
        until_ms = self._newest_ms - COMPLETE_MS
        return sorted(end_ms for end_ms in self._pending if quiet or end_ms <= until_ms)

    def close(self, end_ms: int) -> tuple[Samples, tuple[Mark, ...]]:
        """The canonical signals of the interval that ends then, and what its pages tell of deploys and restarts."""
        self._pending.discard(end_ms)
        self._over_ms = end_ms
        there = self._there()
        marks = tuple(mark for source in there for mark in source.close(end_ms))
        heard = [source for source in there if end_ms - source.heard_ms < self._stale_ms]
        readings = [source.reading for source in heard if source.reading is not None]
        signals = self._fleet.signals(end_ms, [r for r in readings if end_ms - r.time_ms < self._stale_ms])
        if heard and end_ms > self._up_told_ms:
            signals[_UP] = float(np.mean([source.status.up for source in heard]))
        return self._samples(end_ms, signals), marks

    def silence(self, now_ms: int) -> Samples | None:
        """What there is to say while nothing comes, once an interval."""
        end_ms = now_ms // self._interval_ms * self._interval_ms
        there = self._there()
        silent = there and now_ms - self._arrived_ms >= max(QUIET_MS, self._stale_ms)
        if not silent or end_ms <= max(self._up_told_ms, self._over_ms):
            return None
        self._up_told_ms = end_ms
        for source in there:
            source.lose()
        return self._samples(end_ms, {_UP: 0.0})

    def targets(self) -> tuple[TargetStatus, ...]:
        return tuple(source.status for source in self._there())

    def _there(self) -> list[Source]:
        """The targets without those that are done; these may come back, and are then the same ones."""
        return [source for source in list(self._sources.values()) if not source.done]

    def _samples(self, time_ms: int, signals: Mapping[Key, float]) -> Samples:
        for name, labels in signals.keys() - self._canonical.keys():
            self._canonical[name, labels] = canonical_series(self.name, name, dict(labels))
        return Samples.of(self.name, "", time_ms, {self._canonical[key].id: value for key, value in signals.items()})
