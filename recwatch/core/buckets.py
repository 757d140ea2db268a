"""Latency buckets of several services put together, though their bounds differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recwatch.core.quantiles import quantile
from recwatch.core.signals import Float64


@dataclass(frozen=True, slots=True, eq=False)
class Buckets:
    """`increments[i]` observations were at most `le_upper_bounds[i]`; bounds ascend and end in +Inf."""

    le_upper_bounds: Float64
    increments: Float64


def quantile_of_all(parts: Sequence[Buckets], q: float) -> float | None:
    """The value that a share `q` (0..1) of all observations does not exceed; None when there is none to speak of.

    Where a part has not a bound of another, its observations lie evenly in their bucket, as in `quantile`; those beyond its
    last finite bound are taken to be beyond all. So parts that have their bounds in common lose nothing.

    Ten requests of one service, five within 0.1 s, and ninety of another, all within 0.05 s: the slowest five are in +Inf.

    >>> fast = Buckets(np.array([0.05, np.inf]), np.array([90.0, 90.0]))
    >>> slow = Buckets(np.array([0.1, 0.2, np.inf]), np.array([5.0, 10.0, 10.0]))
    >>> round(quantile_of_all([fast, slow], 0.95), 3), round(quantile_of_all([slow], 0.9), 3)
    (0.1, 0.18)
    """
    bounds = np.unique(np.concatenate([part.le_upper_bounds for part in parts])) if parts else np.array([np.inf])
    increments = sum((_at(bounds, part) for part in parts), start=np.zeros(len(bounds)))
    return quantile(bounds.tolist(), increments.tolist(), q)


def _at(bounds: Float64, part: Buckets) -> Float64:
    """How many of the part's observations are at most each of `bounds`, which hold its own."""
    known, counts = part.le_upper_bounds[:-1], np.maximum.accumulate(part.increments)
    found: Float64 = np.interp(bounds, np.concatenate([[0.0], known]), np.concatenate([[0.0], counts[:-1]]))
    found[-1] = counts[-1]
    return found
