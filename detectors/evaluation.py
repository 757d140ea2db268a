"""The default detection on a single series, one point at a time: how anyone scores it on labelled data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from detectors.fusion import Hysteresis
from detectors.level_shift import LevelShift
from detectors.panel import Batch
from detectors.robust_band import RobustBand


class LabelledSeriesDetector:
    """The methods that need nothing beside the series, fused as in the stage; one setting for all series.

    An alarm is told at the start of an anomaly only, however long it lasts.
    """

    def __init__(self) -> None:
        self._methods = (RobustBand(), LevelShift())
        self._hysteresis = Hysteresis(len(self._methods))
        self._row = np.zeros(1, dtype=np.int64)

    def update(self, timestamp: float, value: float) -> tuple[float, bool]:
        """Score of a reading at `timestamp` (unix seconds), at least 0, and whether an anomaly starts with it.

        The score is 1 at the edge of the widest band that it broke. A value that is not finite is not judged.
        """
        if not np.isfinite(value):
            return 0.0, False
        time_ms = np.array([round(timestamp * 1000)], dtype=np.int64)
        batch = Batch(self._row, time_ms, np.array([value], dtype=np.float64), {})
        scores = np.array([[method.update(batch).score[0] for method in self._methods]])
        alarmed = self._alarmed()
        self._hysteresis.update(self._row, time_ms, scores)
        return float(np.nan_to_num(scores).max()), self._alarmed() and not alarmed

    def _alarmed(self) -> bool:
        return bool(self._hysteresis.rows["open"].any())


def labelled_series_detector(metadata: Mapping[str, Any]) -> LabelledSeriesDetector:  # noqa: ARG001  (one setting for all)
    """A fresh detector for one series, whatever its `kind` and `step_s`."""
    return LabelledSeriesDetector()
