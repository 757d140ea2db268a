"""How often a series is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.panel import Place, Rows, within
from detectors.views import DAY_MS, FIRST_STEP_MS, NEVER_MS
from recwatch.core.signals import Float64, Int64

MOST_CHANGE = 0.1
"""One gap, or a clock that is set back, changes the usual step by no more than this share."""


class Pace:
    """The usual time between two readings of each row.

    >>> pace, row = Pace(), np.array([0])
    >>> for minute in (0, 1, 2):
    ...     pace.note(row, np.array([60_000 * minute]))
    >>> pace.rows_a_day(row)
    array([1440.])
    """

    BLANK: Mapping[str, npt.ArrayLike] = {"last_ms": NEVER_MS, "step_ms": np.float32(np.nan)}

    def __init__(self) -> None:
        self.rows = Rows(**self.BLANK)

    def note(self, at: Place, time_ms: Int64) -> None:
        """A reading of each row, at these times."""
        self.rows.reserve(at)
        last_ms, step_ms = self.rows["last_ms"][at], self.rows["step_ms"][at]
        passed_ms = np.maximum((time_ms - last_ms).astype(np.float64), 1.0)
        if np.count_nonzero(passed_ms != step_ms):
            usual = np.where(np.isnan(step_ms), passed_ms, step_ms + within(passed_ms - step_ms, MOST_CHANGE * step_ms))
            self.rows["step_ms"][at] = np.where(last_ms == NEVER_MS, np.nan, usual)
        self.rows["last_ms"][at] = time_ms

    def rows_a_day(self, at: Place) -> Float64:
        """Readings a day; before the second reading one a second is taken for granted."""
        step_ms = self.rows["step_ms"][at].astype(np.float64)
        return DAY_MS / np.where(np.isnan(step_ms), FIRST_STEP_MS, step_ms)

    def state(self, prefix: str = "") -> dict[str, npt.NDArray[Any]]:
        return self.rows.state(f"{prefix}pace.")

    def restore(self, state: Mapping[str, npt.NDArray[Any]], prefix: str = "") -> None:
        self.rows.restore(state, f"{prefix}pace.")
