"""The default: judges a reading by where the series has just been, and by where it is at this time of day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.daily_profile import DailyProfile
from detectors.hold import Hold
from detectors.panel import LARGEST, Batch, Place, Rows, place, within
from detectors.tail import LOG10_E, ParetoTail
from recwatch.core.signals import Float64, Int64, Judgement

DAY_MS = 86_400_000.0
WARMUP_ROWS = 25
LEVEL_ROWS = 10.0
DRIFT_ROWS = 30.0
HUBER_SCALES = 4.0
"""An error beyond so many scales teaches no more than one of that size."""
SCALE_DAYS = 1.0
TAIL_DAYS = 5.0
LARGEST_DAYS = 10.0
"""Memories: the width of the noise follows a day, its tail a working week; the largest residual fades over ten days."""
LEAST_MEMORY_ROWS = 20.0
RELATIVE_FLOOR = 0.003
ABSOLUTE_FLOOR = 1e-9
"""The least scale, of the level and in the series' own unit: a flat line that moves by less has not moved."""
FLAGGED_WEIGHT = 0.3
"""What a reading outside the band teaches the scale, besides being clipped."""
FALSE_ALARMS_A_DAY = 0.4
LEAST_RARITY = 3.6
"""What happens more often than once in four thousand readings is no anomaly, however seldom the series is read."""
CAUTION, CAUTION_ROWS = 2.0, 2000.0
"""A young series needs a rarer reading: a thousand times as rare after sixty readings, four times after two thousand."""
CARRIED = 0.2
"""Share of the rarity of the reading before that counts for this one: two rare ones in a row are rarer than either."""
BEYOND_LARGEST = 10.0
"""Each tenfold of the largest residual so far is as telling as so many powers of ten of rarity."""
FIRST_STEP_MS = 1000.0
GAP_STEPS = 12
RECENT_ROWS = 12
LEAST_LOG = -7.0
WIDEST_LOG = 250.0


@dataclass(frozen=True, slots=True, eq=False)
class _Reading:
    """One reading of each row beside what was known of it before; all float64[n]. `usual` is NaN where unknown."""

    seen: Float64
    value: Float64
    step_ms: Float64
    level: Float64
    usual: Float64 | None
    expected: Float64
    floor: Float64
    scale: Float64

    @property
    def size(self) -> Float64:
        return np.abs(self.value - self.expected)

    @property
    def log_size(self) -> Float64:
        return np.log(np.maximum(self.size / self.scale, np.exp(LEAST_LOG)))

    def memory_rows(self, days: float) -> Float64:
        return np.maximum(days * DAY_MS / self.step_ms, LEAST_MEMORY_ROWS)


class RobustBand:
    """A self-calibrating band around the nearer of two predictors: a clipped level, and the daily profile plus its drift.

    A reading is surprising only if both are wrong, so no test for seasonality is needed: the profile helps from the second
    day on. It learns readings as they are: it can only excuse, and what comes each day is to be excused. The band ends where
    a reading is so rare in the series' own tail (`ParetoTail`) that `max_false_alarms_per_series_day` as rare ones come by
    chance; beyond the largest residual of the last days it is drawn in. After a gap the level starts at the first reading.
    What leaves the band is judged by the band it left until it is back, or until the shift is confirmed (`Hold`).
    """

    name = "robust_band"
    needs: tuple[str, ...] = ()

    def __init__(self, max_false_alarms_per_series_day: float = FALSE_ALARMS_A_DAY) -> None:
        self._false_alarms_a_day = max_false_alarms_per_series_day
        self._daily = DailyProfile()
        self._tail = ParetoTail()
        self._hold = Hold()
        self._rows = Rows(
            seen=0.0,
            last_ms=np.int64(0),
            step_ms=0.0,
            level=0.0,
            level_error=0.0,
            drift=0.0,
            scale=0.0,
            largest=0.0,
            rarity=0.0,
            recent=np.zeros(RECENT_ROWS),
        )

    def update(self, batch: Batch) -> Judgement:
        self._reserve(batch.row)
        at = place(batch.row)
        told = self._read(at, batch)
        edge = self._half_width(at, told)
        half_width = np.where(told.seen >= WARMUP_ROWS, edge, np.nan)
        expected, half_width = self._hold.band(at, told.expected, half_width)
        known = expected + 0.0 * half_width
        judgement = Judgement(np.abs(told.value - expected) / half_width, known, known - half_width, known + half_width)
        self._learn(at, batch, told, judgement.score, edge)
        return judgement

    def _reserve(self, row: Int64) -> None:
        if self._rows.reserve(row):
            for part in (self._daily, self._tail, self._hold):
                part.rows.reserve(row)

    def _read(self, at: Place, batch: Batch) -> _Reading:
        rows = self._rows
        value = within(batch.value, LARGEST)
        seen = rows["seen"][at].copy()
        passed_ms = (batch.time_ms - rows["last_ms"][at]).astype(np.float64)
        step_ms = _typical(rows["step_ms"][at], passed_ms, seen)
        level = np.where((seen == 0.0) | (passed_ms > GAP_STEPS * step_ms), value, rows["level"][at])
        profile = self._daily.expected(at, batch.row, batch.time_ms)
        drift = rows["drift"][at].copy()
        by_clock = () if profile is None else tuple(mean + drift for mean in profile)
        expected = reduce(partial(_nearer, value), by_clock, level)
        floor = RELATIVE_FLOOR * np.abs(level) + ABSOLUTE_FLOOR
        usual = by_clock[0] if by_clock else None
        return _Reading(seen, value, step_ms, level, usual, expected, floor, np.maximum(rows["scale"][at], floor))

    def _half_width(self, at: Place, told: _Reading) -> Float64:
        """How far from the expected value a reading is rare enough; known before the reading is."""
        allowed = np.log10(DAY_MS / (told.step_ms * self._false_alarms_a_day))
        caution = CAUTION * np.log10(1.0 + CAUTION_ROWS / (told.seen + 1.0))
        needed = np.maximum(allowed, LEAST_RARITY) + caution - CARRIED * np.maximum(self._rows["rarity"][at], 0.0)
        log_edge = np.log(told.scale) + self._tail.log_size(at, needed)
        log_largest = np.log(np.maximum(self._rows["largest"][at], 3.0 * told.floor))
        steepness = self._tail.steepness(at)
        drawn_in = steepness / (steepness + LOG10_E * BEYOND_LARGEST)
        beyond = np.maximum(log_edge - log_largest, 0.0)
        half_width: Float64 = np.exp(np.minimum(log_edge - (1.0 - drawn_in) * beyond, WIDEST_LOG))
        widened: Float64 = np.maximum(half_width, told.floor)
        return widened

    def _learn(self, at: Place, batch: Batch, told: _Reading, score: Float64, edge: Float64) -> None:
        outside = (score >= 1.0) | self._hold.held(at)
        confirmed = self._hold.update(at, score, told.expected, edge, told.step_ms / 1000.0)
        log_size = told.log_size
        rarity = self._tail.rarity(at, log_size)
        self._tail.learn(at, log_size, told.seen, told.memory_rows(TAIL_DAYS))
        self._learn_scales(at, told, outside)
        self._learn_level(at, told)
        rows = self._rows
        rows["rarity"][at] = rarity
        rows["recent"][batch.row, told.seen.astype(np.int64) % RECENT_ROWS] = told.value
        rows["seen"][at] = told.seen + 1.0
        rows["step_ms"][at] = told.step_ms
        rows["last_ms"][at] = batch.time_ms
        self._daily.learn(at, batch.row, batch.time_ms, told.value)
        if confirmed.any():
            self._settle(batch.row[confirmed])

    def _learn_scales(self, at: Place, told: _Reading, outside: npt.NDArray[np.bool_]) -> None:
        rows, size, error = self._rows, told.size, np.abs(told.value - told.level)
        rate = np.where(outside, FLAGGED_WEIGHT, 1.0) / np.minimum(told.seen + 1.0, told.memory_rows(SCALE_DAYS))
        young = told.seen < 2.0
        for name, new in (("scale", size), ("level_error", error)):
            before = rows[name][at]
            limit = HUBER_SCALES * np.maximum(before, told.floor)
            learnt = before + rate * (np.minimum(new, limit) - before)
            rows[name][at] = np.where(young, np.maximum(learnt, new), learnt)
        faded = rows["largest"][at] * (1.0 - 1.0 / told.memory_rows(LARGEST_DAYS))
        rows["largest"][at] = np.maximum(size, faded)

    def _learn_level(self, at: Place, told: _Reading) -> None:
        rows = self._rows
        limit = HUBER_SCALES * np.maximum(rows["level_error"][at], told.floor)
        step = within(told.value - told.level, limit) / np.minimum(told.seen + 1.0, LEVEL_ROWS)
        rows["level"][at] = told.level + step
        if told.usual is not None:
            error = np.where(np.isnan(told.usual), 0.0, told.value - told.usual)
            rows["drift"][at] += within(error, limit) / DRIFT_ROWS

    def _settle(self, row: Int64) -> None:
        """A confirmed shift: where the level is not there by now, it and the drift go there."""
        now = np.median(self._rows["recent"][row], axis=1)
        away = np.abs(now - self._rows["level"][row]) > self._hold.rows["half_width"][row]
        moved, now = row[away], now[away]
        self._rows["drift"][moved] += now - self._rows["level"][moved]
        self._rows["level"][moved] = now

    def warmup_ratio(self, row: Int64) -> Float64:
        self._reserve(row)
        return np.minimum(self._rows["seen"][row] / WARMUP_ROWS, 1.0)

    def state(self) -> dict[str, npt.NDArray[Any]]:
        return {**self._daily.state(), **self._tail.state(), **self._hold.state(), **self._rows.state()}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        for part in (self._daily, self._tail, self._hold):
            part.restore(state)
        self._rows.restore(state)


def _typical(step_ms: Float64, passed_ms: Float64, seen: Float64) -> Float64:
    """The usual time between two readings, which a gap or a clock that is set back changes by a tenth at most."""
    held = np.where(passed_ms > 0.0, step_ms + within(passed_ms - step_ms, 0.1 * step_ms), step_ms)
    return np.maximum(np.where(seen > 1.0, held, np.where(seen == 1.0, passed_ms, FIRST_STEP_MS)), 1.0)


def _nearer(value: Float64, one: Float64, other: Float64) -> Float64:
    """Whichever of two predictions is nearer to the value; `one` where the other is NaN."""
    return np.where(np.abs(value - other) < np.abs(value - one), other, one)
