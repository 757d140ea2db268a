"""What others do to find anomalies, with their customary settings, the same for every series.

Each takes a whole labelled series and returns scores and alarms, causal ones: no value at a row depends on a later reading.
Formulas are those of the projects named; windows of time are turned into rows by the usual spacing of the series.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from river import anomaly, preprocessing

from detectors.evaluation import Told
from detectors.labelled import LabelledSeries
from recwatch.core.signals import Float64

HOUR_S, DAY_S = 3600.0, 86_400.0
SIGMAS = 3.0
TINY = 1e-12

Baseline = Callable[[LabelledSeries], Told]


def _rows(series: LabelledSeries, seconds: float, least: int = 1) -> int:
    return max(round(seconds / series.step_s), least)


def _beyond(value: Float64, middle: Float64, width: Float64) -> Told:
    """Distance from the middle in widths, and an alarm where it is more than one; a NaN says nothing."""
    score = np.nan_to_num(np.abs(value - middle) / np.maximum(width, TINY), nan=0.0, posinf=1e300)
    return score, score > 1.0


def static_threshold(series: LabelledSeries) -> Told:
    """Bounds set once, as by a person who looked at the history: a fifth beyond the range of the readings not scored."""
    history = series.value[: max(series.first_scored, 2)]
    low, high = history.min(), history.max()
    middle = np.full(len(series), (low + high) / 2)
    return _beyond(series.value, middle, np.full(len(series), 0.7 * (high - low)))


def three_sigma(series: LabelledSeries) -> Told:
    """Three standard deviations around the mean of the readings of the last day."""
    past = pd.Series(series.value).shift(1).rolling(_rows(series, DAY_S, 24), min_periods=10)
    return _beyond(series.value, past.mean().to_numpy(), SIGMAS * past.std().to_numpy())


def ewma(series: LabelledSeries) -> Told:
    """Three exponential standard deviations around an exponential mean of weight 0.1."""
    past = pd.Series(series.value).shift(1).ewm(alpha=0.1, min_periods=10)
    return _beyond(series.value, past.mean().to_numpy(), SIGMAS * past.std().to_numpy())


def grafana_adaptive(series: LabelledSeries) -> Told:
    """The adaptive rules of grafana/promql-anomaly-detection, out of the band for five minutes."""
    value = pd.Series(series.value)
    hour = value.rolling(_rows(series, HOUR_S), min_periods=1)
    mean, deviation = hour.mean(), hour.std().fillna(0.0)
    steady = deviation.where(deviation > 0.5 * mean).rolling(_rows(series, 26 * HOUR_S), min_periods=1).mean()
    day, week = (mean.shift(_rows(series, back * HOUR_S)) for back in (23.5, 167.5))
    upper = pd.concat([mean + 2 * steady, 1.5 * mean, day + 2 * steady, week + 2 * steady], axis=1).max(axis=1)
    lower = pd.concat([mean - 2 * steady, 0.5 * mean, day - 2 * steady, week - 2 * steady], axis=1).min(axis=1)
    return _outside_for_five_minutes(series, upper, lower)


def grafana_robust(series: LabelledSeries) -> Told:
    """The robust rules of grafana/promql-anomaly-detection: median and MAD of a day, out of the band for five minutes."""
    value = pd.Series(series.value)
    rows = _rows(series, DAY_S)
    middle = value.rolling(rows, min_periods=1).median()
    mad = (value - middle).abs().rolling(rows, min_periods=1).median()
    level = value.rolling(_rows(series, HOUR_S), min_periods=1).median()
    day, week = (level.shift(_rows(series, back * HOUR_S)) for back in (23.75, 167.75))
    upper = pd.concat([middle + 2 * mad, 1.5 * middle, day + 2 * mad, week + 2 * mad], axis=1).max(axis=1)
    lower = pd.concat([middle - 2 * mad, 0.5 * middle, day - 2 * mad, week - 2 * mad], axis=1).min(axis=1)
    return _outside_for_five_minutes(series, upper, lower)


def _outside_for_five_minutes(series: LabelledSeries, upper: pd.Series, lower: pd.Series) -> Told:
    high, low = upper.to_numpy(), np.maximum(lower.to_numpy(), 0.0)
    score, outside = _beyond(series.value, (high + low) / 2, (high - low) / 2)
    lasting = pd.Series(outside.astype(np.float64)).rolling(_rows(series, 300.0)).min().to_numpy()
    return score, lasting == 1.0


KMEANS_KEPT, KMEANS_LAGS, KMEANS_SHARE, KMEANS_LEAST_ROWS = 18, 5, 0.2, 360


def netdata_kmeans(series: LabelledSeries) -> Told:
    """Eighteen 2-means models of six hours each, a new one every three, on smoothed differences; all must agree at 99 %.

    A window has at least 360 rows, or a series read seldom would have nothing to learn from.
    """
    smooth = pd.Series(series.value).diff().fillna(0.0).rolling(3, min_periods=1).mean().to_numpy()
    vectors = np.stack([np.roll(smooth, lag) for lag in range(KMEANS_LAGS + 1)], axis=1)
    vectors[:KMEANS_LAGS] = 0.0
    rows = _rows(series, 6 * HOUR_S, KMEANS_LEAST_ROWS)
    random = np.random.default_rng(0)
    models: list[tuple[Float64, float, float]] = []
    score = np.zeros(len(series))
    for start in range(rows, len(series), rows // 2):
        window = vectors[start - rows : start]
        models = [*models, _two_means(window[random.random(rows) < KMEANS_SHARE], window)][-KMEANS_KEPT:]
        now = slice(start, start + rows // 2)
        each = [_normalised(vectors[now], *model) for model in models]
        score[now] = np.min(each, axis=0)
    return score, score >= 0.99


def _two_means(sample: Float64, window: Float64) -> tuple[Float64, float, float]:
    centres = np.stack([sample.min(axis=0), sample.max(axis=0)])
    for _ in range(20):
        nearest = _distances(sample, centres).argmin(axis=1)
        centres = np.stack([sample[nearest == k].mean(axis=0) if (nearest == k).any() else centres[k] for k in (0, 1)])
    distance = _distances(window, centres).mean(axis=1)
    return centres, float(distance.min()), float(distance.max())


def _distances(vectors: Float64, centres: Float64) -> Float64:
    distances: Float64 = np.linalg.norm(vectors[:, None, :] - centres[None, :, :], axis=2)
    return distances


def _normalised(vectors: Float64, centres: Float64, least: float, most: float) -> Float64:
    distance: Float64 = _distances(vectors, centres).mean(axis=1)
    return (distance - least) / max(most - least, TINY)


def river_sad(series: LabelledSeries) -> Told:
    """River's StandardAbsoluteDeviation: three standard deviations from the mean of all readings so far."""
    model: Any = anomaly.StandardAbsoluteDeviation()
    score = np.zeros(len(series))
    for row, value in enumerate(series.value.tolist()):
        score[row] = model.score_one(None, value)
        model.learn_one(None, value)
    score = np.nan_to_num(score, posinf=1e300)
    return score / SIGMAS, score > SIGMAS


def river_half_space_trees(series: LabelledSeries) -> Told:
    """River's HalfSpaceTrees on readings scaled by their range; an alarm above the 99.9 % quantile of the scores so far."""
    scaler: Any = preprocessing.MinMaxScaler()
    model: Any = anomaly.QuantileFilter(anomaly.HalfSpaceTrees(seed=1), q=0.999)
    score, alarm = np.zeros(len(series)), np.zeros(len(series), dtype=np.bool_)
    for row, value in enumerate(series.value.tolist()):
        reading = {"value": value}
        scaler.learn_one(reading)
        scaled = scaler.transform_one(reading)
        score[row] = model.score_one(scaled)
        alarm[row] = model.classify(score[row])
        model.learn_one(scaled)
    return score, alarm


def random_alarms(series: LabelledSeries) -> Told:
    """One alarm a day on average, at any time: what luck alone scores."""
    score: Float64 = np.random.default_rng(len(series)).random(len(series))
    alarm: npt.NDArray[np.bool_] = score > 1.0 - series.step_s / DAY_S
    return score, alarm


BASELINES: Mapping[str, Baseline] = {
    "static threshold": static_threshold,
    "3 sigma of a day": three_sigma,
    "EWMA, 3 sigma": ewma,
    "Grafana, adaptive rules": grafana_adaptive,
    "Grafana, robust rules": grafana_robust,
    "Netdata, k-means": netdata_kmeans,
    "River, SAD": river_sad,
    "River, half-space trees": river_half_space_trees,
    "random": random_alarms,
}
