"""Causes in what is asked of the service: more requests, other requests, or a misfit of requests and resources."""

from __future__ import annotations

from alerting.rules.finding import Finding, equal_load, ramp, waiting
from alerting.view import View
from recwatch.core.events import Evidence
from recwatch.core.wording import figure


def load_surge(view: View) -> Finding | None:
    """More requests than before, from a sixth more to half as many again."""
    strength = 0.9 * ramp(view.ratio("requests_per_second"), 1.15, 1.5)
    if strength == 0:
        return None
    seen = view.evidence("requests_per_second", "queue_depth", "replicas_busy_ratio")
    return Finding(strength, seen + _batches_explained(view))


def _batches_explained(view: View) -> tuple[Evidence, ...]:
    size, spent = view.readings.get("batch_size_mean"), view.readings.get("batch_duration_mean_seconds")
    if size is None or spent is None or None in (size.before, size.now, spent.before, spent.now):
        return ()
    if size.ratio < 1.1 or spent.ratio > 1.1 * size.ratio:
        return ()
    said = (
        f"batches of {size.now:.3g} requests take {figure(spent.now or 0, spent.unit)}, "
        f"those of {size.before:.3g} took {figure(spent.before or 0, spent.unit)}: explained by load"
    )
    return (Evidence(said, spent.series, spent.now, spent.before),)


def capacity(view: View) -> Finding | None:
    """Requests wait and every replica is busy, whatever the load: there is not enough of it."""
    busy = view.now("replicas_busy_ratio")
    if not waiting(view) or (busy is not None and busy < 0.9):
        return None
    seen = view.evidence("replicas_busy_ratio", "queue_depth", "queue_wait_mean_seconds", "requests_per_second")
    return Finding(0.3 if busy is None else 0.5, seen)


def batching_misfit(view: View) -> Finding | None:
    """Requests wait while replicas are free, or batches shrank under equal load: the limits of batching do not fit."""
    if not waiting(view) or not equal_load(view):
        return None
    busy = view.now("replicas_busy_ratio")
    idle, shrunk = busy is not None and busy < 0.75, view.ratio("batch_size_mean") <= 0.7
    if not (idle or shrunk):
        return None
    knobs = view.marks_before("knob_change")
    seen = view.evidence("queue_wait_mean_seconds", "queue_depth", "batch_size_mean", "replicas_busy_ratio")
    return Finding(0.85 if knobs else 0.6, knobs + seen)


def cache_miss_storm(view: View) -> Finding | None:
    """The cache answers clearly less, from a tenth to a third of all look-ups."""
    strength = 0.85 * ramp(-view.rise("cache_hit_ratio"), 0.1, 0.35)
    if strength == 0:
        return None
    return Finding(strength, view.evidence("cache_hit_ratio", "requests_per_second", "queue_depth"))
