"""One target of a service: what its scrapes came to → raw samples, a reading, and marks."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from collectors.config import TargetConfig
from collectors.exposition import Line, Page
from collectors.increments import Growth, Increments
from collectors.layout import Layout, Measured, layout_of, raw_series
from collectors.marks import deploy_mark, restart_mark
from collectors.measures import Key, Labels, Reading
from collectors.scrape import Outcome, ScrapeFailed
from recwatch.core.events import Mark
from recwatch.core.signals import Float64, Samples, Series, UInt64

OWN_NAMES = ("up", "scrape_duration_seconds", "scrape_samples_scraped")


@dataclass(slots=True)
class CollectorCounters:
    """What a collector did since it was made; every field only grows."""

    samples_scraped: int = 0
    values_dropped: int = 0  # NaN, infinite, or the server's way to say that it has no reading
    duplicates_dropped: int = 0
    ticks_dropped: int = 0  # not later than the tick before
    stale_targets: int = 0  # targets left out of the signals of a tick
    scrapes_failed: Counter[str] = field(default_factory=Counter)  # by reason


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


class Target:
    """Takes in the scrapes of one target, in the order of their time."""

    def __init__(self, service: str, config: TargetConfig, max_gap_ms: int, counters: CollectorCounters) -> None:
        self._service = service
        self._config = config
        self.url = config.url
        self._counters = counters
        self._own = tuple(raw_series(Line(name, {}, "gauge"), service, config.url) for name in OWN_NAMES)
        self._own_ids = _ids(self._own)
        self._ids = self._own_ids
        self._layout: Layout | None = None
        self._increments = Increments(max_gap_ms)
        self._model: Labels | None = None
        self.series = self._own
        self.reading: Reading | None = None
        self.status = TargetStatus(config.url, config.kind, False, "not scraped yet", None, 0)

    def absorb(self, outcome: Outcome, time_ms: int) -> tuple[Samples, tuple[Mark, ...]]:
        """The samples and marks of the scrape that started at `time_ms`; of one that failed, only what tells that it did."""
        if isinstance(outcome, ScrapeFailed):
            self._counters.scrapes_failed[outcome.reason] += 1
            self.status = replace(self.status, up=False, last_error=str(outcome), samples=0)
            return self._samples(time_ms, self._own_ids, np.array([0.0, np.nan, 0.0])), ()
        layout = self._layout_of(outcome.page)
        values = _readable(layout, outcome.page)
        samples = int(np.isfinite(values).sum())
        self._counters.samples_scraped += samples
        self._counters.values_dropped += len(values) - samples
        self._counters.duplicates_dropped += layout.duplicates
        self.status = TargetStatus(self.url, ", ".join(layout.kinds) or None, True, "", time_ms, samples)
        marks = self._read(layout, values, time_ms)
        return self._samples(time_ms, self._ids, np.append(values, [1.0, outcome.duration_s, samples])), marks

    def _layout_of(self, page: Page) -> Layout:
        if self._layout is None or self._layout.lines is not page.lines:
            self._layout = layout_of(page.lines, self._service, self.url, self._config.kind)
            self.series = (*self._layout.series, *self._own)
            self._ids = _ids(self.series)
        return self._layout

    def _samples(self, time_ms: int, ids: UInt64, values: Float64) -> Samples:
        finite = np.isfinite(values)
        ids, values = (ids, values) if finite.all() else (ids[finite], values[finite])
        return Samples(self._service, self.url, np.full(len(ids), time_ms, dtype=np.int64), ids, values)

    def _read(self, layout: Layout, values: Float64, time_ms: int) -> tuple[Mark, ...]:
        """Make the reading of this scrape the latest; return what it tells of deploys and restarts."""
        row_values = values.tolist()
        levels = ((m.measure.key, m.measure.value(v)) for m, v in _present(layout.instants, row_values))
        instants = tuple((key, value) for key, value in levels if math.isfinite(value))
        growth = self._increments.advance(
            time_ms,
            {m.series_id: v for m, v in _present(layout.process, row_values)},
            {m.series_id: v for m, v in _present(layout.hardware, row_values)},
            _process_start(instants),
        )
        self.reading = Reading(time_ms, instants, _by_measure(layout, growth), growth.interval_s)
        return self._marks(instants, growth, time_ms)

    def _marks(self, instants: Sequence[tuple[Key, float]], growth: Growth, time_ms: int) -> tuple[Mark, ...]:
        marks = []
        model = next((labels for (name, labels), value in instants if name == "model_info" and value > 0), None)
        if model and self._model and model != self._model:
            marks.append(deploy_mark(self._service, self.url, time_ms, self._model, model))
        if growth.restarted:
            marks.append(restart_mark(self._service, self.url, time_ms))
        self._model = model or self._model
        return tuple(marks)


def _ids(series: Sequence[Series]) -> UInt64:
    return np.fromiter((one.id for one in series), dtype=np.uint64, count=len(series))


def _readable(layout: Layout, page: Page) -> Float64:
    """The values of the rows kept; NaN where the server says that it has no reading."""
    values = page.values[layout.rows] if layout.duplicates else page.values
    return np.where(np.isin(values, layout.blanks), np.nan, values) if layout.blanks else values


def _present(measured: Sequence[Measured], values: Sequence[float]) -> list[tuple[Measured, float]]:
    return [(m, value) for m in measured if math.isfinite(value := values[m.position])]


def _process_start(instants: Sequence[tuple[Key, float]]) -> float | None:
    """When the process started; unknown, too, of a page that is put together from several processes."""
    starts = [value for (quantity, _), value in instants if quantity == "process_start_seconds"]
    return starts[0] if len(starts) == 1 else None


def _by_measure(layout: Layout, growth: Growth) -> Mapping[Key, float]:
    """Growth by what it measures: instances of one measure, such as the replicas of a server, add up."""
    total: dict[Key, float] = defaultdict(float)
    for measured in (*layout.process, *layout.hardware):
        if measured.series_id in growth.by:
            total[measured.measure.key] += growth.by[measured.series_id] * measured.measure.scale
    return dict(total)
