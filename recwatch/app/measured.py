"""Whether what a service promises is measured at all: an objective that nobody can judge must not look kept. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from recwatch.core.objective import Objective
from recwatch.core.recent import Recent

SCRAPES = 30
"""Scrapes that a target answered before a lack is called one: some servers show a counter only once it has counted."""

_BASES: Mapping[str, tuple[str, str]] = {
    "latency_p99_seconds": (
        "latency_bucket_increments",
        "p99 latency cannot be judged: no target has latency buckets that recwatch understands",
    ),
    "errors_ratio": (
        "requests_per_second",
        "errors cannot be judged: no target counts requests by outcome in a way that recwatch understands",
    ),
}
"""Of each signal that an objective may speak of, what must be there to measure it, and the sentence where it is not."""


def unmeasured(recent: Recent, service: str, objective: Objective | None) -> Mapping[str, str]:
    """The signals of the objective that were not measured in the last `SCRAPES` scrapes, each with the reason.

    Few requests are no such lack: what counts is whether there is something to measure them by. Empty while there were
    fewer scrapes that a target answered.
    """
    up = recent.of(service, "targets_up_ratio")
    if objective is None or up is None:
        return {}
    times, values = recent.rows(up.id)
    answered = times[values > 0][-SCRAPES:]
    if len(answered) < SCRAPES:
        return {}
    return {
        signal: _BASES[signal][1]
        for signal in objective.bounds()
        if not _read_since(recent, service, _BASES[signal][0], int(answered[0]))
    }


def _read_since(recent: Recent, service: str, signal: str, since_ms: int) -> bool:
    series = recent.of(service, signal)
    last = recent.last(series.id) if series else None
    return last is not None and last[0] >= since_ms
