"""What the demo's story sees of its service: figures, incidents and proposals, as the live view has them."""

from __future__ import annotations

from alerting.grouping import GroupingConfig
from recwatch.app.live import LiveView
from recwatch.app.report import Latencies
from recwatch.core.errors import Unavailable
from recwatch.core.event_json import E
from recwatch.core.events import Incident
from recwatch.core.proposals import Proposal
from tuning.intervals import Intervals

TURNS_ON = ("latency_p99_seconds", "latency_mean_seconds", "requests_per_second", "queue_depth")
AFTER_S = 10


class Witness:
    """Looks at one service."""

    def __init__(self, live: LiveView, service: str) -> None:
        self._live = live
        self._service = service

    def pulse(self) -> str:
        """The newest figures in words; empty before there are any."""
        rate = self._live.recent.values(self._service, "requests_per_second")
        p99 = self._live.recent.values(self._service, "latency_p99_seconds")
        shown = [f"{rate[-1]:.0f} requests/s"] if len(rate) else []
        return ", ".join([*shown, f"p99 {p99[-1] * 1000:.0f} ms"] if len(p99) else shown)

    def warm(self) -> bool:
        """Whether every method has seen enough of the signals that the story turns on."""
        recent = self._live.recent
        watched = [s for s in recent.series(self._service, "recwatch_warmup_ratio") if s.labels["signal"] in TURNS_ON]
        ratios = [last[1] for s in watched if (last := recent.last(s.id)) is not None]
        return len(ratios) > 0 and min(ratios) >= 1.0

    def latencies(self, since_ms: tuple[float, float, float], *, recovered: bool) -> Latencies:
        """p99 from the first to the second time given, from that to the third, and over the last seconds if it recovered."""
        intervals = Intervals.of(self._live.recent, self._service)
        baseline_ms, fault_ms, over_ms = since_ms
        before, during = intervals.between(baseline_ms, fault_ms), intervals.between(fault_ms, over_ms)
        return Latencies(_p99_ms(before), _p99_ms(during), _p99_ms(intervals.last(AFTER_S)) if recovered else None)

    def open_incident(self) -> Incident | None:
        return next((i for i in self._live.events(Incident) if i.state == "open"), None)

    def incident_at_hand(self, now_ms: int) -> Incident | None:
        """An incident that is open, or so fresh that trouble now would open it again."""
        since_ms = now_ms - 1000 * GroupingConfig().reopen_within_s
        return next((i for i in self._live.events(Incident) if i.end_ms is None or i.end_ms >= since_ms), None)

    def newest_proposal(self, incident_id: str | None) -> Proposal | None:
        """The last one that was made for this incident."""
        return next((p for p in reversed(self._live.events(Proposal)) if p.incident_id == incident_id), None)

    def event(self, kind: type[E], event_id: str | None) -> E:
        """The latest version of an event that was seen before."""
        event = self._live.event(kind, event_id) if event_id else None
        if event is None:
            raise Unavailable("The story lost track of an event that it had already seen.")
        return event


def _p99_ms(intervals: Intervals | None) -> float | None:
    p99_s = intervals.latency_s(0.99) if intervals is not None else None
    return None if p99_s is None else round(p99_s * 1000, 1)
