"""One target of a service: what its scrapes came to → raw samples, a reading, and marks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from collectors.endpoint import Endpoint
from collectors.exposition import NO_TIME_MS, Line, Page
from collectors.fetch import FetchFailed
from collectors.layout import Layout, layout_of, raw_series
from collectors.marks import deploy_mark, restart_mark
from collectors.measures import Labels, Reading
from collectors.reading import Reader
from collectors.scrape import Scrape
from recwatch.core.events import Mark
from recwatch.core.signals import Float64, Int64, Samples, Series, UInt64

OWN_NAMES = ("up", "scrape_duration_seconds", "scrape_samples_scraped")
NOT_YET = "not scraped yet"
AHEAD_MS = 10 * 60_000
"""How far another's clock may be ahead of ours; Prometheus, too, takes no sample from beyond that."""


@dataclass(slots=True)
class CollectorCounters:
    """What a collector did since it was made; every field only grows."""

    samples_scraped: int = 0
    values_dropped: int = 0  # NaN, infinite, or the server's way to say that it has no reading
    duplicates_dropped: int = 0
    samples_repeated: int = 0  # stated for a time for which there was one before
    samples_ahead: int = 0  # stated for a time that is more than `AHEAD_MS` ahead
    ticks_dropped: int = 0  # not later than the tick before
    scrapes_out_of_order: int = 0  # not later than the target's scrapes before
    stale_targets: int = 0  # targets left out of the signals of a tick
    scrapes_failed: Counter[str] = field(default_factory=Counter)  # by reason
    rows_unreadable: Counter[str] = field(default_factory=Counter)  # by reason


@dataclass(frozen=True, slots=True)
class TargetStatus:
    """How a target fares.

    `kind` names the kinds of servers on its page. `last_error` says why it is down and is empty while it is up;
    `last_scrape_ms` is of a success.
    """

    url: str
    kind: str | None
    up: bool
    last_error: str
    last_scrape_ms: int | None
    samples: int


@dataclass(frozen=True, slots=True)
class Absorbed:
    """What a scrape came to; `reading` is None where it failed."""

    samples: Samples
    marks: tuple[Mark, ...]
    reading: Reading | None


class Target:
    """Takes in the scrapes of one target, in the order of their time."""

    def __init__(
        self, service: str, endpoint: Endpoint, max_gap_ms: int, counters: CollectorCounters, *, honor_timestamps: bool
    ) -> None:
        self._service = service
        self._honor_timestamps = honor_timestamps
        self._endpoint = endpoint
        self.url = endpoint.url
        self._counters = counters
        self._own = tuple(raw_series([Line(name, {}, "gauge") for name in OWN_NAMES], service, endpoint))
        self._own_ids = _ids(self._own)
        self._ids = self._own_ids
        self._layout: Layout | None = None
        self._reader = Reader(max_gap_ms)
        self._model: Labels | None = None
        self._newest_ms = NO_TIME_MS
        self._times_ms = np.zeros(0, np.int64)
        self.series: tuple[Series, ...] = ()
        self.reading: Reading | None = None
        self.status = TargetStatus(endpoint.url, endpoint.kind, False, NOT_YET, None, 0)

    @property
    def scraped(self) -> bool:
        """Whether it is known whether the target is up."""
        return self.status.last_error != NOT_YET

    def absorb(self, scrape: Scrape) -> Absorbed:
        """The samples and marks of a scrape; of one that failed, only what tells that it did.

        One that is not later than those before, because the clock stepped back, is counted. What it read is kept, so that
        the rates are right when time has caught up.
        """
        time_ms, page = scrape.started_ms, scrape.outcome
        self.series = self.series or self._own
        if isinstance(page, FetchFailed):
            self._counters.scrapes_failed[page.reason] += 1
            self.status = replace(self.status, up=False, last_error=str(page), samples=0)
            down = np.array([0.0, scrape.duration_s, 0.0])
            return Absorbed(self._samples(time_ms, self._own_ids, down, np.full(len(down), time_ms)), (), None)
        layout = self._layout_of(page)
        values = _readable(layout, page)
        samples = len(values) - int(np.isnan(values).sum())
        self._counters.samples_scraped += samples
        self._counters.values_dropped += len(values) - samples
        self._counters.duplicates_dropped += layout.duplicates
        self.status = TargetStatus(self.url, ", ".join(layout.kinds) or None, True, "", time_ms, samples)
        self.reading, restarted = self._reader.read(layout, values, time_ms)
        for reason, dropped in page.dropped.items():
            self._counters.rows_unreadable[reason] += dropped.rows
        times_ms = self._times(layout, page, time_ms)
        told = np.where(self._is_new(times_ms, time_ms), values, np.nan) if page.time_ms is not None else values
        own = [1.0, scrape.duration_s, len(page.values)]
        rows = self._samples(time_ms, self._ids, np.append(told, own), np.append(times_ms, [time_ms] * len(own)))
        return Absorbed(rows, self._marks(self.reading, restarted=restarted), self.reading)

    def _layout_of(self, page: Page) -> Layout:
        if self._layout is None or self._layout.lines is not page.lines:
            self._layout = layout_of(page.lines, self._service, self._endpoint)
            self.series = (*self._layout.series, *self._own)
            before = dict(zip(self._ids.tolist(), self._times_ms.tolist(), strict=False))
            self._ids = _ids(self.series)
            times_ms = (before.get(series.id, NO_TIME_MS) for series in self._layout.series)
            self._times_ms = np.fromiter(times_ms, np.int64, len(self._layout.series))
        return self._layout

    def _times(self, layout: Layout, page: Page, time_ms: int) -> Int64:
        """The time of each row kept: that which the page states for it, if that is honoured, or the scrape's start."""
        starts = np.full(len(layout.rows), time_ms, dtype=np.int64)
        if page.time_ms is None or not self._honor_timestamps:
            return starts
        stated = page.time_ms[layout.rows]
        return np.where(stated == NO_TIME_MS, starts, stated)

    def _is_new(self, times_ms: Int64, time_ms: int) -> npt.NDArray[np.bool_]:
        """Which rows are later than those before: a server that states the same time again has no new reading."""
        ahead = times_ms > time_ms + AHEAD_MS
        new = (times_ms > self._times_ms) & ~ahead
        self._times_ms = np.where(new, times_ms, self._times_ms)
        self._counters.samples_ahead += int(ahead.sum())
        self._counters.samples_repeated += int((~new & ~ahead).sum())
        return new

    def _samples(self, time_ms: int, ids: UInt64, values: Float64, times_ms: Int64) -> Samples:
        self._counters.scrapes_out_of_order += time_ms <= self._newest_ms
        self._newest_ms = max(time_ms, self._newest_ms)
        there = ~np.isnan(values)
        if not there.all():
            ids, values, times_ms = ids[there], values[there], times_ms[there]
        return Samples(self._service, self.url, times_ms, ids, values)

    def _marks(self, reading: Reading, *, restarted: bool) -> tuple[Mark, ...]:
        """What a reading tells of deploys and restarts."""
        marks, time_ms = [], reading.time_ms
        model = next((labels for (name, labels), value in reading.instants if name == "model_info" and value > 0), None)
        if model and self._model and model != self._model:
            marks.append(deploy_mark(self._service, self.url, time_ms, self._model, model))
        if restarted:
            marks.append(restart_mark(self._service, self.url, time_ms))
        self._model = model or self._model
        return tuple(marks)


def joined(first: Reading, second: Reading) -> Reading:
    """Two readings of one target, one after the other, as one over both intervals."""
    if second.interval_s is None or first.interval_s is None:
        return second
    grown = Counter(first.increments)
    grown.update(second.increments)
    return Reading(second.time_ms, second.instants, grown, first.interval_s + second.interval_s)


def _ids(series: Sequence[Series]) -> UInt64:
    return np.fromiter((one.id for one in series), dtype=np.uint64, count=len(series))


def _readable(layout: Layout, page: Page) -> Float64:
    """The values of the rows kept; NaN where there is none that is finite, or the server says that it has no reading."""
    values = page.values[layout.rows] if layout.duplicates else page.values
    unread = ~np.isfinite(values)
    if layout.blanks:
        unread |= np.isin(values, layout.blanks)
    return np.where(unread, np.nan, values) if unread.any() else values
