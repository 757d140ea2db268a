"""The recent scrape intervals of one service as aligned columns: what policies and verification look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recwatch.core.quantiles import quantile
from recwatch.core.recent import Recent, usual_interval_ms
from recwatch.core.signals import Float64, Int64, Series

SIGNALS = (
    "requests_per_second",
    "errors_ratio",
    "queue_depth",
    "queue_wait_mean_seconds",
    "batch_size_mean",
    "batch_duration_mean_seconds",
    "replicas",
    "cache_hit_ratio",
    "answer_quality_ratio",
)
BUCKETS = "latency_bucket_increments"


@dataclass(frozen=True, slots=True, eq=False)
class Intervals:
    """One row per scrape interval, stamped with its end; NaN where a signal was not read.

    `increments[i, j]` is how many requests of interval i were at most `le[j]` seconds slow.
    """

    time_ms: Int64
    columns: Mapping[str, Float64]
    le: tuple[float, ...]
    increments: Float64

    def __len__(self) -> int:
        return len(self.time_ms)

    @classmethod
    def of(cls, recent: Recent, service: str) -> Intervals:
        """Everything that `recent` keeps of the service's traffic."""
        buckets = sorted(((float(s.labels["le"]), s) for s in recent.series(service, BUCKETS)), key=lambda bucket: bucket[0])
        named = [(name, recent.of(service, name)) for name in SIGNALS]
        known: list[Series] = [series for _, series in named if series is not None]
        read = {series.id: recent.rows(series.id) for series in (*known, *(s for _, s in buckets))}
        times = np.unique(np.concatenate([np.array([], dtype=np.int64), *(t for t, _ in read.values())]))
        rows = {series_id: _aligned(times, *one) for series_id, one in read.items()}
        absent = np.full(len(times), np.nan)
        return cls(
            times,
            {name: absent if series is None else rows[series.id] for name, series in named},
            tuple(le for le, _ in buckets),
            np.nan_to_num(np.array([rows[s.id] for _, s in buckets]).reshape(len(buckets), len(times)).T),
        )

    @property
    def interval_ms(self) -> float:
        """The usual distance of two scrapes; 1000 until there are two."""
        return usual_interval_ms(self.time_ms)

    def between(self, start_ms: float, end_ms: float) -> Intervals:
        """The intervals that lie wholly (scrapes jitter, so nine tenths will do) after `start_ms` and end by `end_ms`."""
        return self._rows((self.time_ms - 0.9 * self.interval_ms >= start_ms) & (self.time_ms <= end_ms))

    def since(self, start_ms: float) -> Intervals:
        """The intervals that ended after `start_ms`."""
        return self._rows(self.time_ms > start_ms)

    def last(self, count: int) -> Intervals:
        return self._rows(np.arange(len(self)) >= len(self) - count)

    def values(self, name: str) -> Float64:
        """The readings of one signal, missing ones left out."""
        column = self.columns[name]
        return column[~np.isnan(column)]

    def mean(self, name: str) -> float | None:
        """Mean of the readings of one signal; None when there are none."""
        values = self.values(name)
        return float(values.mean()) if len(values) else None

    @property
    def requests(self) -> int:
        """Requests in the latency buckets."""
        return int(self.increments[:, -1].sum()) if self.le else 0

    def latency_s(self, q: float) -> float | None:
        """The quantile q of the latency of all these requests together, in seconds; None when there were none."""
        return quantile(self.le, self.increments.sum(axis=0).tolist(), q) if self.requests else None

    def p99s(self, requests: int) -> list[float]:
        """The p99 latency in seconds of each run of consecutive intervals that holds at least `requests` requests."""
        found: list[float] = []
        start = 0
        for end in range(1, len(self) + 1):
            run = self._rows(slice(start, end))
            if run.requests >= requests:
                found += [p99] if (p99 := run.latency_s(0.99)) is not None else []
                start = end
        return found

    def _rows(self, chosen: slice | np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> Intervals:
        columns = {name: column[chosen] for name, column in self.columns.items()}
        return Intervals(self.time_ms[chosen], columns, self.le, self.increments[chosen])


def _aligned(times: Int64, read_ms: Int64, values: Float64) -> Float64:
    column = np.full(len(times), np.nan)
    column[np.searchsorted(times, read_ms)] = values
    return column


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """The 5th, 50th and 95th percentile of some figures.

    >>> spread([1.0, 2.0, 3.0])
    (1.1, 2.0, 2.9)
    """
    low, mid, high = np.quantile(values, (0.05, 0.5, 0.95)).tolist()
    return low, mid, high
