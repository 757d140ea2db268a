"""What a series will be some minutes from now, and how far off that may be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.daily_profile import DailyProfile
from detectors.panel import LARGEST, Batch, Judges, Place, Rows, within
from recwatch.core.signals import Float64, Int64, Judgement

HORIZON_S = 600.0
LEVEL_SHARE = 0.3
"""The level follows readings over a third of the horizon: what is gone by then is noise to the forecast."""
SLOTS = 20
"""Forecasts are kept until their time comes, the latest of each twentieth of the horizon."""
COVERED_RATIO = 0.95
STEP = 0.05
"""By how much, as a logarithm, one error moves the width of the interval."""
COMPARED_ROWS = 25
"""Forecasts whose time must have come before an interval is told."""
RELATIVE_FLOOR = 1e-4
ABSOLUTE_FLOOR = 1e-9


class Forecast:
    """The level now, plus what the days before did from this time of day to that of the forecast.

    On the first day nothing is known of the day's course, and the forecast is the level. The interval is as wide as covered
    `COVERED_RATIO` of the forecasts whose time came: each error beyond it widens it, each within narrows it a little
    (quantile tracking; Gibbs and Candès, "Adaptive conformal inference under distribution shift", 2021). It judges nothing.
    """

    name = "forecast"
    needs: tuple[str, ...] = ()
    judges: Judges = "nothing"
    foresees = "recwatch_forecast"

    def __init__(self, *, horizon_s: float = HORIZON_S) -> None:
        self._horizon_ms = horizon_s * 1000.0
        self._slot_ms = self._horizon_ms / SLOTS
        self._daily = DailyProfile()
        kept = np.full(SLOTS + 1, np.nan)
        self._rows = Rows(
            level=np.nan, last_ms=np.int64(0), width=0.0, compared=0.0, ahead=np.nan, kept=kept, kept_for=np.zeros(SLOTS + 1)
        )

    def update(self, batch: Batch) -> Judgement:
        self._reserve(batch.at)
        value = within(batch.value, LARGEST)
        self._compare(batch, value)
        self._learn(batch, value)
        return Judgement.abstain(len(batch))

    def foresight(self, row: Int64) -> Float64:
        """Forecast, lower and upper end of its interval, float64[n, 3], from the last reading on; NaN until one is known."""
        self._reserve(row)
        known = self._rows["compared"][row] >= COMPARED_ROWS
        ahead = np.where(known, self._rows["ahead"][row], np.nan)
        width = self._rows["width"][row]
        return np.stack((ahead, np.maximum(ahead - width, 0.0), ahead + width), axis=1)

    def _compare(self, batch: Batch, value: Float64) -> None:
        """Let the readings whose forecast was kept say how wide the interval should have been."""
        rows, at, slot = self._rows, batch.at, np.floor(batch.time_ms / self._slot_ms)
        where = slot.astype(np.int64) % (SLOTS + 1)
        due = np.where(rows["kept_for"][batch.row, where] == slot, rows["kept"][batch.row, where], np.nan)
        compared = ~np.isnan(due)
        error = np.abs(value - np.where(compared, due, 0.0))
        width = np.maximum(rows["width"][at], RELATIVE_FLOOR * np.abs(value) + ABSOLUTE_FLOOR)
        first = rows["compared"][at] < COMPARED_ROWS
        moved = width * np.exp(STEP * np.where(error > width, COVERED_RATIO, COVERED_RATIO - 1.0))
        rows["width"][at] = np.where(compared, np.where(first, np.maximum(width, error), moved), rows["width"][at])
        rows["compared"][at] += compared

    def _learn(self, batch: Batch, value: Float64) -> None:
        rows, at = self._rows, batch.at
        passed_ms = np.maximum(batch.time_ms - rows["last_ms"][at], 1.0)
        share = -np.expm1(-passed_ms / (LEVEL_SHARE * self._horizon_ms))
        then_ms = batch.time_ms + round(self._horizon_ms)
        last, now, then = (
            self._daily.expected(at, batch.row, ms)[0] for ms in (rows["last_ms"][at], batch.time_ms, then_ms)
        )
        before = rows["level"][at] + _course(last, now)
        level = np.where(np.isnan(before), value, before + share * (value - before))
        ahead = level + _course(now, then)
        slot = np.floor(then_ms / self._slot_ms)
        where = slot.astype(np.int64) % (SLOTS + 1)
        rows["kept"][batch.row, where] = ahead
        rows["kept_for"][batch.row, where] = slot
        rows["level"][at] = level
        rows["ahead"][at] = ahead
        rows["last_ms"][at] = batch.time_ms
        self._daily.learn(at, batch.row, batch.time_ms, value)

    def _reserve(self, at: Place) -> None:
        if self._rows.reserve(at):
            self._daily.rows.reserve(at)

    def warmup_ratio(self, row: Int64) -> Float64:
        self._reserve(row)
        return np.minimum(self._rows["compared"][row] / COMPARED_ROWS, 1.0)

    def state(self) -> dict[str, npt.NDArray[Any]]:
        return {**self._daily.state(), **self._rows.state()}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        self._daily.restore(state)
        self._rows.restore(state)


def _course(before: Float64, after: Float64) -> Float64:
    """What the profile of the day does from one time to another; 0 where it is not known."""
    course = after - before
    return np.where(np.isnan(course), 0.0, course)
