"""What the demo's story sees of its service: figures, incidents and proposals, as the API tells them."""

from __future__ import annotations

import numpy as np

from alerting.grouping import GroupingConfig
from recwatch.app.report import Latencies
from recwatch.client import Client
from recwatch.core.canonical import canonical_series
from recwatch.core.events import Incident
from recwatch.core.proposals import Proposal
from recwatch.core.recent import Recent
from recwatch.core.signals import Samples, Series, SeriesSet
from tuning.intervals import BUCKETS, Intervals

AFTER_S = 10


class Witness:
    """Looks at one service of the monitor whose API `client` asks."""

    def __init__(self, client: Client, service: str) -> None:
        self._client = client
        self._service = service

    def pulse(self) -> str:
        """The newest figures in words; empty before there are any."""
        whole_first = sorted(self._client.signals(self._service), key=lambda signal: -len(signal.labels))
        newest = {signal.name: signal.last_value for signal in whole_first}
        rate, p99_s = newest.get("requests_per_second"), newest.get("latency_p99_seconds")
        shown = [] if rate is None else [f"{rate:.0f} requests/s"]
        return ", ".join(shown if p99_s is None else [*shown, f"p99 {p99_s * 1000:.0f} ms"])

    def warm(self) -> bool:
        """Whether every method has seen enough of what users feel."""
        return any(s.name == self._service and s.state in ("healthy", "incident") for s in self._client.services())

    def latencies(self, since_ms: tuple[float, float, float], now_ms: int, *, recovered: bool) -> Latencies:
        """p99 from the first to the second time given, from that to the third, and over the last seconds if it recovered."""
        baseline_ms, fault_ms, over_ms = since_ms
        intervals = self._intervals(int(baseline_ms), now_ms)
        before, during = intervals.between(baseline_ms, fault_ms), intervals.between(fault_ms, over_ms)
        return Latencies(_p99_ms(before), _p99_ms(during), _p99_ms(intervals.last(AFTER_S)) if recovered else None)

    def open_incident(self) -> Incident | None:
        return next(iter(self._client.incidents(self._service, "open")), None)

    def incident_at_hand(self, now_ms: int) -> Incident | None:
        """An incident that is open, or so fresh that trouble now would open it again."""
        since_ms = now_ms - 1000 * GroupingConfig().reopen_within_s
        return next((i for i in self._client.incidents(self._service) if i.end_ms is None or i.end_ms >= since_ms), None)

    def newest_proposal(self, incident_id: str | None) -> Proposal | None:
        """The last one that was made for this incident."""
        return next((p for p in self._client.proposals(self._service) if p.incident_id == incident_id), None)

    def _intervals(self, start_ms: int, end_ms: int) -> Intervals:
        """The latency of every request of that time."""
        buckets = {s.series_id: s.labels["le"] for s in self._client.signals(self._service) if s.name == BUCKETS}
        known = {series_id: canonical_series(self._service, BUCKETS, {"le": le}) for series_id, le in buckets.items()}
        recent = Recent((end_ms - start_ms) / 1000)
        recent.learn(SeriesSet(self._service, tuple(known.values())))
        read = self._client.samples([*known], start_ms, end_ms)
        for series_id, columns in read.items():
            recent.append(_samples(known[series_id], columns.time_ms, columns.value))
        return Intervals.of(recent, self._service)


def _samples(series: Series, time_ms: list[int], value: list[float]) -> Samples:
    ids = np.full(len(time_ms), series.id, np.uint64)
    return Samples(series.service, "", np.array(time_ms, np.int64), ids, np.array(value, np.float64))


def _p99_ms(intervals: Intervals | None) -> float | None:
    p99_s = intervals.latency_s(0.99) if intervals is not None else None
    return None if p99_s is None else round(p99_s * 1000, 1)
