"""The model of a batching server: what a batch costs, what is asked of it, and what a change would give."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from recwatch.core.proposals import Interval
from recwatch.core.signals import Float64
from tuning.intervals import Intervals

Z90 = 1.645
HUBER = 1.345
ROUNDS = 5
# A busier machine takes longer for the same batch, and batches grow with the load: the slope holds some of that.
UNMODELLED_RATIO = 0.05
# Batching servers exist because the fixed part dominates: one more request rarely costs over half of its share of a batch.
PRIOR_RATIO = 0.25
CV_BOUNDS = (0.05, 1.0)


@dataclass(frozen=True, slots=True)
class BatchTime:
    """Batch service time S(b) = alpha + beta * b, known best around the sizes seen.

    `seconds` is the time of a batch of the mean size `size`; `beta_s` the seconds that one more request costs; `cv` the
    coefficient of variation of a batch's time, taken to be that of the intervals' means, as disturbances outlast batches.
    """

    size: float
    seconds: float
    beta_s: Interval
    cv: float

    def alpha_s(self, beta_s: float) -> float:
        """The fixed part of a batch's time if one more request costs `beta_s`."""
        return self.seconds - beta_s * self.size


def fit_batch_time(size: Float64, seconds: Float64, batches: Float64) -> BatchTime:
    """S(b) from the mean batch size and mean batch duration of intervals with `batches` batches each.

    Huber regression, which is exact on means because S is linear. Both parts of S are non-negative, so beta lies between
    0 and S(b)/b. The prior in that range is half a normal with a standard deviation of a quarter of S(b)/b; sizes that
    hardly differ leave it nearly as it is.

    >>> fit = fit_batch_time(np.array([1.0, 8.0, 16.0]), np.array([0.011, 0.018, 0.026]), np.full(3, 50.0))
    >>> round(fit.beta_s.mid, 3), round(fit.alpha_s(fit.beta_s.mid), 2)
    (0.001, 0.01)
    """
    weight = batches / batches.mean()
    trust = np.ones(len(size))
    for _ in range(ROUNDS):
        share = weight * trust / (weight * trust).sum()
        mean_size, mean_seconds = float(share @ size), float(share @ seconds)
        off_size = size - mean_size
        variance = float(share @ off_size**2)
        slope = float(share @ (off_size * seconds)) / variance if variance > 0 else 0.0
        residual = (seconds - mean_seconds - slope * off_size) * np.sqrt(weight)
        scale = 1.4826 * float(np.median(np.abs(residual)))
        trust = HUBER * scale / np.maximum(np.abs(residual), HUBER * scale) if scale > 0 else trust
    error = math.hypot(scale / math.sqrt(len(size)), UNMODELLED_RATIO * mean_seconds)
    doubt = error / math.sqrt(variance) if variance > 0 else math.inf
    cv = scale / mean_seconds
    return BatchTime(
        mean_size, mean_seconds, _believed(slope, doubt, mean_seconds / mean_size), min(max(cv, CV_BOUNDS[0]), CV_BOUNDS[1])
    )


def _believed(slope: float, error: float, most: float) -> Interval:
    """The 90 % interval of beta: prior times likelihood, which is a normal again, cut to 0..most."""
    scale = PRIOR_RATIO * most
    trust = 1.0 / (1.0 + (error / scale) ** 2)
    belief = NormalDist(trust * slope, scale * math.sqrt(1.0 - trust))
    floor, ceiling = belief.cdf(0.0), belief.cdf(most)
    if ceiling - floor < 1e-6:
        edge = min(max(belief.mean, 0.0), most)
        return Interval(edge, edge, edge)
    low, mid, high = (belief.inv_cdf(floor + level * (ceiling - floor)) for level in (0.05, 0.5, 0.95))
    return Interval(low, mid, high)


def batch_time(intervals: Intervals) -> BatchTime | None:
    """S(b) from intervals that saw batches; None from fewer than three."""
    size, seconds = intervals.columns["batch_size_mean"], intervals.columns["batch_duration_mean_seconds"]
    flow = intervals.columns["requests_per_second"] * (1.0 - np.nan_to_num(intervals.columns["cache_hit_ratio"]))
    seen = (size > 0) & (seconds > 0) & (flow > 0)
    if seen.sum() < 3:
        return None
    batches = flow[seen] / size[seen] * intervals.interval_ms / 1000.0
    return fit_batch_time(size[seen], seconds[seen], batches)


@dataclass(frozen=True, slots=True)
class Load:
    """What users ask: `offered_rps` requests per second, of which a share `hit_ratio` never reaches the batcher."""

    offered_rps: Interval
    hit_ratio: float

    def batched_rps(self, offered_rps: float) -> float:
        return offered_rps * (1.0 - self.hit_ratio)

    @property
    def batched_quantile(self) -> float:
        """The quantile of the batched requests that is the p99 of all requests, hits taking no time at all."""
        return max(0.0, (0.99 - self.hit_ratio) / (1.0 - self.hit_ratio)) if self.hit_ratio < 0.99 else 0.0


def offered_load(intervals: Intervals) -> Load | None:
    """The load behind these intervals: answered (the refused among them) and, while the queue grows, its growth.

    None without a request.
    """
    answered = intervals.values("requests_per_second")
    if not len(answered) or answered.max() <= 0:
        return None
    mid = float(np.median(answered)) + _growth_rps(intervals)
    error = Z90 * max(float(answered.std()), math.sqrt(mid)) / math.sqrt(len(answered))
    return Load(Interval(max(0.1, mid - error), mid, mid + error), min(1.0, intervals.mean("cache_hit_ratio") or 0.0))


def _growth_rps(intervals: Intervals) -> float:
    depth = intervals.columns["queue_depth"]
    seen = ~np.isnan(depth)
    if seen.sum() < 2:
        return 0.0
    return max(0.0, float(np.polyfit(intervals.time_ms[seen] / 1000.0 - intervals.time_ms[0] / 1000.0, depth[seen], 1)[0]))
