"""What a series does at each quarter of an hour of the day (UTC), learnt from the days before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.panel import Rows
from recwatch.core.signals import Float64, Int64

QUARTERS = 96
QUARTER_MS = 15 * 60 * 1000
DAYS_BEFORE_USE = 2
NEWEST_DAY_WEIGHT = 0.3


class DailyProfile:
    """The exponential mean over days of each row's mean in each quarter of an hour."""

    def __init__(self) -> None:
        self.rows = Rows(
            mean=np.zeros(QUARTERS),
            days=np.zeros(QUARTERS, dtype=np.int16),
            quarter=np.int64(-1),
            total=0.0,
            readings=0.0,
            learnt=np.bool_(False),
        )

    def expected(self, row: Int64, time_ms: Int64) -> Float64 | None:
        """The profile at `time_ms`, NaN where it saw too few days; None when that is so of every row."""
        self.rows.reserve(row)
        if not self.rows["learnt"][row].any():
            return None
        slot = (time_ms // QUARTER_MS) % QUARTERS
        return np.where(self.rows["days"][row, slot] >= DAYS_BEFORE_USE, self.rows["mean"][row, slot], np.nan)

    def learn(self, row: Int64, time_ms: Int64, value: Float64) -> None:
        """Add readings to their quarters; a quarter enters the profile once it is over."""
        quarter = time_ms // QUARTER_MS
        over = np.flatnonzero(quarter != self.rows["quarter"][row])
        if len(over):
            self._close(row[over])
            self.rows["quarter"][row[over]] = quarter[over]
        self.rows["total"][row] += value
        self.rows["readings"][row] += 1.0

    def _close(self, row: Int64) -> None:
        filled = row[self.rows["readings"][row] > 0]
        slot = self.rows["quarter"][filled] % QUARTERS
        mean = self.rows["total"][filled] / self.rows["readings"][filled]
        days = self.rows["days"][filled, slot]
        weight = np.where(days == 0, 1.0, np.maximum(NEWEST_DAY_WEIGHT, 1.0 / (days + 1.0)))
        before = self.rows["mean"][filled, slot]
        self.rows["mean"][filled, slot] = before + weight * (mean - before)
        self.rows["days"][filled, slot] = np.minimum(days + 1, DAYS_BEFORE_USE * 100)
        self.rows["learnt"][filled] |= days + 1 >= DAYS_BEFORE_USE
        self.rows["total"][row] = 0.0
        self.rows["readings"][row] = 0.0

    def state(self) -> dict[str, npt.NDArray[Any]]:
        return self.rows.state("daily.")

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        self.rows.restore(state, "daily.")
