"""River's anomaly models, each a method under its own name. River is imported where a model begins."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from pydantic import Field

from detectors.one_by_one import MEAN_DEVIATION, Model, OneByOne, Outlook
from detectors.robust_band import FALSE_ALARMS_A_DAY

LEAST_DEVIATION = 0.05
"""A standard deviation that is less, in units of the noise that the warm-up saw, is not believed."""
SEED = 1


class _Deviation:
    """`StandardAbsoluteDeviation`: the distance from the mean of all readings, in standard deviations."""

    def __init__(self) -> None:
        from river import anomaly  # noqa: PLC0415  (seconds to import, and off by default)

        self._model: Any = anomaly.StandardAbsoluteDeviation()

    def outlook(self, edge: float) -> Outlook:
        return Outlook(self._model.sub_stat.get(), edge * max(self._model.variance.get() ** 0.5, LEAST_DEVIATION))

    def surprise(self, reading: float, edge: float) -> float:  # noqa: ARG002
        distance = abs(reading - self._model.sub_stat.get())
        return float(min(self._model.score_one(None, reading), distance / LEAST_DEVIATION))

    def learn(self, reading: float) -> None:
        self._model.learn_one(None, reading)


class RiverDeviation(OneByOne):
    """River's standard absolute deviation, which weighs all readings alike."""

    name = "river_sad"

    def _new(self) -> Model:
        return _Deviation()


class _Gaussian:
    """The normal distribution that `GaussianScorer` fits to the last readings.

    Its own score is a probability, which is 1 for all that is far away and cannot rank it; the deviations behind it can.
    Where adding and taking away has left a variance below zero, which the scorer fails on, it counts as none.
    """

    def __init__(self, window_rows: int) -> None:
        from river import anomaly  # noqa: PLC0415

        self._model: Any = anomaly.GaussianScorer(window_rows, 0)  # type: ignore[no-untyped-call]

    def outlook(self, edge: float) -> Outlook:
        return Outlook(self._model.gaussian.mu, edge * self._deviation())

    def surprise(self, reading: float, edge: float) -> float:  # noqa: ARG002
        return float(abs(reading - self._model.gaussian.mu) / self._deviation())

    def learn(self, reading: float) -> None:
        self._model.learn_one(None, reading)

    def _deviation(self) -> float:
        variance = self._model.gaussian._var.get()  # `sigma` is its root, and complex where it is negative
        return float(max(max(variance, 0.0) ** 0.5, LEAST_DEVIATION))


class RiverGaussian(OneByOne):
    """River's Gaussian scorer over the last `window_rows` readings."""

    name = "river_gaussian"

    def __init__(
        self,
        window_rows: Annotated[int, Field(ge=30, le=10_000)] = 300,
        *,
        max_false_alarms_per_series_day: float = FALSE_ALARMS_A_DAY,
    ) -> None:
        super().__init__(max_false_alarms_per_series_day=max_false_alarms_per_series_day)
        self._window_rows = window_rows

    def _new(self) -> Model:
        return _Gaussian(self._window_rows)


class _HalfSpaceTrees:
    """`HalfSpaceTrees` over ±`REACH` units; the surprise is one over the mass found, in units of its mean.

    Masses change at the end of each window only, so where the surprise reaches an edge is looked up on a grid.
    """

    REACH = 10.0
    HEIGHT = 8
    LEAST_MASS = 1e-4
    GRID = np.linspace(-REACH, REACH, 81)

    def __init__(self, window_rows: int, trees: int) -> None:
        from river import anomaly, stats  # noqa: PLC0415

        self._model: Any = anomaly.HalfSpaceTrees(trees, self.HEIGHT, window_rows, seed=SEED)
        self._mean, self._usual = stats.Mean(), stats.Mean()
        self._window_rows, self._learnt = window_rows, 0
        self._on_grid = np.zeros(len(self.GRID))

    def outlook(self, edge: float) -> Outlook:
        expected = float(self._mean.get())
        far = np.abs(self.GRID - expected)[self._scaled(self._on_grid) >= edge]
        return Outlook(expected, float(far.min(initial=self.REACH)) or self.REACH)

    def surprise(self, reading: float, edge: float) -> float:  # noqa: ARG002
        return float(self._scaled(self._rareness(reading)))

    def learn(self, reading: float) -> None:
        self._model.learn_one({"reading": self._place(reading)})
        self._mean.update(reading)
        self._learnt += 1
        if self._learnt % self._window_rows == 0:
            self._on_grid = np.array([self._rareness(reading) for reading in self.GRID.tolist()])
        if self._learnt > self._window_rows:
            self._usual.update(self._rareness(reading))

    def _rareness(self, reading: float) -> float:
        if self._learnt < self._window_rows:
            return 0.0
        return float(1.0 / max(1.0 - self._model.score_one({"reading": self._place(reading)}), self.LEAST_MASS))

    def _scaled(self, rareness: Any) -> Any:
        usual = self._usual.get()
        return MEAN_DEVIATION * rareness / usual if usual > 0.0 else 0.0 * rareness

    def _place(self, reading: float) -> float:
        return (min(max(reading, -self.REACH), self.REACH) / self.REACH + 1.0) / 2.0


class RiverHalfSpaceTrees(OneByOne):
    """River's half-space trees on readings scaled by their noise; silent before the first `window_rows` readings."""

    name = "river_half_space_trees"

    def __init__(
        self,
        window_rows: Annotated[int, Field(ge=10, le=10_000)] = 250,
        trees: Annotated[int, Field(ge=1, le=100)] = 10,
        *,
        max_false_alarms_per_series_day: float = FALSE_ALARMS_A_DAY,
    ) -> None:
        super().__init__(2 * window_rows, max_false_alarms_per_series_day=max_false_alarms_per_series_day)
        self._window_rows, self._trees = window_rows, trees

    def _new(self) -> Model:
        return _HalfSpaceTrees(self._window_rows, self._trees)
