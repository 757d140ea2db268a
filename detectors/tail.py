"""How rare a residual is in its own series: a Pareto tail, learnt as a stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.panel import Place, Rows
from recwatch.core.signals import Float64

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

    A row has sizes of several kinds, each with a tail of its own: arrays of sizes and rarities are float64[…, n, kinds].
    The rarity of a reading is −log10 of the share of readings that are as large: 3.6 is one in four thousand. Everything is
    learnt from, the largest too: a tail that was shielded from what it flagged alarmed several times as often.
    """

    def __init__(self, kinds: int) -> None:
        one = np.ones(kinds)
        self.rows = Rows(quantile=NORMAL_LOG * one, excess=PRIOR_EXCESS * one, beyond=0.0 * one, since=np.inf * one)

    def rarity(self, at: Place, log_size: Float64) -> Float64:
        """How rare each size is; below the quantile no more than a measure of how far."""
        quantile, excess = self.rows["quantile"][at], self.rows["excess"][at]
        rarity: Float64 = AT_QUANTILE + LOG10_E * (log_size - quantile) / excess
        return rarity

    def log_size(self, at: Place, rarity: Float64) -> Float64:
        """The logarithm of the size that is so rare."""
        quantile, excess = self.rows["quantile"][at], self.rows["excess"][at]
        log_size: Float64 = quantile + (rarity - AT_QUANTILE) * excess / LOG10_E
        return log_size

    def steepness(self, at: Place) -> Float64:
        """How much rarer a size is for each unit of its logarithm."""
        steepness: Float64 = LOG10_E / self.rows["excess"][at]
        return steepness

    def learn(self, at: Place, log_size: Float64, seen: Float64, memory_rows: Float64) -> None:
        """Learn a reading of each row, the `seen`-th; a row remembers about `memory_rows` readings, both float64[n, 1]."""
        quantile, excess, since = (self.rows[name][at] for name in ("quantile", "excess", "since"))
        old = seen > YOUNG_ROWS
        over = np.where(old, log_size - quantile, 0.0)
        weight = np.where(over > 0.0, np.where(since < RUN_ROWS, RUN_WEIGHT, 1.0), 0.0)
        rows = np.minimum(seen + 1.5 * PRIOR_ROWS, memory_rows)
        step = np.minimum(excess / (np.maximum(rows, PRIOR_ROWS) * BEYOND_RATIO), LONGEST_STEP)
        beyond = self.rows["beyond"][at] + weight
        known = np.minimum(beyond + PRIOR_ROWS, np.maximum(memory_rows * BEYOND_RATIO, 20.0))
        learnt = np.maximum(excess + weight * (over - excess) / known, LEAST_EXCESS)
        self.rows["since"][at] = np.where(over > 0.0, 0.0, since + 1.0)
        self.rows["beyond"][at] = beyond
        self.rows["quantile"][at] = quantile + old * step * (weight - BEYOND_RATIO)
        self.rows["excess"][at] = learnt

    def state(self) -> dict[str, npt.NDArray[Any]]:
        return self.rows.state("tail.")

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        self.rows.restore(state, "tail.")
