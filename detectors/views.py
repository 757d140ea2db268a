"""Where a series has been, and how far from there a reading is, in four views of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.daily_profile import DailyProfile
from detectors.hold import LEAST_ROWS
from detectors.panel import LARGEST, Batch, Place, Rows, within
from recwatch.core.signals import Float64, Int64

NEAREST, LEVEL, CLOCK, LAST = range(VIEWS := 4)
"""The views of a reading: its distances to the nearest prediction, to either alone, and to where the series was last."""
DAY_MS = 86_400_000.0
LEVEL_ROWS = 10.0
LAST_ROWS = 2.0
DRIFT_ROWS = 30.0
HUBER_SCALES = 4.0
"""An error beyond so many scales teaches no more than one of that size."""
SCALE_DAYS = 1.0
"""The width of the noise follows a day."""
LEAST_MEMORY_ROWS = 20.0
RELATIVE_FLOOR = 0.003
ABSOLUTE_FLOOR = 1e-9
"""The least scale, of the level and in the series' own unit: a flat line that moves by less has not moved."""
FLAGGED_WEIGHT = 0.3
"""What a reading outside the band teaches the scale, besides being clipped."""
FIRST_STEP_MS = 1000.0
NEVER_MS = np.int64(-(2**53))
GAP_STEPS = 12
RECENT_ROWS = LEAST_ROWS
"""What a confirmed shift settles at: no fewer readings than it lasts at least."""


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """One reading of each row beside what was known of it before; float64[n].

    `count` is `seen` with this one. `predicted`, its distance `size` and the `scale` of such distances are float64[views,
    n]; without what is usual by the clock, that view is the level's. `usual` is NaN where unknown.
    """

    seen: Float64
    count: Float64
    value: Float64
    step_ms: Float64
    rows_a_day: Float64
    usual: Float64
    floor: Float64
    predicted: Float64
    size: Float64
    scale: Float64

    @property
    def expected(self) -> Float64:
        nearest: Float64 = self.predicted[NEAREST]
        return nearest

    def memory_rows(self, days: float) -> Float64:
        return np.maximum(days * self.rows_a_day, LEAST_MEMORY_ROWS)


class Views:
    """A clipped level, the profile of the day with its drift, and the last readings; and the noise around each."""

    def __init__(self) -> None:
        self._daily = DailyProfile()
        self.rows = Rows(
            seen=0.0,
            last_ms=NEVER_MS,
            step_ms=FIRST_STEP_MS,
            level=0.0,
            drift=0.0,
            last=0.0,
            scale=np.zeros(VIEWS),
            recent=np.zeros(RECENT_ROWS),
        )

    def reserve(self, at: Place) -> bool:
        """Make sure that these rows exist; True where some did not."""
        return self.rows.reserve(at) and self._daily.rows.reserve(at)

    def read(self, batch: Batch) -> Reading:
        """What is known of the rows before `learn` is called. After a gap the level starts at the reading."""
        rows, at = self.rows, batch.at
        value, seen = within(batch.value, LARGEST), rows["seen"][at]
        passed_ms = (batch.time_ms - rows["last_ms"][at]).astype(np.float64)
        step_ms = _typical(rows["step_ms"][at], passed_ms, seen)
        level, last = rows["level"][at], rows["last"][at]
        fresh = passed_ms > GAP_STEPS * step_ms
        if np.count_nonzero(fresh):
            level, last = np.where(fresh, value, level), np.where(fresh, value, last)
        by_clock = self._daily.expected(at, batch.row, batch.time_ms)
        by_clock += rows["drift"][at]
        predicted, size = np.empty((2, VIEWS, len(value)))
        predicted[LEVEL], predicted[LAST] = level, last
        predicted[CLOCK] = clock = _nearest(value, by_clock)
        np.copyto(predicted[CLOCK], level, where=np.isnan(clock))
        others = size[LEVEL:]
        np.abs(np.subtract(value, predicted[LEVEL:], out=others), out=others)
        predicted[NEAREST] = np.where(size[CLOCK] < size[LEVEL], predicted[CLOCK], level)
        size[NEAREST] = np.minimum(size[CLOCK], size[LEVEL])
        floor = RELATIVE_FLOOR * np.abs(level) + ABSOLUTE_FLOOR
        scale = np.maximum(rows["scale"][at].T, floor)
        return Reading(seen, seen + 1.0, value, step_ms, DAY_MS / step_ms, by_clock[0], floor, predicted, size, scale)

    def learn(self, batch: Batch, told: Reading, outside: npt.NDArray[np.bool_]) -> None:
        """Learn the readings as they are; those outside the band teach the scale less."""
        rows, at = self.rows, batch.at
        self._learn_scale(at, told, outside)
        limit = HUBER_SCALES * np.maximum(rows["scale"][at].T[LEVEL], told.floor)
        level, last = told.predicted[LEVEL], told.predicted[LAST]
        rows["level"][at] = level + within(told.value - level, limit) / np.minimum(told.count, LEVEL_ROWS)
        rows["last"][at] = last + (told.value - last) / LAST_ROWS
        error = within(told.value - told.usual, limit) / DRIFT_ROWS
        np.copyto(error, 0.0, where=np.isnan(error))
        rows["drift"][at] += error
        rows["step_ms"][at] = told.step_ms
        rows["last_ms"][at] = batch.time_ms
        rows["seen"][at] = told.count
        self._daily.learn(at, batch.row, batch.time_ms, told.value)

    def _learn_scale(self, at: Place, told: Reading, outside: npt.NDArray[np.bool_]) -> None:
        rate = np.where(outside, FLAGGED_WEIGHT, 1.0) / np.minimum(told.count, told.memory_rows(SCALE_DAYS))
        before = self.rows["scale"][at].T
        learnt = HUBER_SCALES * told.scale
        np.minimum(learnt, told.size, out=learnt)
        learnt -= before
        learnt *= rate
        learnt += before
        first = told.seen < 2.0
        if np.count_nonzero(first):
            learnt = np.where(first, np.maximum(learnt, told.size), learnt)
        self.rows["scale"][at] = learnt.T

    def remember(self, row: Int64, seen: Float64, value: Float64) -> None:
        """Keep readings that may be those of a shift: of a row that is away, every one; `seen` as of before `learn`."""
        self.rows["recent"][row, seen.astype(np.int64) % RECENT_ROWS] = value

    def settle(self, row: Int64, near: Float64) -> None:
        """A shift is confirmed: where the level is farther than `near` from the last readings, it and the drift go there."""
        now = np.median(self.rows["recent"][row], axis=1)
        away = np.abs(now - self.rows["level"][row]) > near
        moved, now = row[away], now[away]
        self.rows["drift"][moved] += now - self.rows["level"][moved]
        self.rows["level"][moved] = now

    def state(self) -> dict[str, npt.NDArray[Any]]:
        return {**self._daily.state(), **self.rows.state()}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        self._daily.restore(state)
        self.rows.restore(state)


def _typical(step_ms: Float64, passed_ms: Float64, seen: Float64) -> Float64:
    """The usual time between two readings, which a gap or a clock that is set back changes by a tenth at most."""
    if not np.count_nonzero(passed_ms != step_ms):
        return step_ms
    held = np.where(passed_ms > 0.0, step_ms + within(passed_ms - step_ms, 0.1 * step_ms), step_ms)
    return np.maximum(np.where(seen > 1.0, held, np.where(seen == 1.0, passed_ms, FIRST_STEP_MS)), 1.0)


def _nearest(value: Float64, predictions: Float64) -> Float64:
    """Whichever of the predictions, float64[3, n], is nearest to the value, the first of equals; NaN where all are."""
    first, second, third = predictions
    distance, other, farther = np.abs(value - predictions)
    earlier = np.where(other < distance, second, first)
    nearest: Float64 = np.where(farther < np.minimum(distance, other), third, earlier)
    return nearest
