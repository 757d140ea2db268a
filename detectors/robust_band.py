"""The default: judges a reading by where the series has just been, and by where it is at this time of day."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.hold import Hold
from detectors.panel import Batch, Judges, Place, Rows
from detectors.tail import LOG10_E, ParetoTail, Tails
from detectors.views import LEVEL, NEAREST, VIEWS, Reading, Views
from recwatch.core.signals import Float64, Int64, Judgement

WARMUP_ROWS = 25
TAIL_DAYS = 5.0
LARGEST_DAYS = 10.0
"""Memories: the tail of the noise follows a working week; the largest residual fades over ten days."""
FALSE_ALARMS_A_DAY = 0.4
LEAST_RARITY = 3.5
"""What happens more often than once in three thousand readings is no anomaly, however seldom the series is read."""
CAUTION, CAUTION_ROWS = 2.0, 2000.0
"""A young series needs a rarer reading: a thousand times as rare after sixty readings, four times after two thousand."""
CARRIED = 0.2
"""Share of the rarity of the reading before that counts for this one: two rare ones in a row are rarer than either."""
BEYOND_LARGEST = 10.0
"""Each tenfold of the largest residual so far is as telling as so many powers of ten of rarity."""
OTHERS = slice(LEVEL, VIEWS)
"""The views beside that of the nearest prediction."""
LEAST_RATIO = 0.001
"""What is less than so many scales is as good as nothing."""
EDGE_RATIO = 0.5
"""The same for the edges of the band, which are steps away from where the series was last."""
LOG_EDGE_RATIO = float(np.log(EDGE_RATIO))
WIDEST_LOG = 250.0


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
    judges: Judges = "distance"

    def __init__(self, max_false_alarms_per_series_day: float = FALSE_ALARMS_A_DAY) -> None:
        self._false_alarms_a_day = max_false_alarms_per_series_day
        self._views = Views()
        self._tail = ParetoTail(VIEWS)
        self._hold = Hold()
        self._rows = Rows(largest=0.0, rarity=0.0)

    def update(self, batch: Batch) -> Judgement:
        at = batch.at
        self._reserve(at)
        told, tails = self._views.read(batch), self._tail.of(at)
        edges = half_widths = self._half_widths(at, told, tails)
        young = told.seen < WARMUP_ROWS
        if np.count_nonzero(young):
            half_widths = np.where(young, np.nan, edges)
        expected, half_widths = self._hold.band(at, told.expected, half_widths)
        below, above = half_widths
        residual = told.value - expected
        score = np.maximum(-residual / below, residual / above)
        judgement = Judgement(score, expected + 0.0 * above, expected - below, expected + above)
        self._learn_rarity(batch, told, tails)
        self._learn_views(batch, told, score, residual, edges)
        return judgement

    def _reserve(self, at: Place) -> None:
        if self._rows.reserve(at):
            self._views.reserve(at)
            self._tail.rows.reserve(at)
            self._hold.rows.reserve(at)

    def _half_widths(self, at: Place, told: Reading, tails: Tails) -> Float64:
        """How far below and above the expected value a reading is rare enough, float64[2, n]; known before it is read."""
        scale, steepness = told.scale[NEAREST], tails.steepness[NEAREST]
        caution = CAUTION * np.log10(1.0 + CAUTION_ROWS / told.count)
        needed = LEAST_RARITY + caution - CARRIED * np.maximum(self._rows["rarity"][at], 0.0)
        log_edge = tails.log_size(needed, NEAREST)
        log_largest = np.log(np.maximum(self._rows["largest"][at], 3.0 * told.floor) / scale)
        beyond, telling = np.maximum(log_edge - log_largest, 0.0), LOG10_E * BEYOND_LARGEST
        # What is asked for beyond the least rarity the tail alone bears: in heavy noise a new largest residual is not rare.
        drawn_in = log_edge - beyond * telling / (steepness + telling)
        asked = np.log10(told.rows_a_day / self._false_alarms_a_day) - LEAST_RARITY
        nominal = drawn_in + np.maximum(asked - caution, 0.0) / steepness
        # One step from where the view of the nearest prediction is rare enough to where the mean view is.
        rarer = _rarer_elsewhere(told, tails, np.minimum(nominal, WIDEST_LOG))
        log_edges = nominal - rarer / (_mean(tails.steepness) + telling * (beyond > 0.0))
        half_widths = scale * np.exp(np.minimum(log_edges, WIDEST_LOG))
        widened: Float64 = np.maximum(half_widths, told.floor)
        return widened

    def _learn_rarity(self, batch: Batch, told: Reading, tails: Tails) -> None:
        at, log_size = batch.at, np.log(np.maximum(told.size / told.scale, LEAST_RATIO))
        self._rows["rarity"][at] = _mean(tails.rarity(log_size))
        faded = self._rows["largest"][at] * (1.0 - 1.0 / told.memory_rows(LARGEST_DAYS))
        self._rows["largest"][at] = np.maximum(told.size[NEAREST], faded)
        self._tail.learn(at, batch.row, log_size, told.seen, told.memory_rows(TAIL_DAYS))

    def _learn_views(self, batch: Batch, told: Reading, score: Float64, residual: Float64, edges: Float64) -> None:
        """Learn the readings; those outside by their score, or held, may be those of a shift."""
        outside = (score >= 1.0) | self._hold.held(batch.at)
        (away,) = outside.nonzero()
        shifted = away
        if len(away):
            row = batch.row[away]
            edge = np.where(residual[away] < 0.0, edges[0, away], edges[1, away])
            self._views.remember(row, told.seen[away], told.value[away])
            shifted = row[self._hold.update(row, score[away], told.expected[away], edge, told.step_ms[away])]
        self._views.learn(batch, told, outside)
        if len(shifted):
            self._views.settle(shifted, self._hold.rows["half_width"][shifted])

    def warmup_ratio(self, row: Int64) -> Float64:
        self._reserve(row)
        return np.minimum(self._views.rows["seen"][row] / WARMUP_ROWS, 1.0)

    def state(self) -> dict[str, npt.NDArray[Any]]:
        return {**self._views.state(), **self._tail.state(), **self._hold.state(), **self._rows.state()}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        for part in (self._views, self._tail, self._hold, self._rows):
            part.restore(state)


def _rarer_elsewhere(told: Reading, tails: Tails, log_edge: Float64) -> Float64:
    """By how much the mean view finds two edges rarer than the view from the nearest prediction, float64[2, n].

    The edges lie `scale` times the exponential of `log_edge` below and above the expected value.
    """
    half_width = told.scale[NEAREST] * np.exp(log_edge)
    apart = told.expected - told.predicted[OTHERS]
    size = np.empty((2, *apart.shape))
    np.subtract(apart, half_width, out=size[0])
    np.add(apart, half_width, out=size[1])
    np.abs(size, out=size)
    size /= told.scale[OTHERS]
    np.maximum(size, EDGE_RATIO, out=size)
    elsewhere = tails.rarity(np.log(size, out=size), OTHERS)
    here = tails.rarity(np.maximum(log_edge, LOG_EDGE_RATIO), NEAREST)
    rarer: Float64 = (np.add.reduce(elsewhere, axis=-2) + here) / VIEWS - here
    return rarer


def _mean(views: Float64) -> Float64:
    """The mean over views, which are the last axis but one."""
    mean: Float64 = np.add.reduce(views, axis=-2) / VIEWS
    return mean
