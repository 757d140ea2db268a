"""What a rule says."""

from __future__ import annotations

from dataclasses import dataclass

from alerting.view import View
from recwatch.core.events import Evidence


@dataclass(frozen=True, slots=True)
class Finding:
    """How strongly a cause is suspected, 0..1, were it the only one looked at; and why."""

    strength: float
    evidence: tuple[Evidence, ...]


def ramp(value: float, none_at: float, full_at: float) -> float:
    """0 at or before `none_at`, 1 at or beyond `full_at`, linear between; either may be the larger.

    >>> ramp(1.0, 1.2, 1.6), ramp(2.0, 1.2, 1.6), ramp(0.5, 1.0, 0.0)
    (0.0, 1.0, 0.5)
    """
    return min(1.0, max(0.0, (value - none_at) / (full_at - none_at)))


def equal_load(view: View) -> bool:
    """Whether the load is no more than a fifth above what it was. Less counts as equal: a slowed service answers less."""
    return view.ratio("requests_per_second") <= 1.2


def waiting(view: View) -> bool:
    """Whether requests wait clearly more: the queue doubled and grew by three, or the wait doubled and grew by 5 ms."""
    return _doubled(view, "queue_depth", by=3) or _doubled(view, "queue_wait_mean_seconds", by=0.005)


def _doubled(view: View, signal: str, by: float) -> bool:
    rise, now = view.rise(signal), view.now(signal)
    return now is not None and rise >= by and rise >= 0.5 * now
