"""Judges latency by what it has been at this load, with a cache as full as this one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.band import FLAGGED_WEIGHT, Band, BandSettings
from detectors.panel import Batch, Judges, Place, Rows, within
from detectors.robust_band import FALSE_ALARMS_A_DAY
from detectors.sustained import Sustained
from recwatch.core.signals import Float64, Int64, Judgement

LOAD = "requests_per_second"
CACHE = "cache_hit_ratio"
KNOTS_PER_OCTAVE = 4
LEAST_LOG2_LOAD = -4.0
KNOTS = 96
BELOW_AND_ABOVE = np.array([[0], [1]])
SHORTEST_SECONDS = 1e-9
LONGEST_SECONDS = 1e9
WIDEST_LOG = 50.0
MOST_HITS = 0.99
MISS_MEMORY_ROWS = 1000.0
SLOPE_VARIANCE = 0.1
"""Before anything is learnt the slope is 0.5 ± 0.3: a mean over all requests has 1, a tail 0."""
SLOPE_DRIFT = 1e-7
"""How much less certain the slope over the share of misses becomes with each reading."""
LOAD_SECONDS = 5.0
"""Time constant of the load that counts; a reading a minute counts whole."""
LASTING_ROWS = 30.0
SHARE = 1.0 / 3.0
"""Of the false alarms asked for, each of the band, the band of what lasts and what is sustained may use up so much."""
PRIOR_PEAKS = 50.0
"""After a surge the band is to be narrow enough for the next regression: its few peaks make no heavy tail."""
CAUTION_ROWS, LASTING_CAUTION_ROWS = 2.0, 100.0
"""A band is wider where few readings were seen near the load, by so many over their number."""


@dataclass(frozen=True, slots=True, eq=False)
class _Load:
    """The two knots around each row's load, int64[2, n], its share (0..1) in either, and the log share of misses."""

    row: Int64
    at: Place
    knots: Int64
    shares: Float64
    log_misses: Float64


@dataclass(frozen=True, slots=True, eq=False)
class _Expected:
    """Log of the latency expected, how many readings it rests on, its error from the share of misses, and if it is known.

    `known_readings` and `known_log` are what is known at the two knots, float32[2, n].
    """

    log: Float64
    readings: Float64
    error: Float64
    misses: Float64
    familiar: npt.NDArray[np.bool_]
    known_readings: npt.NDArray[np.float32]
    known_log: npt.NDArray[np.float32]


class LatencyGivenLoad:
    """Log latency as a piecewise linear function of log load, learnt online at knots a quarter of an octave apart.

    The load is what reaches the model: requests that the cache does not answer. The share of misses counts once more, with
    a slope learnt by recursive least squares, since a mean over all requests grows with it and a tail does not; where the
    slope is uncertain and the share unusual, the band is wider and little is learnt. It abstains where the load is missing,
    and where fewer than `familiar_rows` readings were seen near it: what latency is normal at a load never seen, nobody
    knows. Readings there are learnt against the last familiar expectation, so an overload is not taken for the normal state
    of a high load.

    The residual is the logarithm of measured over expected latency; the band is therefore asymmetric in seconds. Beside the
    residual, its exponential mean over `LASTING_ROWS` readings is judged by a band of its own: a small slow-down at equal
    load is no outlier, but it lasts. A shift is confirmed late, after 3600 readings at most: users wait however long the
    trouble lasts, and it is not over for having become usual.
    """

    name = "latency_given_load"
    needs: tuple[str, ...] = (LOAD, CACHE)
    judges: Judges = "distance"

    def __init__(
        self,
        memory_rows: int = 300,
        familiar_rows: float = 4.0,
        band: BandSettings = BandSettings(  # noqa: B008  (frozen)
            rebaseline_rows=3600, relative_floor=0.0, absolute_floor=0.02, prior_peaks=PRIOR_PEAKS, share=SHARE
        ),
        lasting_band: BandSettings = BandSettings(  # noqa: B008  (frozen)
            rebaseline_rows=3600,
            relative_floor=0.0,
            absolute_floor=0.004,
            caution_rows=60.0,
            scale_rows=3000,
            margin=3.0,
            tail_step=0.02,
            prior_peaks=PRIOR_PEAKS,
            share=SHARE,
        ),
        *,
        max_false_alarms_per_series_day: float = FALSE_ALARMS_A_DAY,
    ) -> None:
        self._memory_rows = memory_rows
        self._familiar_rows = familiar_rows
        self._band = Band(band, max_false_alarms_per_series_day)
        self._lasting_band = Band(lasting_band, max_false_alarms_per_series_day)
        self._sustained = Sustained()
        self._rows = Rows(
            log_latency=np.zeros(KNOTS, dtype=np.float32),
            readings=np.zeros(KNOTS, dtype=np.float32),
            familiar_log=0.0,
            slope=0.5,
            slope_variance=SLOPE_VARIANCE,
            last_ms=np.int64(0),
            load=np.nan,
            misses=np.nan,
            usual_misses=np.nan,
            noise=0.1,
            lasting=0.0,
        )

    def update(self, batch: Batch) -> Judgement:
        self._rows.reserve(batch.at)
        (usable,) = ((batch.value > 0.0) & (batch.beside[LOAD] >= 0.0)).nonzero()
        if len(usable) == len(batch):
            return self._judge(batch)
        whole, told = Judgement.abstain(len(batch)), self._judge(batch.only(usable))
        for column in ("score", "expected", "lower", "upper"):
            getattr(whole, column)[usable] = getattr(told, column)
        return whole

    def _judge(self, batch: Batch) -> Judgement:
        load = self._load(batch)
        at, expected = load.at, self._expected(load)
        residual = np.log(np.minimum(np.maximum(batch.value, SHORTEST_SECONDS), LONGEST_SECONDS)) - expected.log
        size = np.abs(residual)
        few = 1.0 / np.maximum(expected.readings, 1.0)
        half_width = self._band.half_width(at, batch.time_ms, expected.log) * (1.0 + CAUTION_ROWS * few) + expected.error
        lasting = self._lasting(at, residual, half_width, expected)
        lasting_width = self._lasting_band.half_width(at, batch.time_ms, expected.log)
        lasting_width = lasting_width * (1.0 + LASTING_CAUTION_ROWS * few) + expected.error
        still = np.minimum(np.maximum(lasting * np.sign(residual), 0.0), 2.0 * size)
        score = np.where(expected.familiar, np.maximum(size / half_width, still / lasting_width), np.nan)
        self._learn(load, expected, residual, half_width, score >= 1.0)
        self._lasting_band.learn(at, expected.log, lasting, lasting, np.abs(lasting) >= lasting_width, expected.familiar)
        score = np.maximum(score, self._sustained.score(at, load.row, np.copysign(score, residual), self._band.rarity(at)))
        told = np.where(expected.familiar, half_width, np.nan)
        seconds = np.exp(expected.log + 0.0 * told)
        width = np.exp(np.minimum(told, WIDEST_LOG))
        return Judgement(score, seconds, seconds / width, seconds * width)

    def _load(self, batch: Batch) -> _Load:
        """Where the load of the last `LOAD_SECONDS` lies: what one second brings is chance, and latency lags behind it."""
        rows, at, hits = self._rows, batch.at, batch.beside[CACHE]
        misses = 1.0 - np.minimum(np.maximum(np.where(np.isnan(hits), 0.0, hits), 0.0), MOST_HITS)
        newest = 1.0 - np.exp((rows["last_ms"][at] - batch.time_ms) / (1000.0 * LOAD_SECONDS))
        rows["last_ms"][at] = batch.time_ms
        for name, value in (("load", batch.beside[LOAD] * misses), ("misses", misses)):
            before = rows[name][at]
            rows[name][at] = np.where(np.isnan(before), value, before + newest * (value - before))
        log2 = np.log2(np.maximum(rows["load"][at], 2.0**LEAST_LOG2_LOAD))
        position = np.minimum((log2 - LEAST_LOG2_LOAD) * KNOTS_PER_OCTAVE, KNOTS - 1.001)
        knot = position.astype(np.int64)
        share = position - knot
        shares = np.where(BELOW_AND_ABOVE, share, 1.0 - share)
        return _Load(batch.row, at, knot + BELOW_AND_ABOVE, shares, np.log(rows["misses"][at]))

    def _expected(self, load: _Load) -> _Expected:
        rows, at, cells = self._rows, load.at, (load.row, load.knots)
        known_readings, known_log = rows["readings"][cells], rows["log_latency"][cells]
        readings = load.shares * known_readings
        seen, here = np.add.reduce(readings), np.add.reduce(readings * known_log)
        usual_misses = rows["usual_misses"][at]
        misses = load.log_misses - np.where(np.isnan(usual_misses), load.log_misses, usual_misses)
        familiar = seen >= self._familiar_rows
        log = np.where(familiar, here / np.maximum(seen, 1e-12) + rows["slope"][at] * misses, rows["familiar_log"][at])
        error = 3.0 * np.abs(misses) * np.sqrt(rows["slope_variance"][at])
        rows["familiar_log"][at] = log
        return _Expected(log, seen, error, misses, familiar, known_readings, known_log)

    def _lasting(self, at: Place, residual: Float64, half_width: Float64, expected: _Expected) -> Float64:
        """The exponential mean of the residual; where nothing is expected it stays."""
        before = self._rows["lasting"][at]
        held = within(residual, np.where(np.isnan(half_width), np.abs(residual), half_width))
        lasting = np.where(expected.familiar, before + (held - before) / LASTING_ROWS, before)
        self._rows["lasting"][at] = lasting
        return lasting

    def _learn(
        self,
        load: _Load,
        expected: _Expected,
        residual: Float64,
        half_width: Float64,
        flagged: npt.NDArray[np.bool_],
    ) -> None:
        rows, at, cells = self._rows, load.at, (load.row, load.knots)
        held = within(residual, np.where(np.isnan(half_width), 0.0, half_width))
        self._learn_misses(load, expected, held, flagged)
        target = expected.log + held - rows["slope"][at] * expected.misses
        sure = rows["noise"][at] ** 2
        worth = np.where(flagged, FLAGGED_WEIGHT, 1.0) * sure / (sure + expected.error**2)
        part = load.shares * worth
        readings = np.minimum(expected.known_readings + part, self._memory_rows)
        memory = np.where(flagged & (readings >= self._familiar_rows), self._memory_rows, np.maximum(readings, 1e-12))
        rows["readings"][cells] = readings
        rows["log_latency"][cells] = expected.known_log + part * (target - expected.known_log) / memory
        shift = self._band.learn(at, expected.log, residual, residual, flagged, expected.familiar)
        (moved,) = shift.nonzero()
        if len(moved):
            rows["log_latency"][load.row[moved]] += shift[moved, None]
            rows["familiar_log"][load.row[moved]] += shift[moved]

    def _learn_misses(self, load: _Load, expected: _Expected, held: Float64, flagged: npt.NDArray[np.bool_]) -> None:
        rows, at = self._rows, load.at
        before, noise, variance = rows["usual_misses"][at], rows["noise"][at], rows["slope_variance"][at]
        usual = np.where(np.isnan(before), load.log_misses, before)
        gain = variance * expected.misses / (noise**2 * LASTING_ROWS + variance * expected.misses**2)
        gain = np.where(expected.familiar & ~flagged, gain, 0.0)
        rows["usual_misses"][at] = usual + (load.log_misses - usual) / MISS_MEMORY_ROWS
        rows["noise"][at] = np.maximum(noise + (np.minimum(np.abs(held), 3.0 * noise) - noise) / MISS_MEMORY_ROWS, 1e-3)
        rows["slope"][at] += gain * held
        rows["slope_variance"][at] = np.minimum(variance * (1.0 - gain * expected.misses) + SLOPE_DRIFT, SLOPE_VARIANCE)

    def warmup_ratio(self, row: Int64) -> Float64:
        return self._band.warmup_ratio(row)

    def state(self) -> dict[str, npt.NDArray[Any]]:
        lasting = {f"lasting.{name}": column for name, column in self._lasting_band.state().items()}
        return {**self._band.state(), **lasting, **self._sustained.state(), **self._rows.state()}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        self._band.restore(state)
        self._sustained.restore(state)
        prefix = "lasting."
        self._lasting_band.restore(
            {name.removeprefix(prefix): column for name, column in state.items() if name.startswith(prefix)}
        )
        self._rows.restore(state)
