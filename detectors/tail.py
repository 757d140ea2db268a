"""How rare a residual is in its own series: a Pareto tail, learnt as a stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.panel import Place, Rows
from recwatch.core.signals import Float64, Int64

LOG10_E = float(np.log10(np.e))
BEYOND_RATIO = 0.02
"""Share of the readings that lie in the tail: few enough to be one, many enough to learn it from in an hour or a day."""
AT_QUANTILE = -float(np.log10(BEYOND_RATIO))
NORMAL_LOG = 1.1
"""Where the tail of a normal distribution begins: ln of its 98 % quantile of |residual| over the mean of that."""
PRIOR_EXCESS = 0.35
"""The mean of ln(size) beyond the quantile, before anything is known: between a normal (0.15) and a wild series (1)."""
PRIOR_ROWS = 50.0
LEAST_EXCESS = 0.05
RUN_ROWS = 5
RUN_WEIGHT = 0.3
"""A reading in the tail at most `RUN_ROWS` after another is mostly the same event, and teaches less than the first."""
LONGEST_STEP = 0.5
YOUNG_ROWS = 10
"""Before so many readings nobody knows the scale that sizes are measured in."""


class ParetoTail:
    """The running 98 % quantile of ln(size) and the mean excess over it, which is exponential for a Pareto tail.

    A row has sizes of several kinds, each with a tail of its own: arrays of sizes and rarities are float64[…, kinds, n].
    The rarity of a reading is −log10 of the share of readings that are as large: 3.6 is one in four thousand. Everything is
    learnt from, the largest too: a tail that was shielded from what it flagged alarmed several times as often.
    """

    def __init__(self, kinds: int) -> None:
        one = np.ones(kinds)
        self.rows = Rows(quantile=NORMAL_LOG * one, excess=PRIOR_EXCESS * one, beyond=0.0 * one, since=np.inf * one)

    def rarity(self, at: Place, log_size: Float64) -> Float64:
        """How rare each size is; below the quantile no more than a measure of how far."""
        quantile, excess = self.rows["quantile"][at].T, self.rows["excess"][at].T
        rarity: Float64 = AT_QUANTILE + LOG10_E * (log_size - quantile) / excess
        return rarity

    def log_size(self, at: Place, rarity: Float64) -> Float64:
        """The logarithm of the size that is so rare."""
        quantile, excess = self.rows["quantile"][at].T, self.rows["excess"][at].T
        log_size: Float64 = quantile + (rarity - AT_QUANTILE) * excess / LOG10_E
        return log_size

    def steepness(self, at: Place) -> Float64:
        """How much rarer a size is for each unit of its logarithm."""
        steepness: Float64 = LOG10_E / self.rows["excess"][at].T
        return steepness

    def learn(self, at: Place, row: Int64, log_size: Float64, seen: Float64, memory_rows: Float64) -> None:
        """Learn a reading of each row, the `seen`-th; a row remembers about `memory_rows` readings."""
        rows = self.rows
        quantile, excess, since = rows["quantile"][at].T, rows["excess"][at].T, rows["since"][at].T
        old = seen > YOUNG_ROWS
        in_tail = (log_size > quantile) & old
        remembered = np.maximum(np.minimum(seen + 1.5 * PRIOR_ROWS, memory_rows), PRIOR_ROWS)
        step = np.minimum(excess / (remembered * BEYOND_RATIO), LONGEST_STEP)
        moved = quantile - (BEYOND_RATIO * old) * step
        hit = np.nonzero(in_tail)
        if len(hit[0]):
            weight = np.where(since[hit] < RUN_ROWS, RUN_WEIGHT, 1.0)
            over = log_size[hit] - quantile[hit]
            moved[hit] += step[hit] * weight
            self._learn_excess((row[hit[1]], hit[0]), over, weight, memory_rows[hit[1]])
        rows["quantile"][at] = moved.T
        rows["since"][at] = np.where(in_tail, 0.0, since + 1.0).T

    def _learn_excess(self, place: tuple[Int64, Int64], over: Float64, weight: Float64, memory_rows: Float64) -> None:
        """Learn by how much the readings at (row, kind), which lie in the tail, are beyond its beginning."""
        excess = self.rows["excess"][place]
        beyond = self.rows["beyond"][place] + weight
        known = np.minimum(beyond + PRIOR_ROWS, np.maximum(memory_rows * BEYOND_RATIO, 20.0))
        self.rows["beyond"][place] = beyond
        self.rows["excess"][place] = np.maximum(excess + weight * (over - excess) / known, LEAST_EXCESS)

    def state(self) -> dict[str, npt.NDArray[Any]]:
        return self.rows.state("tail.")

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        self.rows.restore(state, "tail.")
