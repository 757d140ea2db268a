"""A model of the River library for each row, behind the same interface as our own methods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.panel import LARGEST, Batch, Rows
from recwatch.core.signals import Float64, Int64, Judgement

LEAST_WIDTH = 1e-9
KEPT_ROWS = 60


class RiverDeviation:
    """River's StandardAbsoluteDeviation: the distance from the running mean in standard deviations, over `deviations`.

    River's model never forgets, so we start a new one on the last readings when readings outside the band
    outnumber those inside by `rebaseline_rows`. It runs in a Python loop: judge a few signals with it. A snapshot keeps the
    last readings only, and the restored model learns them anew: its judgements come close to those of before, no more.
    """

    name = "river"
    needs: tuple[str, ...] = ()

    def __init__(
        self,
        warmup_rows: int = 25,
        deviations: float = 5.0,
        caution_rows: float = 20.0,
        rebaseline_rows: int = 300,
        relative_floor: float = 0.05,
    ) -> None:
        self._warmup_rows = warmup_rows
        self._deviations = deviations
        self._caution_rows = caution_rows
        self._rebaseline_rows = rebaseline_rows
        self._relative_floor = relative_floor
        self._models: dict[int, Any] = {}
        self._rows = Rows(seen=0, outside=0, kept=np.zeros(KEPT_ROWS), raw=np.zeros(warmup_rows))

    def update(self, batch: Batch) -> Judgement:
        self._rows.reserve(batch.row)
        told = np.array(
            [self._one(row, value) for row, value in zip(batch.row.tolist(), batch.value.tolist(), strict=True)]
        ).reshape(len(batch), 4)
        return Judgement(*(np.ascontiguousarray(told[:, column]) for column in range(4)))

    def _one(self, row: int, reading: float) -> tuple[float, float, float, float]:
        value = min(max(reading, -LARGEST), LARGEST)
        model = self._models.get(row) or self._warm(row, np.empty(0))
        seen = int(self._rows["seen"][row])
        if seen < self._warmup_rows:
            self._learn(row, value, value, outside=False)
            return (np.nan,) * 4
        expected = model.sub_stat.get()
        half_width = self._half_width(model.variance.get(), expected, seen)
        lower, upper = expected - half_width, expected + half_width
        own_score = model.score_one(None, value) / (self._deviations * (1.0 + self._caution_rows / seen))
        score = min(own_score, abs(value - expected) / half_width)
        self._learn(row, value, min(max(value, lower), upper), outside=score >= 1.0)
        return score, expected, lower, upper

    def _half_width(self, variance: float, expected: float, seen: int) -> float:
        own = self._deviations * (1.0 + self._caution_rows / seen) * variance**0.5
        return float(max(own, self._relative_floor * abs(expected), LEAST_WIDTH))

    def _learn(self, row: int, value: float, clipped: float, outside: bool) -> None:
        """Learn one reading; of a run outside the band only the first."""
        seen, run = int(self._rows["seen"][row]), int(self._rows["outside"][row])
        if not outside or run == 0:
            self._models[row].learn_one(None, clipped)
        self._rows["kept"][row, seen % KEPT_ROWS] = clipped
        self._rows["raw"][row, seen % self._warmup_rows] = value
        self._rows["seen"][row] = seen + 1
        self._rows["outside"][row] = max(run + (1 if outside else -1), 0)
        if self._rows["outside"][row] >= self._rebaseline_rows:
            recent = self._rows["raw"][row]
            self._warm(row, recent)
            self._rows["kept"][row, : len(recent)] = recent
            self._rows["seen"][row] = self._warmup_rows
            self._rows["outside"][row] = 0

    def _warm(self, row: int, readings: Float64) -> Any:
        from river import anomaly  # noqa: PLC0415  (seconds to import, and off by default)

        model: Any = anomaly.StandardAbsoluteDeviation()
        self._models[row] = model
        for reading in readings.tolist():
            model.learn_one(None, reading)
        return model

    def warmup_ratio(self, row: Int64) -> Float64:
        self._rows.reserve(row)
        return np.minimum(self._rows["seen"][row] / self._warmup_rows, 1.0)

    def state(self) -> dict[str, npt.NDArray[Any]]:
        return self._rows.state()

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        self._rows.restore(state)
        for row in np.flatnonzero(self._rows["seen"]).tolist():
            self._warm(row, self._rows["kept"][row, : min(int(self._rows["seen"][row]), KEPT_ROWS)])
