"""How one side compares with the other, when each measurement has a partner taken right before or after it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recwatch.core.signals import Float64

RESAMPLES = 2_000


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


def quantile_ratio(over: Sequence[Float64], under: Sequence[Float64], share: float, seed: int) -> Interval:
    """A quantile of all that `over` holds over the same of `under`, and where that ratio may lie.

    Both are blocks of measurements, each with its partner taken right before or after. The interval is the percentile
    bootstrap over whole pairs: it keeps partners together, and what disturbs a whole block counts as one event, not as many.

    >>> quantile_ratio([np.array([2.0, 4.0])] * 3, [np.array([1.0, 2.0])] * 3, 0.5, seed=0)
    Interval(mid=2.0, low=2.0, high=2.0)
    """
    if len(over) != len(under) or not over:
        raise ValueError(f"{len(over)} blocks have {len(under)} partners; give each one, and at least one pair")

    def ratio(pairs: Iterable[int]) -> float:
        chosen = list(pairs)
        above, below = (np.concatenate([side[pair] for pair in chosen]) for side in (over, under))
        return float(np.quantile(above, share) / np.quantile(below, share))

    drawn = np.random.default_rng(seed).integers(len(over), size=(RESAMPLES, len(over)))
    low, high = np.quantile([ratio(pairs) for pairs in drawn.tolist()], (0.025, 0.975))
    return Interval(ratio(range(len(over))), float(low), float(high))


def _ratios(over: npt.ArrayLike, under: npt.ArrayLike) -> Float64:
    above, below = np.asarray(over, dtype=np.float64), np.asarray(under, dtype=np.float64)
    if above.shape != below.shape or above.size == 0:
        raise ValueError(f"{above.size} measurements have {below.size} partners; give each one, and at least one pair")
    ratios: Float64 = above / below
    return ratios
