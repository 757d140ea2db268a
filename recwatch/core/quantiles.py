"""Quantiles of a histogram's buckets, by Prometheus's own rule."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise

from recwatch.core.errors import BadInput


def quantile(le_upper_bounds: Sequence[float], increments: Sequence[float], q: float) -> float | None:
    """The value that a share `q` (0..1) of the observations does not exceed; None when there is none to speak of.

    `le_upper_bounds` ascend and end in +Inf; `increments` are cumulative, as Prometheus's `_bucket` rows are: increments[i]
    observations were at most le_upper_bounds[i]. They may be sums over instances and over time. As in Prometheus's
    `histogram_quantile`, observations lie evenly in their bucket, the first bucket starts at 0, and a rank that falls into
    +Inf gives the last finite bound: a lower limit of the truth. Raises BadInput for bounds or a `q` that make no sense.

    Ten requests, five of them within 0.1 s: the rank of the 90th percentile is 9, four fifths through the second bucket.

    >>> quantile([0.1, 0.2, float("inf")], [5, 10, 10], 0.9)
    0.18
    >>> quantile([0.1, 0.2, float("inf")], [5, 8, 10], 0.9)
    0.2
    >>> quantile([0.1, 0.2, float("inf")], [0, 0, 0], 0.9) is None
    True
    """
    _check(le_upper_bounds, increments, q)
    cumulative = list(accumulate(increments, max))
    total = cumulative[-1]
    if total <= 0 or len(cumulative) < 2:
        return None
    rank = q * total
    bucket = max(bisect_left(cumulative, rank), _first_filled(cumulative))
    if bucket == len(cumulative) - 1:
        return le_upper_bounds[-2]
    upper = le_upper_bounds[bucket]
    if bucket == 0 and upper <= 0:
        return upper
    lower, below = (le_upper_bounds[bucket - 1], cumulative[bucket - 1]) if bucket else (0.0, 0.0)
    return lower + (upper - lower) * (rank - below) / (cumulative[bucket] - below)


def open_ended(value: float, le_labels: Iterable[str]) -> bool:
    """Whether a quantile of buckets with these `le` labels is but a lower limit of the truth: their last finite bound.

    >>> open_ended(10.0, ["5", "10", "+Inf"]), open_ended(9.9, ["5", "10", "+Inf"])
    (True, False)
    """
    finite = [bound for bound in map(float, le_labels) if bound < math.inf]
    return bool(finite) and value >= max(finite)


def _first_filled(cumulative: Sequence[float]) -> int:
    return next(index for index, count in enumerate(cumulative) if count > 0)


def _check(bounds: Sequence[float], increments: Sequence[float], q: float) -> None:
    if not 0 <= q <= 1:
        raise BadInput(f"quantile {q} is outside 0..1; give a share, such as 0.99")
    if len(bounds) != len(increments):
        raise BadInput(f"{len(bounds)} bucket bounds but {len(increments)} increments; give one increment for each bound")
    if not bounds or bounds[-1] != math.inf or any(a >= b for a, b in pairwise(bounds)):
        raise BadInput(f"bucket bounds {list(bounds)} must ascend and end in +Inf")
