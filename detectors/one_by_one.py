"""A model of a library for each row, behind the same interface as our own methods."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from detectors.band import Band, BandSettings
from detectors.panel import LARGEST, Batch, Judges, Rows, within
from detectors.robust_band import FALSE_ALARMS_A_DAY
from recwatch.core.signals import Float64, Int64, Judgement

KEPT_ROWS = 60
LEAST_UNIT_RATIO = 0.01
LEAST_UNIT = 1e-9
"""The least unit, of the level and in the series' own unit: a flat line that moves by less has not moved."""
FARTHEST = 1e6
OUTLIER = 8.0
"""Readings that a model is taught from the past are held within so many units."""
MEAN_DEVIATION = 0.8
"""The mean of |surprise| for a normal distribution; less is not believed, so a band is at least four deviations wide."""
WIDTH = BandSettings(relative_floor=0.0, absolute_floor=MEAN_DEVIATION)


class Outlook(NamedTuple):
    """The reading that a model expects next, and how far from it one is as surprising as was asked."""

    expected: float
    half_width: float


class Model(Protocol):
    """What a library knows of one series.

    Readings come in units of the series' own noise, counted from its usual level: most lie within ±2, so that parameters of
    a model mean the same for bytes and for ratios.
    """

    def outlook(self, edge: float) -> Outlook:
        """What is expected of the next reading, and where its surprise would reach `edge`."""
        ...

    def surprise(self, reading: float, edge: float) -> float:
        """How surprising a reading is: about 1 for the usual, `edge` where it would alarm."""
        ...

    def learn(self, reading: float) -> None: ...


class OneByOne(ABC):
    """Runs a `Model` for each row, and judges what it says by a band that calibrates itself on the model's own surprises.

    A model begins with the readings of the warm-up. Of a run outside the band the first reading teaches it clipped to the
    band, the others nothing. When a shift is confirmed a new model begins with the last readings. This is a loop in Python:
    judge a few signals with it. A snapshot keeps the last readings, and a restored model learns them anew: its judgements
    come close to those of before, no more.
    """

    name: str
    needs: tuple[str, ...] = ()
    judges: Judges = "distance"

    def __init__(self, kept_rows: int = KEPT_ROWS, *, max_false_alarms_per_series_day: float = FALSE_ALARMS_A_DAY) -> None:
        self._band = Band(WIDTH, max_false_alarms_per_series_day)
        self._kept_rows = kept_rows
        self._models: dict[int, Model] = {}
        self._rows = Rows(centre=0.0, unit=1.0, readings=0, kept=np.zeros(kept_rows))

    @abstractmethod
    def _new(self) -> Model:
        """A model that has learnt nothing."""

    def update(self, batch: Batch) -> Judgement:
        row, value, rows = batch.row, within(batch.value, LARGEST), self._rows
        rows.reserve(row)
        edge = self._band.half_width(row, batch.time_ms, np.zeros(len(row)))
        centre, unit = rows["centre"][row], rows["unit"][row]
        reading = within((value - centre) / unit, FARTHEST)
        running = self._band.rows["outside"][row] > 0.0
        surprise, expected, half_width = self._ask(row, reading, edge, running)
        rows["kept"][row, rows["readings"][row] % self._kept_rows] = value
        rows["readings"][row] += 1
        score = surprise / edge
        told = np.nan_to_num(surprise)
        confirmed = self._band.learn(row, np.zeros(len(row)), told, told, score >= 1.0) > 0.0
        for begun in row[confirmed | (self._band.rows["seen"][row] == WIDTH.warmup_rows) & np.isnan(edge)].tolist():
            self._settle(begun)
        middle, width = centre + unit * expected + 0.0 * edge, unit * half_width
        return Judgement(score, middle, middle - width, middle + width)

    def _ask(
        self, row: Int64, reading: Float64, edge: Float64, running: npt.NDArray[np.bool_]
    ) -> tuple[Float64, Float64, Float64]:
        """Surprise, expected reading and half-width of each row, all NaN where there is no model yet; then learn."""
        told = np.full((len(row), 3), np.nan)
        columns = (row.tolist(), reading.tolist(), edge.tolist(), running.tolist())
        for place, (number, value, limit, goes_on) in enumerate(zip(*columns, strict=True)):
            model = self._models.get(number)
            if model is None:
                continue
            expected, half_width = model.outlook(limit)
            surprise = model.surprise(value, limit)
            told[place] = surprise, expected, half_width
            if not surprise >= limit:
                model.learn(value)
            elif goes_on:
                model.learn(expected)
            else:
                model.learn(min(max(value, expected - half_width), expected + half_width))
        return told[:, 0].copy(), told[:, 1].copy(), told[:, 2].copy()

    def _settle(self, row: int) -> None:
        """Measure the series by its last readings, and begin a model with them."""
        recent = self._recent(row)
        centre = float(np.median(recent))
        deviation = float(np.mean(np.abs(recent - centre))) / MEAN_DEVIATION
        self._rows["centre"][row] = centre
        self._rows["unit"][row] = max(deviation, LEAST_UNIT_RATIO * abs(centre), LEAST_UNIT)
        self._begin(row)

    def _begin(self, row: int) -> None:
        model = self._new()
        standard = (self._recent(row) - self._rows["centre"][row]) / self._rows["unit"][row]
        for reading in within(standard, OUTLIER).tolist():
            model.learn(reading)
        self._models[row] = model

    def _recent(self, row: int) -> Float64:
        """The last readings, the oldest first."""
        readings = int(self._rows["readings"][row])
        kept: Float64 = self._rows["kept"][row]
        return kept[:readings] if readings <= self._kept_rows else np.roll(kept, -(readings % self._kept_rows))

    def warmup_ratio(self, row: Int64) -> Float64:
        return self._band.warmup_ratio(row)

    def state(self) -> dict[str, npt.NDArray[Any]]:
        return {**self._band.state(), **self._rows.state()}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        self._band.restore(state)
        self._rows.restore(state)
        self._models = {}
        for row in np.flatnonzero(self._rows["readings"] >= WIDTH.warmup_rows).tolist():
            self._begin(row)
