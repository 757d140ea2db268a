"""Causes in what is served: a version that is slower, or answers worse."""

from __future__ import annotations

from alerting.rules.finding import Finding, equal_load, ramp
from alerting.view import View
from recwatch.core.events import Evidence

_TIMES = ("batch_duration_mean_seconds", "latency_p50_seconds", "latency_mean_seconds", "latency_p99_seconds")


def slow_version(view: View) -> Finding | None:
    """Slower at equal load, most telling right after a deploy.

    A deploy without slowness, or with slowness that came with more load, proves nothing. Without a deploy only model time
    that fuller batches cannot explain counts: time per batch is at most proportional to the size of the batch.
    """
    if not equal_load(view) or max(map(view.ratio, _TIMES)) < 1.2:
        return None
    deploys = view.marks_before("deploy")
    slower_model = view.ratio("batch_duration_mean_seconds") >= 1.2
    seen = view.evidence("batch_duration_mean_seconds", "latency_p50_seconds", "requests_per_second")
    if deploys:
        return Finding(0.95 if slower_model else 0.6, deploys + seen)
    per_request = view.ratio("batch_duration_mean_seconds") / max(1.0, view.ratio("batch_size_mean"))
    return Finding(0.4, (*seen, Evidence("no deploy is known near the start"))) if per_request >= 1.3 else None


def quality_loss(view: View) -> Finding | None:
    """Answers got worse, by a thirtieth to a tenth of what they were, and a detector rules out chance: few are judged."""
    strength = 0.9 * ramp(view.ratio("answer_quality_ratio"), 0.97, 0.9)
    if strength == 0 or "answer_quality_ratio" not in view.anomalous:
        return None
    return Finding(strength, view.evidence("answer_quality_ratio") + view.marks_before("deploy", "knob_change"))
