"""Forecasts of the statsmodels library from one evenly spaced history, to be run off the hot path."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from recwatch.core.signals import Float64

HARMONICS = 3
INTERVAL = 0.05
"""One minus the coverage of the interval from which the standard deviation of a forecast is taken."""
INTERVAL_DEVIATIONS = 3.919928
"""The width of a normal distribution's 95 % interval in standard deviations."""
PERIODIC = 1001
"""Seasons over which loess smooths each time of day; so many that it is their mean."""
MOST_STEPS = 50
"""Steps of an optimiser: what has not settled by then is nearly as good, and the next fit is minutes away."""


def forecast(kind: str, history: Float64, ahead_rows: int, season_rows: int) -> Float64:
    """Mean and standard deviation of the next `ahead_rows` values, float64[2, ahead_rows].

    `history` float64[n], NaN where a value is missing; `season_rows` values make a season. Raises ValueError where the model
    gives no finite forecast.
    """
    from threadpoolctl import threadpool_limits  # noqa: PLC0415

    known = np.isfinite(history)
    filled = np.interp(np.arange(len(history)), np.flatnonzero(known), history[known])
    centre, unit = filled.mean(), filled.std()
    if unit <= 1e-9 * max(abs(centre), 1e-9):
        return np.stack((np.full(ahead_rows, centre), np.zeros(ahead_rows)))
    season = season_rows if len(history) >= 2 * season_rows else 0
    with warnings.catch_warnings(), threadpool_limits(limits=1):  # more threads are slower on matrices as small as these
        warnings.simplefilter("ignore")
        mean, ends = MODELS[kind]((filled - centre) / unit, ahead_rows, season)
    deviation = (ends[:, 1] - ends[:, 0]) / INTERVAL_DEVIATIONS
    told = np.stack((centre + unit * np.asarray(mean), unit * deviation))
    if not np.isfinite(told).all():
        raise ValueError(f"{kind} has no finite forecast of {len(history)} values")
    return told


def _ets(history: Float64, ahead: int, season: int) -> tuple[Float64, Float64]:
    """Exponential smoothing with additive errors, a damped trend and an additive season (Holt-Winters)."""
    import pandas as pd  # noqa: PLC0415
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel  # noqa: PLC0415  (heavy)

    seasonal: dict[str, Any] = {"seasonal": "add", "seasonal_periods": season} if season else {}
    model = ETSModel(pd.Series(history), trend="add", damped_trend=True, initialization_method="heuristic", **seasonal)
    told = model.fit(disp=False, maxiter=MOST_STEPS).get_prediction(len(history), len(history) + ahead - 1)
    return told.predicted_mean.to_numpy(), told.pred_int(alpha=INTERVAL).to_numpy()


def _stl(history: Float64, ahead: int, season: int) -> tuple[Float64, Float64]:
    """A season taken out by loess (STL), the rest by ARIMA(1, 1, 1); without two seasons that alone.

    The season is the mean of the k seasons seen, and what is left therefore too small: by (k − 1) / k in variance,
    where the forecast misses by (k + 1) / k.
    """
    from statsmodels.tsa.arima.model import ARIMA  # noqa: PLC0415
    from statsmodels.tsa.forecasting.stl import STLForecast  # noqa: PLC0415

    order: dict[str, Any] = {"order": (1, 1, 1)}
    seasonal: dict[str, Any] = {"model_kwargs": order, "period": season, "seasonal": PERIODIC}
    model = STLForecast(history, ARIMA, **seasonal) if season else ARIMA(history, **order)
    told = model.fit().get_prediction(len(history), len(history) + ahead - 1)
    mean, ends = told.predicted_mean, told.conf_int(alpha=INTERVAL)
    if season:
        seasons = len(history) / season
        ends = mean[:, None] + np.sqrt((seasons + 1.0) / (seasons - 1.0)) * (ends - mean[:, None])
    return mean, ends


def _sarimax(history: Float64, ahead: int, season: int) -> tuple[Float64, Float64]:
    """ARIMA(2, 0, 1) around a mean; harmonics for the season, as a seasonal order would be as long as a day."""
    from statsmodels.tsa.statespace.sarimax import SARIMAX  # noqa: PLC0415

    waves = _harmonics(len(history) + ahead, season)
    model = SARIMAX(history, exog=waves[: len(history)] if season else None, order=(2, 0, 1), trend="c")
    fitted = model.fit(disp=False, maxiter=MOST_STEPS)
    told = fitted.get_forecast(ahead, exog=waves[len(history) :] if season else None)
    return told.predicted_mean, told.conf_int(alpha=INTERVAL)


def _local_level(history: Float64, ahead: int, season: int) -> tuple[Float64, Float64]:
    """The local level of a state space, and harmonics for the season."""
    from statsmodels.tsa.statespace.structural import UnobservedComponents  # noqa: PLC0415

    seasonal = [{"period": season, "harmonics": HARMONICS}] if season else None
    model = UnobservedComponents(history, level="local level", freq_seasonal=seasonal)
    told = model.fit(disp=False, maxiter=MOST_STEPS).get_forecast(ahead)
    return told.predicted_mean, told.conf_int(alpha=INTERVAL)


def _harmonics(rows: int, season: int) -> Float64:
    angle = 2.0 * np.pi * np.arange(rows)[:, None] * np.arange(1, HARMONICS + 1) / max(season, 1)
    return np.concatenate((np.sin(angle), np.cos(angle)), axis=1)


MODELS: Mapping[str, Callable[[Float64, int, int], tuple[Float64, Float64]]] = {
    "ets": _ets,
    "stl": _stl,
    "sarimax": _sarimax,
    "local_level": _local_level,
}
