"""What is half way to the edge of a band and stays there: noise comes back, trouble does not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.panel import Place, Rows
from detectors.peaks import Peaks
from recwatch.core.signals import Float64, Int64

ROWS = 5
HALF_WAY = 0.5
MEMORY_ROWS = 10_000.0
PRIOR_PEAKS = 15.0
LEAST_RATE = 1e-12


class Sustained:
    """Scores that stay on one side: `ROWS` readings, each half way to the edge of a band, count as one at the edge.

    Noise that comes in runs does that by itself. How often it does and how far it goes then are learnt (`Peaks`), and the
    readings must be as far out as they seldom are.
    """

    def __init__(self) -> None:
        self._peaks = Peaks(PRIOR_PEAKS)
        self.rows = Rows(next=0, scores=np.zeros(ROWS), rate=np.float32(0.0))

    def score(self, at: Place, row: Int64, signed: Float64, rarity: Float64) -> Float64:
        """The score of the last readings together, from that of the newest with its side for a sign, NaN for none.

        It is 1 where what they share comes once in 10 to the power of `rarity` readings by chance.
        """
        self.rows.reserve(at)
        self._peaks.rows.reserve(at)
        slot, rate = self.rows["next"][at], self.rows["rate"][at]
        self.rows["scores"][row, slot] = np.where(np.isnan(signed), 0.0, signed)
        self.rows["next"][at] = (slot + 1) % ROWS
        last = self.rows["scores"][at].T
        ratio = np.maximum(np.minimum.reduce(last), -np.maximum.reduce(last)) / HALF_WAY
        seldom = np.maximum(rarity + np.log10(np.maximum(rate, LEAST_RATE)), 0.0)
        score: Float64 = ratio / self._peaks.reach(at, seldom)
        over = np.zeros(len(row), dtype=np.bool_)
        over[self._peaks.note(at, np.log(np.maximum(ratio, 1.0)))] = True
        self.rows["rate"][at] = rate + (over - rate) / MEMORY_ROWS
        return score

    def state(self) -> dict[str, npt.NDArray[Any]]:
        return {**self.rows.state("sustained."), **self._peaks.state("sustained.")}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        self.rows.restore(state, "sustained.")
        self._peaks.restore(state, "sustained.")
