"""Finds a series that has stopped varying: a stuck exporter repeats its last reading for ever."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.pace import Pace
from detectors.panel import LARGEST, Batch, Judges, Place, Rows, within
from detectors.robust_band import CAUTION, CAUTION_ROWS, FALSE_ALARMS_A_DAY, WARMUP_ROWS
from recwatch.core.signals import Float64, Int64, Judgement

MEMORY_ROWS = 1000.0
LONGER = 3.0
"""So many times the longest run so far: an exporter that is read faster than it measures repeats itself in runs."""
LONGEST_FADES = 1e-4
LEAST_SHARE = 1e-3


class FlatLine:
    """Judges how long a series has stood at exactly one value, beside how often its readings repeat.

    A series whose share of repeats is p repeats n times in a row by chance with probability p to the n. The score is 1 where
    that is so rare that `max_false_alarms_per_series_day` come by chance, and the run `LONGER` times the longest before it.
    A series that always stands still scores 0, and one that goes on standing still comes to.
    """

    name = "flat_line"
    needs: tuple[str, ...] = ()
    judges: Judges = "otherwise"

    def __init__(self, max_false_alarms_per_series_day: float = FALSE_ALARMS_A_DAY) -> None:
        self._false_alarms_a_day = max_false_alarms_per_series_day
        self._pace = Pace()
        self._rows = Rows(seen=0.0, last=np.nan, run=0.0, share=0.0, longest=0.0)

    def update(self, batch: Batch) -> Judgement:
        at, value, rows = batch.at, within(batch.value, LARGEST), self._rows
        rows.reserve(at)
        self._pace.rows.reserve(at)
        seen, share, before = rows["seen"][at], rows["share"][at], rows["run"][at]
        repeats = value == rows["last"][at]
        run = np.where(repeats, before + 1.0, 0.0)
        longest = np.where(repeats, rows["longest"][at], np.maximum(rows["longest"][at], before))
        told = np.where(seen >= WARMUP_ROWS, 0.0, np.nan)
        chance = -np.log10(np.clip(share, LEAST_SHARE, 1.0)) * run / self._needed(at, seen)
        score = told + np.minimum(chance, run / (LONGER * (longest + 1.0)))
        self._pace.note(at, batch.time_ms)
        rows["share"][at] = share + (repeats - share) / np.minimum(seen + 1.0, MEMORY_ROWS)
        rows["longest"][at] = longest * (1.0 - LONGEST_FADES)
        rows["run"][at], rows["last"][at], rows["seen"][at] = run, value, seen + 1.0
        known = value + told
        return Judgement(score, known, known, known)

    def _needed(self, at: Place, seen: Float64) -> Float64:
        """How rare a run must be, as −log10; a young series is given less credit."""
        allowed = np.log10(self._pace.rows_a_day(at) / self._false_alarms_a_day)
        return np.maximum(allowed, 1.0) + CAUTION * np.log10(1.0 + CAUTION_ROWS / (seen + 1.0))

    def warmup_ratio(self, row: Int64) -> Float64:
        self._rows.reserve(row)
        return np.minimum(self._rows["seen"][row] / WARMUP_ROWS, 1.0)

    def state(self) -> dict[str, npt.NDArray[Any]]:
        return {**self._pace.state(), **self._rows.state()}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        self._pace.restore(state)
        self._rows.restore(state)
