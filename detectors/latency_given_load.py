"""Judges latency by what it has been at this load."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.band import FLAGGED_WEIGHT, Band, BandSettings
from detectors.panel import Batch, Rows
from recwatch.core.signals import Float64, Int64, Judgement

LOAD = "requests_per_second"
KNOTS_PER_OCTAVE = 2
LEAST_LOG2_LOAD = -4.0
KNOTS = 48
SHORTEST_SECONDS = 1e-9
LONGEST_SECONDS = 1e9
WIDEST_LOG = 50.0


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    """The knot below each row's load, and how far (0..1) the load is on its way to the next."""

    row: Int64
    knot: Int64
    share: Float64


class LatencyGivenLoad:
    """Log latency as a piecewise linear function of log load, learnt online at knots half an octave apart.

    It abstains where the load is missing, and where fewer than `familiar_rows` readings were seen near it: what latency is
    normal at a load never seen, nobody knows. Readings there are learnt against the last familiar expectation, so an
    overload is not taken for the normal state of a high load. The residual is the logarithm of measured over expected
    latency; the band is therefore asymmetric in seconds. A shift is confirmed late, after 3600 readings at most:
    users wait however long the trouble lasts, and it is not over for having become usual.
    """

    name = "latency_given_load"
    needs: tuple[str, ...] = (LOAD,)

    def __init__(
        self,
        memory_rows: int = 300,
        familiar_rows: float = 4.0,
        band: BandSettings = BandSettings(  # noqa: B008  (frozen)
            rebaseline_rows=3600, relative_floor=0.0, absolute_floor=0.02
        ),
    ) -> None:
        self._memory_rows = memory_rows
        self._familiar_rows = familiar_rows
        self._band = Band(band)
        self._rows = Rows(log_latency=np.zeros(KNOTS), readings=np.zeros(KNOTS), familiar_log=0.0)

    def update(self, batch: Batch) -> Judgement:
        self._rows.reserve(batch.row)
        load = batch.beside[LOAD]
        usable = np.flatnonzero((batch.value > 0.0) & (load >= 0.0))
        if len(usable) == len(batch):
            return self._judge(batch.row, batch.value, load)
        told = self._judge(batch.row[usable], batch.value[usable], load[usable])
        whole = Judgement.abstain(len(batch))
        for column in ("score", "expected", "lower", "upper"):
            getattr(whole, column)[usable] = getattr(told, column)
        return whole

    def _judge(self, row: Int64, value: Float64, load: Float64) -> Judgement:
        at = _between(row, load)
        log_value = np.log(np.clip(value, SHORTEST_SECONDS, LONGEST_SECONDS))
        log_expected, familiar = self._expected(at)
        residual = log_value - log_expected
        half_width = self._band.half_width(row, log_expected)
        self._learn(at, log_expected, residual, half_width, familiar)
        told = np.where(familiar, half_width, np.nan)
        expected = np.exp(log_expected + 0.0 * told)
        width = np.exp(np.minimum(told, WIDEST_LOG))
        return Judgement(np.abs(residual) / told, expected, expected / width, expected * width)

    def _expected(self, at: _Place) -> tuple[Float64, npt.NDArray[np.bool_]]:
        """Log of the latency expected at a load, and whether enough was seen near it."""
        row, knot = at.row, at.knot
        readings, log_latency = self._rows["readings"], self._rows["log_latency"]
        low = (1.0 - at.share) * readings[row, knot]
        high = at.share * readings[row, knot + 1]
        seen = low + high
        here = (low * log_latency[row, knot] + high * log_latency[row, knot + 1]) / np.maximum(seen, 1e-12)
        familiar = seen >= self._familiar_rows
        log_expected = np.where(familiar, here, self._rows["familiar_log"][row])
        self._rows["familiar_log"][row] = log_expected
        return log_expected, familiar

    def _learn(
        self,
        at: _Place,
        log_expected: Float64,
        residual: Float64,
        half_width: Float64,
        familiar: npt.NDArray[np.bool_],
    ) -> None:
        row = at.row
        flagged = np.abs(residual) >= half_width
        held = np.where(np.isnan(half_width), 0.0, half_width)
        target = log_expected + np.clip(residual, -held, held)
        worth = np.where(flagged, FLAGGED_WEIGHT, 1.0)
        for knot, part in ((at.knot, (1.0 - at.share) * worth), (at.knot + 1, at.share * worth)):
            readings = np.minimum(self._rows["readings"][row, knot] + part, self._memory_rows)
            self._rows["readings"][row, knot] = readings
            before = self._rows["log_latency"][row, knot]
            memory = np.where(flagged & (readings >= self._familiar_rows), self._memory_rows, np.maximum(readings, 1e-12))
            self._rows["log_latency"][row, knot] = before + part * (target - before) / memory
        shift = self._band.learn(row, log_expected, residual, residual, flagged, familiar)
        moved = np.flatnonzero(shift)
        if len(moved):
            self._rows["log_latency"][row[moved]] += shift[moved, None]
            self._rows["familiar_log"][row[moved]] += shift[moved]

    def warmup_ratio(self, row: Int64) -> Float64:
        return self._band.warmup_ratio(row)

    def state(self) -> dict[str, npt.NDArray[Any]]:
        return {**self._band.state(), **self._rows.state()}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        self._band.restore(state)
        self._rows.restore(state)


def _between(row: Int64, load: Float64) -> _Place:
    log2 = np.log2(np.maximum(load, 2.0**LEAST_LOG2_LOAD))
    position = np.minimum((log2 - LEAST_LOG2_LOAD) * KNOTS_PER_OCTAVE, KNOTS - 1.001)
    knot = position.astype(np.int64)
    return _Place(row, knot, position - knot)
