"""The default detection on a single series, one point at a time: how anyone scores it on labelled data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from detectors.fusion import Hysteresis
from detectors.panel import Batch
from detectors.robust_band import RobustBand


class LabelledSeriesDetector:
    """The method that judges nearly every signal, with the starts and ends of the stage; one setting for all series.

    `level_shift` is left out: it does not know the time of day, and alarmed at every daily peak.
    """

    def __init__(self) -> None:
        self._method = RobustBand()
        self._hysteresis = Hysteresis(methods=1)
        self._row = np.zeros(1, dtype=np.int64)

    def update(self, timestamp: float, value: float) -> tuple[float, bool]:
        """Score of a reading at `timestamp` (unix seconds), and whether an anomaly starts with it.

        The score is 0 at the expected value and 1 at the edge of the band. An anomaly is told once, at its start. A value
        that is not finite is not judged.
        """
        if not np.isfinite(value):
            return 0.0, False
        time_ms = np.array([round(timestamp * 1000)], dtype=np.int64)
        judgement = self._method.update(Batch(self._row, time_ms, np.array([value], dtype=np.float64), {}))
        changes = self._hysteresis.update(self._row, time_ms, judgement.score[:, None])
        return float(np.nan_to_num(judgement.score[0])), bool(changes.started)


def labelled_series_detector(metadata: Mapping[str, Any]) -> LabelledSeriesDetector:  # noqa: ARG001  (one setting for all)
    """A fresh detector for one series, whatever its `kind` and `step_s`."""
    return LabelledSeriesDetector()
