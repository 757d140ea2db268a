"""Whether an applied change did what it should, from what was measured after it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from recwatch.core.objective import Objective
from recwatch.core.proposals import Proposal
from recwatch.core.signals import Float64
from tuning.config import VerifyConfig
from tuning.intervals import Intervals

LATENCY_NOISE_RATIO = 0.1
# Below the lowest of minutes, which has the wandering of a shadow sample in it already.
BELOW_LOWEST_QUALITY = 0.02
QUALITY_HISTORY_MS = 300_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a change. `p99_ms` is None until there was a look; `why` carries the figures."""

    outcome: Literal["waiting", "verified", "failed"]
    why: str
    p99_ms: float | None = None


def judge(proposal: Proposal, intervals: Intervals, objective: Objective, config: VerifyConfig) -> Verdict:
    """The verdict on the last action of `proposal` from all intervals so far.

    Every look is at one window from when the backlog is gone, so that waiting longer does not find a lucky stretch. The
    first is when the window is long enough and holds enough requests. Verified is a p99 and a share of errors within the
    objective, neither p99 nor quality worse than before. A p99 that became clearly better, yet not good enough, may be one
    stall of the machine: it is looked at again over twice the time, for as long as that fits into `longest_s`, and then
    kept, as undoing what helped would bring the trouble back. A window that stays too small is no proof, and a change
    without proof is undone.
    """
    applied_ms = proposal.actions[-1].time_ms
    start_ms = _settled_ms(intervals, applied_ms, objective, config)
    if start_ms is None:
        return Verdict("waiting", f"settling after {proposal.knob} was set to {proposal.to_value}")
    seen_s = (float(intervals.time_ms[-1]) - start_ms) / 1000.0
    before = _tail(intervals.between(applied_ms - 1000.0 * config.longest_s, applied_ms), config)
    usual_quality = intervals.between(applied_ms - QUALITY_HISTORY_MS, applied_ms).values("answer_quality_ratio")
    verdict: Verdict | None = None
    for window in _looks(intervals, start_ms, config):
        verdict = _compare(proposal, before, window, usual_quality, objective)
        if verdict.outcome != "waiting":
            return verdict
    if seen_s < config.longest_s:
        return verdict or Verdict("waiting", f"measuring {proposal.knob}={proposal.to_value} for {seen_s:.0f} s so far")
    if verdict is not None:
        return replace(verdict, outcome="verified")
    few = f"fewer than {config.requests} requests in {config.longest_s:.0f} s"
    return Verdict("failed", f"{few}: not enough to prove the change")


def _settled_ms(intervals: Intervals, applied_ms: int, objective: Objective, config: VerifyConfig) -> float | None:
    """When the backlog was gone: fewer wait than arrive within the objective, so a new one can be answered in time."""
    after = intervals.since(applied_ms + 1000.0 * config.settle_s)
    depth, answered = after.columns["queue_depth"], after.columns["requests_per_second"]
    limit_ms = applied_ms + 1000.0 * config.settle_limit_s
    for time_ms, waiting, rps in zip(after.time_ms.tolist(), depth.tolist(), answered.tolist(), strict=True):
        backlog = waiting > 1.0 and waiting > rps * objective.latency_p99_seconds
        if not backlog or time_ms >= limit_ms:
            return float(time_ms)
    return None


def _looks(intervals: Intervals, start_ms: float, config: VerifyConfig) -> Iterator[Intervals]:
    """The shortest window from `start_ms` on that is long enough and holds enough requests; then each twice as long."""
    next_s = config.shortest_s
    for end_ms in intervals.since(start_ms).time_ms.tolist():
        window, length_s = intervals.between(start_ms, end_ms), (end_ms - start_ms) / 1000.0
        if length_s > config.longest_s:
            return
        if length_s >= next_s and window.requests >= config.requests:
            next_s = 2.0 * length_s
            yield window


def _tail(before: Intervals, config: VerifyConfig) -> Intervals:
    """The newest intervals of `before` that hold as many requests as a verdict needs."""
    count = 1
    while count < len(before) and before.last(count).requests < config.requests:
        count += 1
    return before.last(count)


def _compare(
    proposal: Proposal, before: Intervals, after: Intervals, usual_quality: Float64, objective: Objective
) -> Verdict:
    """The verdict of one look; `waiting` where only the latency falls short, and is clearly better than before."""
    p99, was = after.latency_s(0.99), before.latency_s(0.99)
    if p99 is None:
        return Verdict("failed", "no latency was measured after the change")
    harm = [
        *_error_faults(after.mean("errors_ratio"), objective),
        *_quality_faults(usual_quality, after.mean("answer_quality_ratio")),
    ]
    figures = f"p99 {1000 * p99:.0f} ms over {after.requests} requests, {_against_prediction(proposal, 1000 * p99)}"
    faults = [*_latency_faults(p99, was, objective), *harm]
    if not faults:
        bound_ms = 1000 * objective.latency_p99_seconds
        return Verdict("verified", f"{figures}; within the objective of {bound_ms:.0f} ms", 1000.0 * p99)
    helped = was is not None and p99 < (1 - LATENCY_NOISE_RATIO) * was and not harm
    return Verdict("waiting" if helped else "failed", f"{figures}; {'; '.join(faults)}", 1000.0 * p99)


def _latency_faults(p99: float, before: float | None, objective: Objective) -> list[str]:
    bound = objective.latency_p99_seconds
    missed = [f"above the objective of {1000 * bound:.0f} ms"] if p99 > bound else []
    worse = before is not None and p99 > (1 + LATENCY_NOISE_RATIO) * before
    return missed + ([f"worse than the {1000 * before:.0f} ms before"] if before is not None and worse else [])


def _error_faults(errors: float | None, objective: Objective) -> list[str]:
    if errors is None or errors <= objective.errors_ratio:
        return []
    return [f"{errors:.1%} errors, above the objective of {objective.errors_ratio:.1%}"]


def _quality_faults(before: Float64, after: float | None) -> list[str]:
    """A shadow sample wanders: its quality has fallen when its mean is clearly below all that it was in minutes before."""
    if not len(before) or after is None or after >= before.min() - BELOW_LOWEST_QUALITY:
        return []
    return [f"quality fell to {after:.3f}; it was {before.min():.3f} at the lowest in the minutes before"]


def _against_prediction(proposal: Proposal, p99_ms: float) -> str:
    promised = proposal.predicted.p99_ms
    inside = promised.low <= p99_ms <= promised.high
    return f"{'as' if inside else 'outside what was'} predicted ({promised.low:.0f} to {promised.high:.0f} ms)"
