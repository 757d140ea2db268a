"""What a series does at each quarter of an hour of the day (UTC), learnt from the days before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.panel import Place, Rows
from recwatch.core.signals import Float64, Int64

SLOTS = 96
SLOT_MS = 15 * 60 * 1000
NEWEST_DAY_WEIGHT = 0.3
BRIDGED_SLOTS = 8
"""Up to two hours from a reading to the next, the quarters between them lie on the straight line from one to the other."""


class DailyProfile:
    """The exponential mean over days of each row's mean in each quarter of an hour."""

    def __init__(self) -> None:
        self.rows = Rows(
            mean=np.zeros(SLOTS),
            days=np.zeros(SLOTS, dtype=np.int16),
            slot=np.int64(-1),
            total=0.0,
            readings=0.0,
            middle=np.nan,
            first=np.nan,
            second=np.nan,
        )

    def expected(self, at: Place, row: Int64, time_ms: Int64) -> Float64:
        """The profile at `time_ms`, float64[3, n]: on the line between the middles of two quarters, and their means.

        What comes by the clock has sharp edges, which a line does not. NaN where it saw no day yet.
        """
        position = time_ms / SLOT_MS - 0.5
        middle = np.floor(position)
        passed = middle != self.rows["middle"][at]
        if np.count_nonzero(passed):
            self._pass(row[passed], middle[passed])
        expected = np.empty((3, len(row)))
        line, first, second = expected
        first[:], second[:] = self.rows["first"][at], self.rows["second"][at]
        np.multiply(position - middle, second - first, out=line)
        line += first
        return expected

    def learn(self, at: Place, row: Int64, time_ms: Int64, value: Float64) -> None:
        """Add readings to their quarters; one enters the profile once it is over."""
        slot = time_ms // SLOT_MS
        (over,) = (slot != self.rows["slot"][at]).nonzero()
        if len(over):
            self._close(row[over], slot[over], value[over])
            self.rows["slot"][row[over]] = slot[over]
        self.rows["total"][at] += value
        self.rows["readings"][at] += 1.0

    def _pass(self, row: Int64, middle: Float64) -> None:
        """Keep at hand the means of the quarter whose middle was passed, and of the next."""
        before = middle.astype(np.int64) % SLOTS
        after = (before + 1) % SLOTS
        mean, days = self.rows["mean"], self.rows["days"]
        known = np.minimum(days[row, before], days[row, after]) > 0
        self.rows["first"][row] = np.where(known, mean[row, before], np.nan)
        self.rows["second"][row] = np.where(known, mean[row, after], np.nan)
        self.rows["middle"][row] = middle

    def _close(self, row: Int64, slot: Int64, value: Float64) -> None:
        """Enter the quarter that is over, and those without a reading between it and `slot`, which begins with `value`."""
        filled = np.flatnonzero(self.rows["readings"][row] > 0)
        row, slot, value = row[filled], slot[filled], value[filled]
        mean = self.rows["total"][row] / self.rows["readings"][row]
        over = self.rows["slot"][row]
        self._enter(row, over, mean)
        passed = slot - over
        for quarter in range(1, BRIDGED_SLOTS):
            bridged = np.flatnonzero((passed > quarter) & (passed <= BRIDGED_SLOTS))
            if not len(bridged):
                break
            share = quarter / passed[bridged]
            line = mean[bridged] + share * (value[bridged] - mean[bridged])
            self._enter(row[bridged], over[bridged] + quarter, line)
        self.rows["middle"][row] = np.nan
        self.rows["total"][row] = 0.0
        self.rows["readings"][row] = 0.0

    def _enter(self, row: Int64, slot: Int64, mean: Float64) -> None:
        """The mean of a quarter, which the profile learns."""
        slot = slot % SLOTS
        days = self.rows["days"][row, slot]
        weight = np.where(days == 0, 1.0, np.maximum(NEWEST_DAY_WEIGHT, 1.0 / (days + 1.0)))
        before = self.rows["mean"][row, slot]
        self.rows["mean"][row, slot] = before + weight * (mean - before)
        self.rows["days"][row, slot] = np.minimum(days + 1, 1000)

    def state(self) -> dict[str, npt.NDArray[Any]]:
        return self.rows.state("daily.")

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        self.rows.restore(state, "daily.")
