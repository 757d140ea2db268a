"""Finds a level that has moved and stays, by less than would make any one reading surprising."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.band import Band, BandSettings, judged
from detectors.panel import LARGEST, Batch, Rows
from detectors.robust_band import FALSE_ALARMS_A_DAY
from recwatch.core.signals import Float64, Int64, Judgement


class LevelShift:
    """The median of the last `recent_rows` readings against a slow reference, within a self-calibrating band.

    The band is calibrated on such medians, so noise that comes in runs widens it; single spikes never reach it.
    """

    name = "level_shift"
    needs: tuple[str, ...] = ()

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
        row = batch.row
        self._rows.reserve(row)
        residual = self._recent_median(row, np.clip(batch.value, -LARGEST, LARGEST)) - self._rows["reference"][row]
        reference = self._rows["reference"][row]
        half_width = self._band.half_width(row, batch.time_ms, reference)
        judgement = judged(reference, residual, half_width)

        flagged = judgement.score >= 1.0
        weight = self._band.weight(row, flagged, self._reference_rows)
        held = np.where(weight > 0.0, half_width, 0.0)
        shift = self._band.learn(row, reference, residual, residual, flagged)
        self._rows["reference"][row] = reference + weight * np.clip(residual, -held, held) + shift
        return judgement

    def _recent_median(self, row: Int64, value: Float64) -> Float64:
        """The median with the new reading in it; a row's first reading stands for all before it."""
        recent = self._rows["recent"]
        slot = self._rows["next"][row]
        fresh = np.isnan(recent[row, 0])
        if fresh.any():
            recent[row[fresh]] = value[fresh, None]
        recent[row, slot] = value
        self._rows["next"][row] = (slot + 1) % recent.shape[1]
        return np.partition(recent[row], self._middle, axis=1)[:, self._middle]

    def warmup_ratio(self, row: Int64) -> Float64:
        return self._band.warmup_ratio(row)

    def state(self) -> dict[str, npt.NDArray[Any]]:
        return {**self._band.state(), **self._rows.state()}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        self._band.restore(state)
        self._rows.restore(state)
