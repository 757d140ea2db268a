"""Two stretches of readings after the fact: how much slower one is than the other at the loads that both of them saw."""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np
import numpy.typing as npt

from detectors.latency_given_load import (
    KNOTS,
    KNOTS_PER_OCTAVE,
    LEAST_LOG2_LOAD,
    LOAD_SECONDS,
    LONGEST_SECONDS,
    MOST_HITS,
    SHORTEST_SECONDS,
)
from recwatch.core.signals import Float64, Int64

LEAST_ROWS = 30
NEAR_OCTAVES = 0.125
NEAR_ROWS = 5
"""A load was seen by a stretch that has so many readings so near to it."""
BLOCKS = 4
"""Of each stretch: few and long, for noise comes in runs, and what two blocks share counts as if they did not."""
STUDENT_T = 3.182
"""The two-sided 95 % quantile for one block less."""
FARTHEST = 2.5
"""A reading farther off than so many standard deviations counts as one at that distance."""
ROUNDS = 5
LEAST_DEVIATION = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """A service's readings of some time, the oldest first: `time_ms` int64[n], any kind of its latency and more, float64[n].

    `requests_per_second` is the load, `cache_hit_ratio` (0..1) is 0 where no cache is known. What is not finite, and a
    latency or load of 0, is left out.
    """

    time_ms: Int64
    latency_seconds: Float64
    requests_per_second: Float64
    cache_hit_ratio: Float64


@dataclass(frozen=True, slots=True)
class Difference:
    """Later over earlier latency, of geometric means, with its 95 % interval.

    `shared_ratio` (0..1) of the later readings tell of it.
    """

    ratio: float
    low: float
    high: float
    shared_ratio: float


@dataclass(frozen=True, slots=True)
class Incomparable:
    """Why two stretches cannot be compared, as a clause."""

    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """What counts of a stretch; logarithms."""

    log2_load: Float64
    log_misses: Float64
    log_latency: Float64

    def of(self, kept: npt.NDArray[np.bool_]) -> _Rows:
        return _Rows(self.log2_load[kept], self.log_misses[kept], self.log_latency[kept])

    def __len__(self) -> int:
        return len(self.log2_load)


def at_equal_load(earlier: Stretch, later: Stretch) -> Difference | Incomparable:
    """How many times as long answers take in the later stretch as in the earlier one, at equal load.

    The load is what reaches the model: requests that the cache does not answer, over about `LOAD_SECONDS`. The logarithm of
    latency is a piecewise linear function of its logarithm, plus a slope times that of the share of misses, plus what is
    wanted, fitted to the readings of either stretch whose load the other saw, too; by least squares in which outliers are
    drawn in (Huber's pseudo-values). The interval is a delete-a-block jackknife's (Künsch 1989), so noise may come in runs.

    >>> second, noise = np.arange(300), np.random.default_rng(1).normal(0.0, 0.02, (2, 300))
    >>> load, none = 100.0 + 40.0 * np.sin(second / 30.0), np.zeros(300)
    >>> v1 = Stretch(1000 * second, 0.0002 * load * np.exp(noise[0]), load, none)
    >>> v2 = Stretch(1000 * second, 0.0003 * (load + 30.0) * np.exp(noise[1]), load + 30.0, none)
    >>> found = at_equal_load(v1, v2)
    >>> round(found.ratio, 2), found.low < 1.5 < found.high
    (1.5, True)
    >>> at_equal_load(v1, Stretch(1000 * second, v2.latency_seconds, 9.0 * load, none))
    Incomparable(reason='0 readings before and 0 after are at loads that both saw, 30 are needed')
    """
    before, after = _rows(earlier), _rows(later)
    if min(len(before), len(after)) < LEAST_ROWS:
        return Incomparable(f"there are {len(before)} readings before and {len(after)} after, {LEAST_ROWS} are needed")
    seen = _near(after.log2_load, before.log2_load)
    both = before.of(_near(before.log2_load, after.log2_load)), after.of(seen)
    if min(map(len, both)) < LEAST_ROWS:
        return Incomparable(
            f"{len(both[0])} readings before and {len(both[1])} after are at loads that both saw, {LEAST_ROWS} are needed"
        )
    log_ratio, error = _fitted(*both)
    low, ratio, high = np.exp([log_ratio - STUDENT_T * error, log_ratio, log_ratio + STUDENT_T * error]).tolist()
    return Difference(ratio, low, high, float(seen.mean()))


def _rows(stretch: Stretch) -> _Rows:
    columns = np.array(astuple(stretch), dtype=np.float64)
    time_ms, latency, rate, hits = columns[:, np.isfinite(columns).all(axis=0) & (columns[1:3] > 0.0).all(axis=0)]
    misses = 1.0 - np.clip(hits, 0.0, MOST_HITS)
    log2_load = np.clip(
        np.log2(_lately(time_ms, rate * misses)), LEAST_LOG2_LOAD, LEAST_LOG2_LOAD + KNOTS / KNOTS_PER_OCTAVE
    )
    return _Rows(log2_load, np.log(misses), np.log(np.clip(latency, SHORTEST_SECONDS, LONGEST_SECONDS)))


def _lately(time_ms: Float64, load: Float64) -> Float64:
    """The exponential mean over `LOAD_SECONDS`: what one second brings is chance, and latency lags behind it."""
    newest = -np.expm1(-np.diff(time_ms, prepend=-np.inf) / (1000.0 * LOAD_SECONDS))
    means = np.empty(len(load))
    mean = 0.0
    for row, (share, value) in enumerate(zip(newest.tolist(), load.tolist(), strict=True)):
        mean += share * (value - mean)
        means[row] = mean
    return means


def _near(log2_load: Float64, others: Float64) -> npt.NDArray[np.bool_]:
    """Which of these loads were seen among `others`."""
    others = np.sort(others)
    below, above = (np.searchsorted(others, log2_load + apart) for apart in (-NEAR_OCTAVES, NEAR_OCTAVES))
    return above - below >= NEAR_ROWS


def _fitted(before: _Rows, after: _Rows) -> tuple[float, float]:
    """The logarithm of the ratio, and its standard error."""
    sides = np.repeat([0, 1], [len(before), len(after)])
    load, misses, latency = (np.concatenate([getattr(rows, name) for rows in (before, after)]) for name in _Rows.__slots__)
    design = np.column_stack([_hats(load), misses - misses.mean(), sides])
    drawn_in = _drawn_in(design, latency, sides)
    gram, target = design.T @ design, design.T @ drawn_in
    log_ratio = _last_coefficient(gram, target)
    blocks = np.concatenate([np.arange(len(rows)) * BLOCKS // len(rows) for rows in (before, after)])
    without = np.empty((2, BLOCKS))
    for side, block in np.ndindex(without.shape):
        rows = (sides == side) & (blocks == block)
        part = design[rows]
        without[side, block] = _last_coefficient(gram - part.T @ part, target - part.T @ drawn_in[rows])
    apart = without - without.mean(axis=1, keepdims=True)
    return log_ratio, float(np.sqrt((BLOCKS - 1) / BLOCKS * np.sum(apart**2)))


def _hats(log2_load: Float64) -> Float64:
    """A column for each knot, with the weights of linear interpolation between them."""
    least, span = log2_load.min(), float(np.ptp(log2_load))
    gaps = int(np.ceil(span * KNOTS_PER_OCTAVE))
    position = (log2_load - least) * (gaps / span if gaps else 0.0)
    weights: Float64 = np.maximum(1.0 - np.abs(position[:, None] - np.arange(gaps + 1)), 0.0)
    return weights


def _drawn_in(design: Float64, latency: Float64, sides: Int64) -> Float64:
    """The readings, those far off the curve moved to `FARTHEST` from it; each side by its own median deviation."""
    projection = np.linalg.pinv(design)
    drawn_in = latency
    for _ in range(ROUNDS):
        curve = design @ (projection @ drawn_in)
        off = latency - curve
        deviation = 1.4826 * np.array([np.median(np.abs(off[sides == side])) for side in (0, 1)])  # normal noise's own
        most = FARTHEST * np.maximum(deviation, LEAST_DEVIATION)[sides]
        drawn_in = curve + np.clip(off, -most, most)
    return drawn_in


def _last_coefficient(gram: Float64, target: Float64) -> float:
    return float(np.linalg.pinv(gram, hermitian=True)[-1] @ target)
