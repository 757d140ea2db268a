"""Judges a reading by where the series has just been, and by where it is at this time of day."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.band import Band, BandSettings, judged
from detectors.daily_profile import DailyProfile
from detectors.panel import LARGEST, Batch, Rows
from recwatch.core.signals import Float64, Int64, Judgement


class RobustBand:
    """A self-calibrating band around the nearer of two predictors: a clipped level, and the daily profile plus its drift.

    A reading is surprising only if both are wrong, so no test for seasonality is needed: the profile helps once it has seen
    two days. The profile alone learns readings as they are: it can only excuse, and what comes each day is to be excused.
    Memories count readings, not seconds. A flat line that moves by more than the band's floors is judged like any
    other.
    """

    name = "robust_band"
    needs: tuple[str, ...] = ()

    def __init__(
        self,
        level_rows: int = 60,
        drift_rows: int = 30,
        band: BandSettings = BandSettings(),  # noqa: B008  (frozen)
    ) -> None:
        self._level_rows = level_rows
        self._drift_rows = drift_rows
        self._band = Band(band)
        self._daily = DailyProfile()
        self._rows = Rows(level=0.0, drift=0.0)

    def update(self, batch: Batch) -> Judgement:
        row = batch.row
        self._rows.reserve(row)
        value = np.clip(batch.value, -LARGEST, LARGEST)
        level = self._rows["level"][row]
        deviation = value - level
        usual = self._usual(row, batch.time_ms)
        expected = level if usual is None else _nearest(value, level, usual)
        residual = value - expected
        half_width = self._band.half_width(row, expected)
        judgement = judged(expected, residual, half_width)

        flagged = judgement.score >= 1.0
        weight = self._band.weight(row, flagged, self._level_rows)
        held = np.where(weight > 0.0, half_width, 0.0)
        drift_weight = self._band.weight(row, flagged, self._drift_rows)
        shift = self._band.learn(row, expected, residual, deviation, flagged)
        self._rows["level"][row] = level + weight * np.clip(deviation, -held, held) + shift
        if usual is not None:
            step = np.where(np.isnan(usual), 0.0, np.clip(value - usual, -held, held))
            self._rows["drift"][row] += drift_weight * step + shift
        self._daily.learn(row, batch.time_ms, value)
        return judgement

    def _usual(self, row: Int64, time_ms: Int64) -> Float64 | None:
        profile = self._daily.expected(row, time_ms)
        return None if profile is None else profile + self._rows["drift"][row]

    def warmup_ratio(self, row: Int64) -> Float64:
        return self._band.warmup_ratio(row)

    def state(self) -> dict[str, npt.NDArray[Any]]:
        return {**self._band.state(), **self._daily.state(), **self._rows.state()}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        self._band.restore(state)
        self._daily.restore(state)
        self._rows.restore(state)


def _nearest(value: Float64, level: Float64, usual: Float64) -> Float64:
    """Whichever of the two predictors is nearer to the value; the level where `usual` is NaN."""
    return np.where(np.abs(value - usual) < np.abs(value - level), usual, level)
