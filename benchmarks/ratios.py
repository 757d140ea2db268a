"""How one side compares with the other, when each measurement has a partner taken right before or after it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recwatch.core.signals import Float64

RESAMPLES = 10_000


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and the ends of its 95 % interval."""

    mid: float
    low: float
    high: float


def median_ratio(over: npt.ArrayLike, under: npt.ArrayLike) -> float:
    """The median over all pairs of `over` / `under`, of which each has one.

    >>> median_ratio([2.0, 3.0, 50.0], [1.0, 2.0, 10.0])
    2.0
    """
    return float(np.median(_ratios(over, under)))


def median_ratio_interval(over: npt.ArrayLike, under: npt.ArrayLike, seed: int) -> Interval:
    """The median ratio, and where it may lie: the percentile bootstrap over pairs, which keeps partners together.

    >>> median_ratio_interval([2.0, 4.0], [1.0, 2.0], seed=0)
    Interval(mid=2.0, low=2.0, high=2.0)
    """
    ratios = _ratios(over, under)
    drawn = np.random.default_rng(seed).choice(ratios, (RESAMPLES, len(ratios)))
    low, high = np.quantile(np.median(drawn, axis=1), (0.025, 0.975))
    return Interval(float(np.median(ratios)), float(low), float(high))


def _ratios(over: npt.ArrayLike, under: npt.ArrayLike) -> Float64:
    above, below = np.asarray(over, dtype=np.float64), np.asarray(under, dtype=np.float64)
    if above.shape != below.shape or above.size == 0:
        raise ValueError(f"{above.size} measurements have {below.size} partners; give each one, and at least one pair")
    ratios: Float64 = above / below
    return ratios
