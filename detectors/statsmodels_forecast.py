"""Forecasts of the statsmodels library, fitted again every few minutes by a worker, as methods under their own names."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Mapping
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from functools import cache
from importlib.util import find_spec
from multiprocessing import get_context
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from detectors.band import Band, BandSettings
from detectors.forecast import HORIZON_S
from detectors.one_by_one import LEAST_UNIT, LEAST_UNIT_RATIO, MEAN_DEVIATION
from detectors.panel import LARGEST, Batch, Judges, Rows, within
from detectors.robust_band import FALSE_ALARMS_A_DAY
from detectors.statsmodels_fits import forecast
from recwatch.core.errors import BadInput
from recwatch.core.signals import Float64, Int64, Judgement

logger = logging.getLogger(__name__)

LEAST_HISTORY = 12
"""Values from which a first forecast is made."""
WIDTH = BandSettings(warmup_rows=12, relative_floor=0.0, absolute_floor=MEAN_DEVIATION)
NICENESS = 10
LARGEST_DEVIATIONS = 1e6
NEVER_MS = -(2**62)
COVERED_95 = 1.96


class StatsmodelsForecast:
    """Judges readings by the latest forecast of their series, within a band that calibrates itself on its interval.

    The history is made of means of `bucket_s` over `history_days`; its season is a day once it is two days long. It is
    fitted every `refit_minutes` of sample time by a process of its own, so that nothing waits for it. Without a forecast,
    and two refits after the last one, a row abstains. Readings outside the band enter the history as what was expected in
    their place; a confirmed shift moves the history.
    """

    kind = ""
    name = ""
    needs: tuple[str, ...] = ()
    judges: Judges = "distance"
    foresees = "recwatch_forecast"

    def __init__(
        self,
        bucket_s: Annotated[float, Field(ge=1.0, le=3600.0)] = 300.0,
        history_days: Annotated[float, Field(gt=0.0, le=60.0)] = 3.0,
        refit_minutes: Annotated[float, Field(gt=0.0, le=1440.0)] = 10.0,
        *,
        max_false_alarms_per_series_day: float = FALSE_ALARMS_A_DAY,
        worker: Executor | None = None,
    ) -> None:
        if find_spec("statsmodels") is None:
            raise BadInput(f"{self.name} needs the package statsmodels; install recwatch[statsmodels]")
        self._worker = worker
        self._bucket_ms, self._refit_ms = round(1000 * bucket_s), round(60_000 * refit_minutes)
        self._season_rows = round(86_400 / bucket_s)
        self._ahead_rows = -(-round(2 * self._refit_ms + 1000 * HORIZON_S) // self._bucket_ms) + 1
        self._band = Band(WIDTH, max_false_alarms_per_series_day)
        history = np.full(max(round(history_days * self._season_rows), LEAST_HISTORY), np.nan)
        blank = np.full(self._ahead_rows, np.nan)
        self._rows = Rows(
            bucket=np.int64(-1),
            total=0.0,
            readings=0.0,
            history=history,
            asked_ms=np.int64(NEVER_MS),
            start=np.int64(0),
            mean=blank,
            deviation=blank,
        )
        self._fitting: dict[int, tuple[int, Future[Float64]]] = {}

    def update(self, batch: Batch) -> Judgement:
        row, value, rows = batch.row, within(batch.value, LARGEST), self._rows
        rows.reserve(row)
        bucket = batch.time_ms // self._bucket_ms
        self._close(row, bucket)
        self._ask(row, batch.time_ms)
        self._collect()
        expected, deviation = self._forecast(row, bucket)
        known = ~np.isnan(expected)
        unit = np.maximum(deviation, LEAST_UNIT_RATIO * np.abs(expected) + LEAST_UNIT)
        edge = self._band.half_width(row, batch.time_ms, np.zeros(len(row))) + 0.0 * expected
        away = within((value - expected) / unit, LARGEST_DEVIATIONS)
        score = np.abs(away) / edge
        flagged = score >= 1.0
        rows["total"][row] += np.where(flagged, expected, value)
        rows["readings"][row] += 1.0
        self._recalibrate(row[known], away[known], unit[known], flagged[known])
        told = expected + 0.0 * edge
        return Judgement(score, told, told - unit * edge, told + unit * edge)

    def foresight(self, row: Int64) -> Float64:
        """The forecast for `HORIZON_S` after each row's last reading, and its 95 % interval, float64[n, 3].

        The interval is the model's, widened where readings so far have missed their forecasts by more than it says.
        """
        self._rows.reserve(row)
        mean, deviation = self._forecast(row, self._rows["bucket"][row] + round(1000 * HORIZON_S / self._bucket_ms))
        reach = COVERED_95 * deviation * np.maximum(self._band.rows["scale"][row] / MEAN_DEVIATION, 1.0)
        return np.stack((mean, np.maximum(mean - reach, 0.0), mean + reach), axis=1)

    def _close(self, row: Int64, bucket: Int64) -> None:
        """Append the means of the buckets that are over; those without a reading are missing."""
        rows = self._rows
        over = np.flatnonzero(bucket != rows["bucket"][row])
        ended = row[over][rows["readings"][row[over]] > 0.0]
        length = rows["history"].shape[1]
        for number, now in zip(ended.tolist(), bucket[over][rows["readings"][row[over]] > 0.0].tolist(), strict=True):
            passed = int(np.clip(now - rows["bucket"][number], 1, length))
            history = np.roll(rows["history"][number], -passed)
            history[length - passed :] = np.nan
            history[length - passed] = rows["total"][number] / rows["readings"][number]
            rows["history"][number] = history
        for column, value in (("bucket", bucket[over]), ("total", 0.0), ("readings", 0.0)):
            rows[column][row[over]] = value

    def _ask(self, row: Int64, time_ms: Int64) -> None:
        """Have the histories that are due fitted."""
        rows = self._rows
        due = (time_ms - rows["asked_ms"][row] >= self._refit_ms) & (self._values(row) >= LEAST_HISTORY)
        for number, now_ms in zip(row[due].tolist(), time_ms[due].tolist(), strict=True):
            if number in self._fitting:
                continue
            rows["asked_ms"][number] = now_ms
            history = rows["history"][number]
            history = history[np.flatnonzero(~np.isnan(history))[0] :].copy()
            work = (self.kind, history, self._ahead_rows, self._season_rows)
            try:
                fitting = (self._worker or fitting_process()).submit(forecast, *work)
            except BrokenExecutor as error:
                _give_up(self.name, error)
            else:
                self._fitting[number] = (int(rows["bucket"][number]), fitting)

    def _collect(self) -> None:
        """Take over the forecasts that are ready."""
        for number, (start, fitting) in list(self._fitting.items()):
            if not fitting.done():
                continue
            del self._fitting[number]
            error = fitting.exception()
            if error is not None:
                _give_up(self.name, error)
                continue
            self._rows["mean"][number], self._rows["deviation"][number] = fitting.result()
            self._rows["start"][number] = start

    def _forecast(self, row: Int64, bucket: Int64) -> tuple[Float64, Float64]:
        """Mean and standard deviation forecast for a bucket of each row; NaN where there is no forecast for it."""
        place = bucket - self._rows["start"][row]
        inside = (place >= 0) & (place < self._ahead_rows)
        place = np.where(inside, place, 0)
        told = (np.where(inside, self._rows[name][row, place], np.nan) for name in ("mean", "deviation"))
        mean, deviation = told
        return mean, deviation

    def _recalibrate(self, row: Int64, away: Float64, unit: Float64, flagged: npt.NDArray[np.bool_]) -> None:
        warm = self._band.warmup_ratio(row) >= 1.0
        shift = self._band.learn(row, np.zeros(len(row)), away, away, flagged)
        for place in np.flatnonzero((shift != 0.0) & warm).tolist():
            number = int(row[place])
            self._fitting.pop(number, None)
            self._rows["asked_ms"][number] = NEVER_MS
            for column in ("history", "mean"):
                self._rows[column][number] += shift[place] * unit[place]

    def _values(self, row: Int64) -> Int64:
        values: Int64 = np.count_nonzero(~np.isnan(self._rows["history"][row]), axis=1)
        return values

    def warmup_ratio(self, row: Int64) -> Float64:
        self._rows.reserve(row)
        history = np.minimum(self._values(row) / LEAST_HISTORY, 1.0)
        return 0.5 * history + 0.5 * self._band.warmup_ratio(row)

    def state(self) -> dict[str, npt.NDArray[Any]]:
        return {**self._band.state(), **self._rows.state()}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        self._band.restore(state)
        self._rows.restore(state)
        self._fitting = {}


class StatsmodelsEts(StatsmodelsForecast):
    """Exponential smoothing (Holt-Winters) by statsmodels."""

    kind, name = "ets", "statsmodels_ets"


class StatsmodelsStl(StatsmodelsForecast):
    """A season taken out by loess, and ARIMA for the rest, by statsmodels; its interval holds from a week of history on."""

    kind, name = "stl", "statsmodels_stl"


class StatsmodelsSarimax(StatsmodelsForecast):
    """ARIMA with harmonics of the day, by statsmodels."""

    kind, name = "sarimax", "statsmodels_sarimax"


class StatsmodelsLocalLevel(StatsmodelsForecast):
    """A local level with harmonics of the day, by statsmodels."""

    kind, name = "local_level", "statsmodels_local_level"


@cache
def fitting_process() -> Executor:
    """The one process that fits for all methods; it begins with the first fit."""
    return ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn"), initializer=_step_back)


def _step_back() -> None:
    """In the process that fits: let others go first, and leave Ctrl-C to the one that is asked."""
    os.nice(NICENESS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _give_up(name: str, error: BaseException) -> None:
    """A fit that failed is tried again when the next is due; a process that died is begun anew."""
    logger.warning("%s has no new forecast: %s", name, error)
    if isinstance(error, BrokenExecutor):
        fitting_process.cache_clear()
