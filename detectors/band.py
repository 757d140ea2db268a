"""How far from its expected value a reading may lie: a band that each series calibrates on its own residuals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.pace import Pace
from detectors.panel import Place, Rows, rows_at
from detectors.peaks import Peaks
from detectors.robust_band import FALSE_ALARMS_A_DAY, LEAST_RARITY
from recwatch.core.signals import Float64, Int64, Judgement

TAIL_QUANTILE = 0.99
TAIL_RARITY = 2.0
TAIL_PRIOR = 3.2
"""The 99 % quantile of |residual| over its mean; this much for a normal distribution."""
TAIL_LEAST = 2.5
TAIL_RUN_WEIGHT = 0.25
"""What each reading but the first of a run beyond the tail teaches: trouble that grows must not widen its own band."""
TAIL_RUN_ROWS = 5
"""A run beyond the tail that lasts longer is no noise: it teaches the tail nothing, and the scale what an outlier does."""
SCALE_CLIP = 3.0
FLAGGED_WEIGHT = 0.1
"""A reading outside the band teaches at most a tenth of what one inside does, besides being clipped."""


@dataclass(frozen=True, slots=True)
class BandSettings:
    """How a band is calibrated. Memories and waits count readings.

    `margin` times the tail is the least half-width in units of the scale, at the usual number of false alarms; `share` is
    how much of that number the band may use up, and `prior_peaks` how many peaks outweigh the tail of a normal distribution.
    The floors are the least scale, relative to the expected value and in the series' own unit. `tail_step` is by how much,
    as a logarithm, one reading beyond the tail moves it.
    """

    warmup_rows: int = 25
    scale_rows: int = 300
    margin: float = 2.0
    caution_rows: float = 20.0
    rebaseline_rows: int = 300
    relative_floor: float = 0.01
    absolute_floor: float = 1e-9
    tail_step: float = 0.1
    prior_peaks: float = 15.0
    share: float = 1.0


class Band:
    """The half-width within which residuals of a row are normal: scale × tail × margin.

    The scale is the clipped exponential mean of |residual|, never less than the floors; the tail is a running 99 % quantile
    of |residual| / scale, so that one margin fits light and heavy tails; of a run outside the band only the first reading
    teaches the tail. Until `warmup_rows` readings the width is NaN, and for some time after it is wider, by `caution_rows` /
    readings. When readings outside outnumber those inside by `rebaseline_rows`, the shift is confirmed and the band starts
    anew around the last `warmup_rows` residuals.

    The margin is where the peaks beyond the tail (`Peaks`) come `false_alarms_a_day` times by chance, as often as the row is
    read, and no oftener than once in three thousand readings. It is never less than the settings' margin, which
    follows `false_alarms_a_day` by the same law.
    """

    def __init__(self, settings: BandSettings, false_alarms_a_day: float = FALSE_ALARMS_A_DAY) -> None:
        self._settings = settings
        self._allowed_a_day = settings.share * np.array([[false_alarms_a_day], [FALSE_ALARMS_A_DAY]])
        self._pace, self._peaks = Pace(), Peaks(settings.prior_peaks)
        ring = np.zeros(settings.warmup_rows)
        margin = np.float32(settings.margin)
        self.rows = Rows(
            seen=0.0, scale=0.0, tail=TAIL_PRIOR, margin=margin, beyond=0.0, outside=0.0, next=np.int16(0), ring=ring
        )

    def half_width(self, at: Place, time_ms: Int64, centre: Float64) -> Float64:
        """Half of the band of each row around `centre` for the reading at this time; NaN while it warms up."""
        self.rows.reserve(at)
        self._peaks.rows.reserve(at)
        self._pace.note(at, time_ms)
        seen = self.rows["seen"][at]
        caution = 1.0 + self._settings.caution_rows / np.maximum(seen, 1.0)
        width = self._scale(at, centre) * self.rows["tail"][at] * self.rows["margin"][at] * caution
        return np.where(seen >= self._settings.warmup_rows, width, np.nan)

    def rarity(self, at: Place) -> Float64:
        """−log10 of the share of a row's readings that may alarm by chance."""
        return self._rarity(at, self._allowed_a_day[0])

    def weight(self, at: Place, flagged: npt.NDArray[np.bool_], memory_rows: float) -> Float64:
        """How much of a new reading goes into an exponential mean over `memory_rows`; 0 while warming up."""
        seen = self.rows["seen"][at]
        rate = np.where(flagged, FLAGGED_WEIGHT / memory_rows, 1.0 / np.minimum(np.maximum(seen, 1.0), memory_rows))
        return np.where(seen >= self._settings.warmup_rows, rate, 0.0)

    def learn(  # noqa: PLR0913, PLR0917  (a row of columns that belong together)
        self,
        at: Place,
        centre: Float64,
        residual: Float64,
        deviation: Float64,
        flagged: npt.NDArray[np.bool_],
        known: npt.NDArray[np.bool_] | bool = True,
    ) -> Float64:
        """Learn the residuals that were judged; the answer is what to add to each row's baseline, mostly 0.

        `deviation` is the distance from the baseline itself. Its median over the last rows is what the baseline moves by
        when the warm-up ends and when a shift is confirmed. Where what to expect is not `known`, the width learns nothing.
        """
        rows, scale, size = self.rows, self._scale(at, centre), np.abs(residual)
        tail, before, outside = rows["tail"][at], rows["beyond"][at], rows["outside"][at]
        limit = tail * scale
        beyond = size > limit
        run = np.where(beyond, before + 1.0, 0.0)
        lasts = run > TAIL_RUN_ROWS
        weight = known * self.weight(at, flagged | lasts, self._settings.scale_rows)
        first = np.where(lasts, 0.0, np.where(run > 1.0, TAIL_RUN_WEIGHT, 1.0))
        step = np.where(beyond, TAIL_QUANTILE * first, TAIL_QUANTILE - 1.0)
        teaches = (weight > 0.0) & ~(flagged & (outside > 0.0))
        (noted,) = (beyond | (before > 0.0)).nonzero()
        rows["beyond"][at] = run
        rows["scale"][at] = scale + weight * (np.minimum(size, SCALE_CLIP * scale) - scale)
        rows["tail"][at] = np.maximum(tail * np.exp(self._settings.tail_step * teaches * step), TAIL_LEAST)
        rows["outside"][at] = np.maximum(outside + np.where(flagged, 1.0, -1.0), 0.0)
        if len(noted):
            ratio = np.where(weight[noted] > 0.0, size[noted], 0.0) / limit[noted]
            self._learn_peaks(rows_at(at, noted), np.where(flagged[noted] & (run[noted] > 1.0), np.nan, ratio))
        return self._settle(at, deviation)

    def _learn_peaks(self, row: Int64, ratio: Float64) -> None:
        """Learn how far beyond the tail readings are, in units of it; NaN where trouble lasts."""
        wiser = row[self._peaks.note(row, np.log(np.maximum(ratio, 1.0)))]
        if len(wiser):
            self.rows["margin"][wiser] = self._margin(wiser)

    def _margin(self, at: Place) -> Float64:
        reach, usual = self._peaks.reach(at, self._rarity(at, self._allowed_a_day) - TAIL_RARITY)
        margin: Float64 = reach * np.maximum(self._settings.margin / usual, 1.0)
        return margin

    def _rarity(self, at: Place, allowed_a_day: Float64) -> Float64:
        rarity: Float64 = np.maximum(np.log10(self._pace.rows_a_day(at) / allowed_a_day), LEAST_RARITY)
        return rarity

    def _scale(self, at: Place, centre: Float64) -> Float64:
        floor = np.maximum(self._settings.relative_floor * np.abs(centre), self._settings.absolute_floor)
        scale: Float64 = np.maximum(self.rows["scale"][at], floor)
        return scale

    def _settle(self, at: Place, deviation: Float64) -> Float64:
        """Remember the deviations; start anew around them where the warm-up ends or a shift is confirmed."""
        slot, shift = self.rows["next"][at], np.zeros(len(deviation))
        self.rows["ring"][rows_at(at, np.arange(len(slot))), slot] = deviation
        self.rows["next"][at] = (slot + 1) % self._settings.warmup_rows
        self.rows["seen"][at] += 1.0
        seen, outside = self.rows["seen"][at], self.rows["outside"][at]
        (due,) = ((seen == self._settings.warmup_rows) | (outside >= self._settings.rebaseline_rows)).nonzero()
        if len(due):
            settled = rows_at(at, due)
            recent = self.rows["ring"][settled]
            shift[due] = np.median(recent, axis=1)
            self.rows["scale"][settled] = _spread(recent - shift[due, None])
            self.rows["margin"][settled] = self._margin(settled)
            self.rows["seen"][settled] = self._settings.warmup_rows
            self.rows["outside"][settled] = 0.0
            self.rows["ring"][settled] = recent - shift[due, None]
        return shift

    def warmup_ratio(self, row: Int64) -> Float64:
        self.rows.reserve(row)
        return np.minimum(self.rows["seen"][row] / self._settings.warmup_rows, 1.0)

    def state(self) -> dict[str, npt.NDArray[Any]]:
        return {**self.rows.state("band."), **self._pace.state("band."), **self._peaks.state("band.")}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        self.rows.restore(state, "band.")
        self._pace.restore(state, "band.")
        self._peaks.restore(state, "band.")
        self.rows["margin"][:] = self._margin(slice(0, len(self.rows["margin"])))


def _spread(recent: Float64) -> Float64:
    """The mean absolute residual of each row of `recent`, its largest tenth left out and made up for."""
    size = np.sort(np.abs(recent), axis=1)
    kept = size[:, : max(1, round(0.9 * size.shape[1]))]
    mean: Float64 = kept.mean(axis=1)
    return 1.25 * mean


UNCALIBRATED: Mapping[str, npt.ArrayLike] = {
    "seen": 0.0,
    "tail": TAIL_PRIOR,
    "beyond": 0.0,
    "outside": 0.0,
    **{f"pace.{column}": blank for column, blank in Pace.BLANK.items()},
    **{f"peaks.{column}": blank for column, blank in Peaks.BLANK.items()},
}
"""What a band forgets where readings will scatter differently, as they do when a series is read at another pace."""


def uncalibrated(state: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """The state of a method with its bands, if it has any, before the warm-up again; all else that it learnt is kept."""
    anew = {name: UNCALIBRATED.get(name.partition("band.")[2]) for name in state}
    return {name: array if anew[name] is None else np.full_like(array, anew[name]) for name, array in state.items()}


def judged(expected: Float64, residual: Float64, half_width: Float64) -> Judgement:
    """The judgement of residuals around `expected` with a symmetric band; NaN widths abstain."""
    known = expected + 0.0 * half_width
    return Judgement(np.abs(residual) / half_width, known, known - half_width, known + half_width)
