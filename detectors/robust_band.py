"""The default: judges a reading by where the series has just been, and by where it is at this time of day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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
LAST_ROWS = 2.0
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
LEAST_RARITY = 3.5
"""What happens more often than once in three thousand readings is no anomaly, however seldom the series is read."""
CAUTION, CAUTION_ROWS = 2.0, 2000.0
"""A young series needs a rarer reading: a thousand times as rare after sixty readings, four times after two thousand."""
CARRIED = 0.2
"""Share of the rarity of the reading before that counts for this one: two rare ones in a row are rarer than either."""
BEYOND_LARGEST = 10.0
"""Each tenfold of the largest residual so far is as telling as so many powers of ten of rarity."""
NEAREST, LEVEL, CLOCK, LAST = range(VIEWS := 4)
"""The views of a reading: its distances to the nearest prediction, to either alone, and to where the series was last."""
SIDES = np.array([-1.0, 1.0])[:, None, None]
FIRST_STEP_MS = 1000.0
NEVER_MS = np.int64(-(2**53))
GAP_STEPS = 12
RECENT_ROWS = 12
LEAST_RATIO = 0.001
"""What is less than so many scales is as good as nothing."""
EDGE_RATIO = 0.5
"""The same for the edges of the band, which are steps away from where the series was last."""
WIDEST_LOG = 250.0


@dataclass(frozen=True, slots=True, eq=False)
class _Reading:
    """One reading of each row beside what was known of it before; float64[n].

    `predicted`, `size` and `scale` are float64[views, n]; without what is usual by the clock, that view is the level's.
    `usual` is NaN where unknown.
    """

    seen: Float64
    value: Float64
    step_ms: Float64
    rows_a_day: Float64
    level: Float64
    last: Float64
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


class RobustBand:
    """A self-calibrating band around the nearer of two predictors: a clipped level, and the daily profile plus its drift.

    A reading is surprising only if both are wrong, so no test for seasonality is needed: the profile helps from the second
    day on. It learns readings as they are: it can only excuse, and what comes each day is to be excused. How rare a reading
    is, is the mean over four views of it: its distances to the nearer prediction, to either alone, and to where the series
    was last, each with a tail of its own (`ParetoTail`). The band ends where `max_false_alarms_per_series_day` as rare ones
    come by chance; beyond the largest residual of the last days it is drawn in. After a gap the level starts at the first
    reading. What leaves the band is judged by the band it left until it is back, or until the shift is confirmed (`Hold`).
    """

    name = "robust_band"
    needs: tuple[str, ...] = ()

    def __init__(self, max_false_alarms_per_series_day: float = FALSE_ALARMS_A_DAY) -> None:
        self._false_alarms_a_day = max_false_alarms_per_series_day
        self._daily = DailyProfile()
        self._tail = ParetoTail(VIEWS)
        self._hold = Hold()
        self._rows = Rows(
            seen=0.0,
            last_ms=NEVER_MS,
            step_ms=FIRST_STEP_MS,
            level=0.0,
            drift=0.0,
            last=0.0,
            scale=np.zeros(VIEWS),
            largest=0.0,
            rarity=0.0,
            recent=np.zeros(RECENT_ROWS),
        )

    def update(self, batch: Batch) -> Judgement:
        self._reserve(batch.row)
        at = place(batch.row)
        told = self._read(at, batch)
        edges = self._half_widths(at, told)
        half_widths = np.where(told.seen >= WARMUP_ROWS, edges, np.nan)
        expected, half_widths = self._hold.band(at, told.expected, half_widths)
        below, above = half_widths
        residual = told.value - expected
        score = np.abs(residual) / np.where(residual < 0.0, below, above)
        judgement = Judgement(score, expected + 0.0 * above, expected - below, expected + above)
        self._learn(at, batch, told, score, np.where(residual < 0.0, edges[0], edges[1]))
        return judgement

    def _reserve(self, row: Int64) -> None:
        if self._rows.reserve(row):
            for part in (self._daily, self._tail, self._hold):
                part.rows.reserve(row)

    def _read(self, at: Place, batch: Batch) -> _Reading:
        rows = self._rows
        value = within(batch.value, LARGEST)
        seen = rows["seen"][at]
        passed_ms = (batch.time_ms - rows["last_ms"][at]).astype(np.float64)
        step_ms = _typical(rows["step_ms"][at], passed_ms, seen)
        fresh = passed_ms > GAP_STEPS * step_ms
        level, last = np.where(fresh, value, rows["level"][at]), np.where(fresh, value, rows["last"][at])
        drift = rows["drift"][at]
        by_clock = [mean + drift for mean in self._daily.expected(at, batch.row, batch.time_ms)]
        clock = _nearest(value, *by_clock)
        clock = np.where(np.isnan(clock), level, clock)
        predicted = np.array((_nearest(value, level, clock), level, clock, last))
        floor = RELATIVE_FLOOR * np.abs(level) + ABSOLUTE_FLOOR
        return _Reading(
            seen=seen,
            value=value,
            step_ms=step_ms,
            rows_a_day=DAY_MS / step_ms,
            level=level,
            last=last,
            usual=by_clock[0],
            floor=floor,
            predicted=predicted,
            size=np.abs(value - predicted),
            scale=np.maximum(rows["scale"][at].T, floor),
        )

    def _half_widths(self, at: Place, told: _Reading) -> Float64:
        """How far below and above the expected value a reading is rare enough, float64[2, n]; known before it is read."""
        scale, steepness = told.scale[NEAREST], self._tail.steepness(at)
        caution = CAUTION * np.log10(1.0 + CAUTION_ROWS / (told.seen + 1.0))
        needed = LEAST_RARITY + caution - CARRIED * np.maximum(self._rows["rarity"][at], 0.0)
        log_edge = self._tail.log_size(at, needed)[NEAREST]
        log_largest = np.log(np.maximum(self._rows["largest"][at], 3.0 * told.floor) / scale)
        beyond = np.maximum(log_edge - log_largest, 0.0)
        telling = LOG10_E * BEYOND_LARGEST
        # What is asked for beyond the least rarity the tail alone bears: in heavy noise a new largest residual is not rare.
        drawn_in = log_edge - beyond * telling / (steepness[NEAREST] + telling)
        asked = np.log10(told.rows_a_day / self._false_alarms_a_day) - LEAST_RARITY
        nominal = drawn_in + np.maximum(asked - caution, 0.0) / steepness[NEAREST]
        # One step from where the view of the nearest prediction is rare enough to where the mean view is.
        rarer = self._rarer_elsewhere(at, told, scale * np.exp(np.minimum(nominal, WIDEST_LOG)))
        log_edges = nominal - rarer / (_mean(steepness) + np.where(beyond > 0.0, telling, 0.0))
        half_widths = scale * np.exp(np.minimum(log_edges, WIDEST_LOG))
        widened: Float64 = np.maximum(half_widths, told.floor)
        return widened

    def _rarer_elsewhere(self, at: Place, told: _Reading, half_width: Float64) -> Float64:
        """By how much the mean view finds the two edges rarer than the view from the nearest prediction, float64[2, n]."""
        apart = told.expected - told.predicted
        size = np.abs(half_width * SIDES + apart)
        rarity = self._tail.rarity(at, np.log(np.maximum(size / told.scale, EDGE_RATIO)))
        rarer: Float64 = _mean(rarity) - rarity[:, NEAREST]
        return rarer

    def _learn(self, at: Place, batch: Batch, told: _Reading, score: Float64, edge: Float64) -> None:
        outside = (score >= 1.0) | self._hold.held(at)
        confirmed = self._hold.update(at, score, told.expected, edge, told.step_ms)
        log_size = np.log(np.maximum(told.size / told.scale, LEAST_RATIO))
        rarity = _mean(self._tail.rarity(at, log_size))
        self._tail.learn(at, batch.row, log_size, told.seen, told.memory_rows(TAIL_DAYS))
        self._learn_scales(at, told, outside)
        self._learn_level(at, told)
        rows = self._rows
        rows["rarity"][at] = rarity
        rows["recent"][batch.row, told.seen.astype(np.int64) % RECENT_ROWS] = told.value
        rows["seen"][at] = told.seen + 1.0
        rows["step_ms"][at] = told.step_ms
        rows["last_ms"][at] = batch.time_ms
        self._daily.learn(at, batch.row, batch.time_ms, told.value)
        if len(confirmed):
            self._settle(batch.row[confirmed])

    def _learn_scales(self, at: Place, told: _Reading, outside: npt.NDArray[np.bool_]) -> None:
        rows = self._rows
        rate = np.where(outside, FLAGGED_WEIGHT, 1.0) / np.minimum(told.seen + 1.0, told.memory_rows(SCALE_DAYS))
        before = rows["scale"][at].T
        learnt = before + rate * (np.minimum(told.size, HUBER_SCALES * told.scale) - before)
        rows["scale"][at] = np.where(told.seen < 2.0, np.maximum(learnt, told.size), learnt).T
        faded = rows["largest"][at] * (1.0 - 1.0 / told.memory_rows(LARGEST_DAYS))
        rows["largest"][at] = np.maximum(told.size[NEAREST], faded)

    def _learn_level(self, at: Place, told: _Reading) -> None:
        rows = self._rows
        limit = HUBER_SCALES * np.maximum(rows["scale"][at].T[LEVEL], told.floor)
        rows["level"][at] = told.level + within(told.value - told.level, limit) / np.minimum(told.seen + 1.0, LEVEL_ROWS)
        rows["last"][at] = told.last + (told.value - told.last) / LAST_ROWS
        error = within(told.value - told.usual, limit) / DRIFT_ROWS
        rows["drift"][at] += np.where(np.isnan(error), 0.0, error)

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
    if not np.count_nonzero(passed_ms != step_ms):
        return step_ms
    held = np.where(passed_ms > 0.0, step_ms + within(passed_ms - step_ms, 0.1 * step_ms), step_ms)
    return np.maximum(np.where(seen > 1.0, held, np.where(seen == 1.0, passed_ms, FIRST_STEP_MS)), 1.0)


def _nearest(value: Float64, first: Float64, *others: Float64) -> Float64:
    """Whichever prediction is nearest to the value; `first` where the others are NaN."""
    nearest = first
    for other in others:
        nearest = np.where(np.abs(value - other) < np.abs(value - nearest), other, nearest)
    return nearest


def _mean(views: Float64) -> Float64:
    """The mean over views, which are the last axis but one."""
    mean: Float64 = np.add.reduce(views, axis=-2) / VIEWS
    return mean
