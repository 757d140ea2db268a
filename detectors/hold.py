"""Remembers where a series was when it left its band, so that trouble which lasts is one anomaly and ends where it ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.panel import Place, Rows
from recwatch.core.signals import Float64, Int64

RETURN_RATIO = 0.5
"""Who left the band is back once it is within this share of its half-width."""
RETURN_ROWS = 5
LASTS_MS = 3_600_000.0
LEAST_ROWS = 12
MOST_ROWS = 300
"""A shift that lasted an hour is the new normal; however often the series is read, not before 12 readings nor after 300."""


class Hold:
    """Expected value and half-width at the moment of leaving, kept until the series is back or a shift is confirmed."""

    def __init__(self) -> None:
        self.rows = Rows(held=np.bool_(False), reference=0.0, half_width=1.0, age=0.0, back=0.0)

    def held(self, at: Place) -> npt.NDArray[np.bool_]:
        held: npt.NDArray[np.bool_] = self.rows["held"][at]
        return held

    def band(self, at: Place, expected: Float64, half_widths: Float64) -> tuple[Float64, Float64]:
        """The band given, with half-widths float64[2, n], and where the row is held the one to return to."""
        (held,) = self.held(at).nonzero()
        if not len(held):
            return expected, half_widths
        expected, half_widths = expected.copy(), half_widths.copy()
        expected[held] = self.rows["reference"][at][held]
        known = np.where(np.isnan(half_widths[:, held]), np.nan, 1.0)
        half_widths[:, held] = known * (RETURN_RATIO * self.rows["half_width"][at][held])
        return expected, half_widths

    def update(self, row: Int64, score: Float64, expected: Float64, half_width: Float64, step_ms: Float64) -> Int64:
        """Begin holding rows with a score of 1 or more, go on with those held or let them go; no other row may be given.

        The answer is where in `row` a shift is confirmed.
        """
        rows = self.rows
        held, outside = rows["held"][row], score >= 1.0
        age = np.where(held, rows["age"][row] + 1.0, 0.0)
        back = np.where(held & ~outside, rows["back"][row] + 1.0, 0.0)
        confirmed = held & (age > np.clip(LASTS_MS / step_ms, LEAST_ROWS, MOST_ROWS))
        begins = row[~held]
        rows["reference"][begins] = expected[~held]
        rows["half_width"][begins] = half_width[~held]
        rows["age"][row] = age
        rows["back"][row] = back
        rows["held"][row] = ~held | (~confirmed & (back < RETURN_ROWS))
        return np.flatnonzero(confirmed & (back < RETURN_ROWS))

    def state(self) -> dict[str, npt.NDArray[Any]]:
        return self.rows.state("hold.")

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        self.rows.restore(state, "hold.")
