"""Changes of level after the fact: those that were sure when they came, dated again with the levels on both sides known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log

import numpy as np

from detectors.change_points import LARGEST, SURE, ChangePoints
from recwatch.core.signals import Float64

LEAST_NOISE_RATIO = 0.001
"""Noise is taken to be at least such a share of a change, so that one of a flat line can be dated too."""


@dataclass(frozen=True, slots=True)
class DatedChange:
    """A change of level: `row`, counted from 0, is most likely the first of the new one.

    That lies between `earliest`, which is 1 at least, and `latest` with a probability of 0.9. `before` and `after` are the
    medians of the readings on either side: since the change before, and until the next, where it is one of several.
    """

    row: int
    earliest: int
    latest: int
    before: float
    after: float


def dated_changes(values: Float64) -> list[DatedChange]:
    """The changes of level in a whole series of finite readings, float64[n], that are larger than its noise; oldest first.

    >>> dated_changes(np.repeat([7.0, 10.0], 30))
    [DatedChange(row=30, earliest=30, latest=30, before=7.0, after=10.0)]
    """
    values = np.clip(values, -LARGEST, LARGEST)
    scan = ChangePoints()
    seen = [scan.update(value) for value in values.tolist()]
    sure = [change.row for change in seen if change is not None and change.probability >= SURE]
    edges = _that_matter(values, [0, *sure, len(values)])
    changes: list[DatedChange] = []
    for (before, after), end in zip(pairwise(_levels(values, edges)), edges[2:], strict=True):
        changes.append(_dated(values, changes[-1].row if changes else 0, end, before, after))
    return changes


def dated_change(values: Float64, old: int, new: int) -> DatedChange | None:
    """The change of level in finite readings, of which the first `old` and the last `new` (1 at least) are on its two sides.

    None where the levels differ by no more than the noise.

    >>> dated_change(np.repeat([7.0, 10.0], 30), old=20, new=5)
    DatedChange(row=30, earliest=30, latest=30, before=7.0, after=10.0)
    """
    values = np.clip(values, -LARGEST, LARGEST)
    sides = values[:old], values[-new:]
    before, after = (float(np.median(side)) for side in sides)
    noise = max(_noise(np.abs(side - level)) for side, level in zip(sides, (before, after), strict=True))
    return _dated(values, 0, len(values), before, after) if abs(after - before) > noise else None


def _that_matter(values: Float64, edges: list[int]) -> list[int]:
    """The edges of the levels without those between two that differ by no more than their noise, the least change first."""
    while len(edges) > 2:
        levels = _levels(values, edges)
        around = zip(pairwise(edges), levels, strict=True)
        noise = [_noise(np.abs(values[start:end] - level)) for (start, end), level in around]
        excess = np.abs(np.diff(levels)) - np.maximum(noise[:-1], noise[1:])
        least = int(np.argmin(excess))
        if excess[least] > 0.0:
            break
        edges = edges[: least + 1] + edges[least + 2 :]
    return edges


def _levels(values: Float64, edges: Sequence[int]) -> list[float]:
    return [float(np.median(values[start:end])) for start, end in pairwise(edges) if start < end]


def _noise(distance: Float64) -> float:
    """The mean of exponential distances that have the median of these: so outliers do not count."""
    return float(np.median(distance)) / log(2.0)


def _dated(values: Float64, start: int, end: int, before: float, after: float) -> DatedChange:
    """The posterior of the one change between known levels in `values[start:end]`, in noise of Laplace's distribution."""
    from_before, from_after = np.abs(values[start:end] - before), np.abs(values[start:end] - after)
    noise = max(_noise(np.minimum(from_before, from_after)), LEAST_NOISE_RATIO * abs(after - before))
    # For each row that may be the first of the new level, readings before it are of the old one.
    cost = np.cumsum(from_before - from_after)[:-1] / noise
    share = np.cumsum(np.exp(cost.min() - cost))
    earliest, latest = np.searchsorted(share, share[-1] * np.array([0.05, 0.95])).tolist()
    first = start + 1
    return DatedChange(first + int(np.argmin(cost)), first + earliest, first + latest, before, after)
