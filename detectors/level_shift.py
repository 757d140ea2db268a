"""Finds a level that has moved and stays, by less than would make any one reading surprising."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.band import Band, BandSettings, judged
from detectors.panel import LARGEST, Batch, Judges, Place, Rows, within
from detectors.robust_band import FALSE_ALARMS_A_DAY
from recwatch.core.signals import Float64, Int64, Judgement


class LevelShift:
    """The median of the last `recent_rows` readings against a slow reference, within a self-calibrating band.

    The band is calibrated on such medians, so noise that comes in runs widens it; single spikes never reach it.
    """

    name = "level_shift"
    needs: tuple[str, ...] = ()
    judges: Judges = "distance"

    def __init__(
        self,
        recent_rows: int = 11,
        reference_rows: int = 300,
        band: BandSettings = BandSettings(warmup_rows=30, caution_rows=30.0),  # noqa: B008  (frozen)
        *,
        max_false_alarms_per_series_day: float = FALSE_ALARMS_A_DAY,
    ) -> None:
        self._reference_rows = reference_rows
        self._middle = recent_rows // 2
        self._band = Band(band, max_false_alarms_per_series_day)
        self._rows = Rows(reference=0.0, next=np.int16(0), recent=np.full(recent_rows, np.nan))

    def update(self, batch: Batch) -> Judgement:
        at = batch.at
        self._rows.reserve(at)
        reference = self._rows["reference"][at]
        residual = self._recent_median(at, batch.row, within(batch.value, LARGEST)) - reference
        half_width = self._band.half_width(at, batch.time_ms, reference)
        judgement = judged(reference, residual, half_width)

        flagged = judgement.score >= 1.0
        weight = self._band.weight(at, flagged, self._reference_rows)
        held = np.where(weight > 0.0, half_width, 0.0)
        shift = self._band.learn(at, reference, residual, residual, flagged)
        self._rows["reference"][at] = reference + weight * within(residual, held) + shift
        return judgement

    def _recent_median(self, at: Place, row: Int64, value: Float64) -> Float64:
        """The median with the new reading in it; a row's first reading stands for all before it."""
        recent, slot = self._rows["recent"], self._rows["next"][at]
        (fresh,) = np.isnan(recent[at, 0]).nonzero()
        if len(fresh):
            recent[row[fresh]] = value[fresh, None]
        recent[row, slot] = value
        self._rows["next"][at] = (slot + 1) % recent.shape[1]
        return np.partition(recent[at], self._middle, axis=1)[:, self._middle]

    def warmup_ratio(self, row: Int64) -> Float64:
        return self._band.warmup_ratio(row)

    def state(self) -> dict[str, npt.NDArray[Any]]:
        return {**self._band.state(), **self._rows.state()}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        self._band.restore(state)
        self._rows.restore(state)
