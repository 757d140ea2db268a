"""How far the peaks of a series reach beyond a threshold, and where the band must end so that they seldom reach it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.panel import Place, Rows, rows_at
from detectors.tail import LEAST_EXCESS, LOG10_E
from recwatch.core.signals import Float64, Int64

NORMAL_EXCESS = 0.11
NORMAL_SQUARE = 0.022
"""Mean and mean square of ln(size / threshold) beyond the 99 % quantile of a normal distribution."""
MEMORY_PEAKS = 500.0
MOST_EXCESSES = 6.0
"""A peak teaches at most so many times the mean excess, as one in four hundred of a Pareto tail is: trouble is no noise."""
LEAST_INDEX = 1e-3
LARGEST_LOG = 100.0


class Peaks:
    """Peaks over a threshold, a run of readings beyond it having one, and the law of their sizes.

    The law is a generalised Pareto one. Its index is the moment estimator of Dekkers, Einmahl and de Haan ("A moment
    estimator for the index of an extreme-value distribution", 1989), held between 0, an exponential tail as noise that is
    normal has it, and the mean excess, which is that of a Pareto tail. A row begins with a tail that is normal, which weighs
    as much as `prior_peaks`.
    """

    BLANK: Mapping[str, np.float32] = {
        "ongoing": np.float32(0.0),
        "learnt": np.float32(0.0),
        "excess": np.float32(NORMAL_EXCESS),
        "square": np.float32(NORMAL_SQUARE),
    }

    def __init__(self, prior_peaks: float) -> None:
        self._prior_peaks = prior_peaks
        self.rows = Rows(**self.BLANK)

    def note(self, at: Place, log_excess: Float64) -> Int64:
        """Note ln(size / threshold) of a reading of each row, 0 within it; the answer is where a peak was learnt.

        A peak is learnt once its run is over. NaN says that the run is no noise, and its peak is forgotten.
        """
        self.rows.reserve(at)
        ongoing, within = self.rows["ongoing"][at], log_excess <= 0.0
        (over,) = (within & (ongoing > 0.0)).nonzero()
        if len(over):
            self._learn(rows_at(at, over), ongoing[over])
        self.rows["ongoing"][at] = np.where(within, 0.0, np.maximum(ongoing, log_excess))
        return over

    def _learn(self, row: Int64, peak: Float64) -> None:
        peak = np.minimum(peak, MOST_EXCESSES * self.rows["excess"][row])
        learnt = self.rows["learnt"][row] + 1.0
        share = 1.0 / np.minimum(learnt + self._prior_peaks, MEMORY_PEAKS)
        self.rows["learnt"][row] = learnt
        for column, value in (("excess", peak), ("square", peak * peak)):
            self.rows[column][row] += share * (value - self.rows[column][row])

    def reach(self, at: Place, rarity: Float64) -> Float64:
        """The size, in units of the threshold, that one peak in 10 to the power of `rarity`, float64[…, n], reaches.

        The mean excess counts with its standard error on top: too small an estimate costs more alarms than too large a one
        saves.

        For noise that is normal, and a threshold that is passed once in a hundred readings, one reading in 21,600:

        >>> peaks = Peaks(prior_peaks=15.0)
        >>> row = np.array([0])
        >>> _ = peaks.note(row, np.array([0.0]))
        >>> peaks.reach(row, np.array([np.log10(216.0)])).round(1)
        array([1.6])
        """
        excess, square = (self.rows[column][at].astype(np.float64) for column in ("excess", "square"))
        excess = np.maximum(excess, LEAST_EXCESS)
        alike = np.minimum(excess**2 / np.maximum(square, LEAST_EXCESS**2), 1.0 - LEAST_INDEX)
        learnt = self.rows["learnt"][at].astype(np.float64)
        index = np.minimum(np.maximum(excess + 1.0 - 0.5 / (1.0 - alike), 0.0), excess)
        index *= learnt
        index /= learnt + 0.5 * self._prior_peaks
        excess *= 1.0 + np.sqrt(learnt) / (learnt + self._prior_peaks)
        index = np.maximum(index, LEAST_INDEX)
        reach: Float64 = 1.0 + excess * np.expm1(np.minimum(index * rarity / LOG10_E, LARGEST_LOG)) / index
        return reach

    def state(self, prefix: str = "") -> dict[str, npt.NDArray[Any]]:
        return self.rows.state(f"{prefix}peaks.")

    def restore(self, state: Mapping[str, npt.NDArray[Any]], prefix: str = "") -> None:
        self.rows.restore(state, f"{prefix}peaks.")
