"""The last minutes of every canonical signal, in memory: what live views, diagnosis and tuning look at."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

import numpy as np

from recwatch.core.canonical import DERIVED, LATENCY_QUANTILES, TRAFFIC
from recwatch.core.quantiles import open_ended
from recwatch.core.signals import Float64, Int64, Samples, Series, SeriesSet

STALE_INTERVALS = 3
LEAST_STALE_MS = 5_000


class Recent:
    """Keeps `span_s` seconds of sample time per series. One thread writes; readers get copies.

    >>> from recwatch.core.canonical import canonical_series
    >>> depth = canonical_series("shop", "queue_depth")
    >>> recent = Recent(span_s=60)
    >>> recent.learn(SeriesSet("shop", (depth,)))
    >>> for second in range(3):
    ...     recent.append(Samples.of("shop", "", second * 1000, {depth.id: float(second)}))
    >>> recent.values("shop", "queue_depth")
    array([0., 1., 2.])
    """

    def __init__(self, span_s: float = 900.0) -> None:
        self._span_ms = int(span_s * 1000)
        self._series: dict[int, Series] = {}
        self._named: dict[str, dict[str, list[Series]]] = {}
        self._rows: dict[int, deque[tuple[int, float]]] = {}

    def learn(self, known: SeriesSet) -> None:
        """Take note of the series of a service."""
        for series in known.series:
            if series.id not in self._series:
                self._series[series.id] = series
                self._named.setdefault(series.service, {}).setdefault(series.name, []).append(series)

    def append(self, samples: Samples) -> None:
        """Add a batch; rows not newer than their series' last are left out."""
        for series_id, time_ms, value in zip(
            samples.series_id.tolist(), samples.time_ms.tolist(), samples.value.tolist(), strict=True
        ):
            rows = self._rows.setdefault(series_id, deque())
            if rows and time_ms <= rows[-1][0]:
                continue
            rows.append((time_ms, value))
            while rows[0][0] < time_ms - self._span_ms:
                rows.popleft()

    def series(self, service: str | None = None, name: str | None = None) -> list[Series]:
        """The known series, of one service or name if given; those of one name stand together."""
        services = list(self._named.values()) if service is None else [self._named.get(service, {})]
        of_name = [list(by_name.values()) if name is None else [by_name.get(name, [])] for by_name in services]
        return [series for lists in of_name for one in lists for series in list(one)]

    def of(self, service: str, name: str, labels: Mapping[str, str] | None = None) -> Series | None:
        """The series of this name whose labels include `labels` and few others: of the service rather than of a model."""
        wanted = (labels or {}).items()
        found = (s for s in self.series(service, name) if wanted <= s.labels.items())
        return min(found, key=lambda s: len(s.labels), default=None)

    def by_id(self, series_id: int) -> Series | None:
        return self._series.get(series_id)

    def rows(self, series_id: int, start_ms: int = 0, end_ms: int | None = None) -> tuple[Int64, Float64]:
        """`time_ms` and `value` of one series, start and end included."""
        kept = [(t, v) for t, v in list(self._rows.get(series_id, ())) if t >= start_ms and (end_ms is None or t <= end_ms)]
        return np.array([t for t, _ in kept], dtype=np.int64), np.array([v for _, v in kept], dtype=np.float64)

    def values(self, service: str, name: str) -> Float64:
        """The values of one signal of a service; empty when there are none."""
        series = self.of(service, name)
        return np.array([], dtype=np.float64) if series is None else self.rows(series.id)[1]

    def last(self, series_id: int) -> tuple[int, float] | None:
        """The newest `time_ms` and value of one series."""
        rows = self._rows.get(series_id)
        return rows[-1] if rows else None

    def open_ended(self, service: str, signal: str, value: float) -> bool:
        """Whether a reading is of a latency quantile, and but a lower limit of the truth by the service's buckets."""
        if signal not in LATENCY_QUANTILES:
            return False
        return open_ended(value, [s.labels["le"] for s in self.series(service, "latency_bucket_increments")])

    def last_ms(self, service: str) -> int | None:
        """The newest sample time of any of the service's canonical signals."""
        newest = [self._rows[s.id][-1][0] for s in self.series(service) if s.canonical and self._rows.get(s.id)]
        return max(newest, default=None)

    def traffic_ms(self, service: str) -> Int64:
        """When figures of the service's traffic were read, the oldest first."""
        found = (self.of(service, name) for name in TRAFFIC)
        return np.unique(np.concatenate([np.array([], np.int64), *(self.rows(s.id)[0] for s in found if s is not None)]))

    def interval_ms(self, service: str) -> float:
        """The usual time between two ticks of a service, each of which says how many of its targets are up."""
        up = self.of(service, "targets_up_ratio")
        return usual_interval_ms(self.rows(up.id)[0] if up else np.array([], np.int64))


def usual_interval_ms(time_ms: Int64) -> float:
    """The usual distance of two scrapes; 1000 until there are two.

    >>> usual_interval_ms(np.array([1_000, 6_000, 11_000, 31_000]))
    5000.0
    """
    return float(np.median(np.diff(time_ms))) if len(time_ms) > 1 else 1000.0


def stale_after_ms(interval_ms: float) -> float:
    """How old a reading may be before it tells nothing of now: three intervals, but never less than five seconds.

    >>> stale_after_ms(1_000.0), stale_after_ms(15_000.0)
    (5000.0, 45000.0)
    """
    return max(float(LEAST_STALE_MS), STALE_INTERVALS * interval_ms)


def absorb(recent: Recent, messages: Iterable[object]) -> None:
    """Feed series and samples of whole services, and judgements, to `recent`; a target's own are left to the store."""
    for message in messages:
        if isinstance(message, SeriesSet):
            kept = tuple(s for s in message.series if s.canonical or s.name in DERIVED)
            recent.learn(SeriesSet(message.service, kept))
        elif isinstance(message, Samples) and not message.target:
            recent.append(message)
