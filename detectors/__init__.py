"""Turns Samples into Anomalies: a panel of methods judges every canonical signal, and fusion says when an anomaly is.

`METHODS` is the registry: a new method is one file and one line here, and its constructor is its configuration schema.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from detectors.exhaustion import Exhaustion
from detectors.flat_line import FlatLine
from detectors.floor import Floor
from detectors.forecast import Forecast
from detectors.latency_given_load import LatencyGivenLoad
from detectors.level_shift import LevelShift
from detectors.objective import ObjectiveBound
from detectors.panel import Detector
from detectors.river_anomaly import RiverDeviation, RiverGaussian, RiverHalfSpaceTrees
from detectors.river_drift import RiverAdwin, RiverKswin, RiverPageHinkley
from detectors.river_forecasters import RiverHoltWinters, RiverSnarimax
from detectors.robust_band import RobustBand
from detectors.statsmodels_forecast import StatsmodelsEts, StatsmodelsLocalLevel, StatsmodelsSarimax, StatsmodelsStl

OWN = (RobustBand, LevelShift, LatencyGivenLoad, ObjectiveBound, Floor, FlatLine, Exhaustion, Forecast)
RIVER = (
    RiverDeviation,
    RiverGaussian,
    RiverHalfSpaceTrees,
    RiverAdwin,
    RiverPageHinkley,
    RiverKswin,
    RiverHoltWinters,
    RiverSnarimax,
)
STATSMODELS = (StatsmodelsEts, StatsmodelsStl, StatsmodelsSarimax, StatsmodelsLocalLevel)
METHODS: Mapping[str, Callable[..., Detector]] = {method.name: method for method in (*OWN, *RIVER, *STATSMODELS)}
