"""How rare a residual is in its own series: a Pareto tail, learnt as a stream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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
EVERY_KIND = slice(None)


@dataclass(frozen=True, slots=True, eq=False)
class Tails:
    """The tails of n rows as they are now, float64[kinds, n]: where each begins, its mean excess, and its steepness.

    The steepness is by how much rarer a size is for each unit of its logarithm. The rarity of a reading is −log10 of the
    share of readings that are as large: 3.6 is one in four thousand.
    """

    quantile: Float64
    excess: Float64
    steepness: Float64

    def rarity(self, log_size: Float64, kind: slice | int = EVERY_KIND) -> Float64:
        """How rare each size of these kinds is, float64[…, n]; below the quantile no more than a measure of how far."""
        rarity = log_size - self.quantile[kind]
        rarity *= self.steepness[kind]
        rarity += AT_QUANTILE
        return rarity

    def log_size(self, rarity: Float64, kind: int) -> Float64:
        """The logarithm of the size of a kind that is so rare, float64[n]."""
        log_size: Float64 = self.quantile[kind] + (rarity - AT_QUANTILE) * self.excess[kind] / LOG10_E
        return log_size


class ParetoTail:
    """The running 98 % quantile of ln(size) and the mean excess over it, which is exponential for a Pareto tail.

    A row has sizes of several kinds, each with a tail of its own. Everything is learnt from, the largest too: a tail that
    was shielded from what it flagged alarmed several times as often.
    """

    def __init__(self, kinds: int) -> None:
        one = np.ones(kinds)
        self.rows = Rows(quantile=NORMAL_LOG * one, excess=PRIOR_EXCESS * one, beyond=0.0 * one, since=np.inf * one)

    def of(self, at: Place) -> Tails:
        """What is known of the tails of rows until `learn` is called."""
        excess = self.rows["excess"][at].T
        return Tails(self.rows["quantile"][at].T, excess, LOG10_E / excess)

    def learn(self, at: Place, row: Int64, log_size: Float64, seen: Float64, memory_rows: Float64) -> None:
        """Learn a reading of each row, the `seen`-th; a row remembers about `memory_rows` readings.

        `log_size` is float64[kinds, n].
        """
        rows = self.rows
        quantile, since = rows["quantile"][at].T, rows["since"][at].T
        old = seen > YOUNG_ROWS
        (hits,) = ((log_size > quantile) & old).ravel().nonzero()
        remembered = np.maximum(np.minimum(seen + 1.5 * PRIOR_ROWS, memory_rows), PRIOR_ROWS)
        step = np.minimum(rows["excess"][at].T / (remembered * BEYOND_RATIO), LONGEST_STEP)
        moved = quantile - (BEYOND_RATIO * old) * step
        waited = since + 1.0
        if len(hits):
            hit = kind, at_hit = np.divmod(hits, len(row))
            weight = np.where(since[hit] < RUN_ROWS, RUN_WEIGHT, 1.0)
            over = log_size[hit] - quantile[hit]
            moved[hit] += step[hit] * weight
            waited[hit] = 0.0
            self._learn_excess((row[at_hit], kind), over, weight, memory_rows[at_hit])
        rows["quantile"][at] = moved.T
        rows["since"][at] = waited.T

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
