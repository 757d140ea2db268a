"""Turns Samples into Anomalies: a panel of methods judges every canonical signal, and fusion says when an anomaly is.

`METHODS` is the registry: a new method is one file and one line here, and its constructor is its configuration schema.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from detectors.floor import Floor
from detectors.latency_given_load import LatencyGivenLoad
from detectors.level_shift import LevelShift
from detectors.objective import ObjectiveBound
from detectors.panel import Detector
from detectors.river_adapter import RiverDeviation
from detectors.robust_band import RobustBand

METHODS: Mapping[str, Callable[..., Detector]] = {
    method.name: method for method in (RobustBand, LevelShift, LatencyGivenLoad, ObjectiveBound, Floor, RiverDeviation)
}
