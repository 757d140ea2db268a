"""River's forecasters, each a method under its own name. River is imported where a model begins."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from detectors.one_by_one import FARTHEST, KEPT_ROWS, Model, OneByOne, Outlook
from detectors.robust_band import FALSE_ALARMS_A_DAY

Share = Annotated[float, Field(gt=0.0, lt=1.0)]
Lags = Annotated[int, Field(ge=0, le=100)]


class _Forecaster:
    """The distance from what one of River's forecasters expected next, in units of the noise.

    `offset` units are added to what it is given. It begins with `calm` readings at the usual level, and says nothing before
    `first` others. One that ran away begins anew.
    """

    def __init__(self, model: Any, offset: float = 0.0, calm: int = 0, first: int = 1) -> None:
        self._fresh, self._offset, self._calm, self._first = model, offset, calm, first
        self._begin()

    def outlook(self, edge: float) -> Outlook:
        return Outlook(self._expected, edge)

    def surprise(self, reading: float, edge: float) -> float:  # noqa: ARG002
        return abs(reading - self._expected)

    def learn(self, reading: float) -> None:
        self._model.learn_one(reading + self._offset)
        self._learnt += 1
        if self._learnt < self._first:
            return
        self._expected = float(self._model.forecast(horizon=1)[0]) - self._offset
        if not abs(self._expected) <= FARTHEST:
            self._begin()

    def _begin(self) -> None:
        self._model, self._learnt, self._expected = self._fresh.clone(), 0, 0.0
        for _ in range(self._calm):
            self._model.learn_one(self._offset)


class RiverHoltWinters(OneByOne):
    """River's additive Holt-Winters: level, trend, and a season of `season_rows` readings where there is one."""

    name = "river_holt_winters"
    OFFSET = 10.0
    """River divides the first season by its mean level, which would be about 0."""

    def __init__(
        self,
        alpha: Share = 0.2,
        beta: Share = 0.02,
        gamma: Share = 0.1,
        season_rows: Annotated[int, Field(ge=0, le=10_000)] = 0,
        *,
        max_false_alarms_per_series_day: float = FALSE_ALARMS_A_DAY,
    ) -> None:
        kept_rows = max(KEPT_ROWS, 2 * season_rows)
        super().__init__(kept_rows, max_false_alarms_per_series_day=max_false_alarms_per_series_day)
        season = {"gamma": gamma, "seasonality": season_rows} if season_rows else {}
        self._settings: dict[str, Any] = {"alpha": alpha, "beta": beta, **season}
        self._calm = 0 if season_rows else 2
        """Two of its first readings are what River takes a trend from, and noise would be one."""
        self._first = max(1, season_rows)

    def _new(self) -> Model:
        from river import time_series  # noqa: PLC0415

        model = time_series.HoltWinters(**self._settings)  # type: ignore[no-untyped-call]
        return _Forecaster(model, self.OFFSET, self._calm, self._first)


class RiverSnarimax(OneByOne):
    """River's SNARIMAX: a linear model of the last `p` readings and `q` errors, `d` times differenced, learnt as it goes.

    It learns by passive-aggressive steps (Crammer et al., "Online passive-aggressive algorithms", 2006), which never go
    farther than to what would have been right. River's default, gradient descent at a fixed rate, does after an outlier:
    the weight of the last error passes 1, and errors grow by themselves. An error of less than a tenth teaches nothing, so
    a model that is fed its own forecasts stays as it is.
    """

    name = "river_snarimax"
    LONGEST_STEP = 0.01
    """By how much, for each deviation that what came before it was away, one reading moves a weight."""

    def __init__(
        self,
        p: Lags = 3,
        d: Annotated[int, Field(ge=0, le=2)] = 0,
        q: Lags = 1,
        *,
        max_false_alarms_per_series_day: float = FALSE_ALARMS_A_DAY,
    ) -> None:
        super().__init__(max_false_alarms_per_series_day=max_false_alarms_per_series_day)
        self._orders: dict[str, Any] = {"p": p, "d": d, "q": q}

    def _new(self) -> Model:
        from river import linear_model, preprocessing, time_series  # noqa: PLC0415

        steps = linear_model.PARegressor(C=self.LONGEST_STEP)  # type: ignore[no-untyped-call]
        regressor = preprocessing.StandardScaler() | steps
        return _Forecaster(time_series.SNARIMAX(**self._orders, regressor=regressor))
