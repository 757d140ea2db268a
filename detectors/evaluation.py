"""The default detection on labelled series, one point at a time, and how good it is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from detectors.change_point_score import ChangePointScores, change_point_scores
from detectors.event_score import Alarms, EventScores, event_scores, mean_average_precision, pooled
from detectors.fusion import Hysteresis
from detectors.labelled import NAB, LabelledSeries
from detectors.nab_score import nab_score
from detectors.panel import Batch
from detectors.robust_band import RobustBand
from recwatch.core.signals import Float64


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
        changes = self._hysteresis.update(self._row, time_ms, judgement.score[:, None], starts_after=1)
        return float(np.nan_to_num(judgement.score[0])), bool(changes.started)


def labelled_series_detector(metadata: Mapping[str, Any]) -> LabelledSeriesDetector:  # noqa: ARG001  (one setting for all)
    """A fresh detector for one series, whatever its `kind` and `step_s`."""
    return LabelledSeriesDetector()


@dataclass(frozen=True, slots=True)
class SourceScores:
    """How good detection is on the series of one source; what does not apply is None."""

    series: int
    events: EventScores | None = None
    average_precision: float | None = None
    nab_standard: float | None = None
    change_points: ChangePointScores | None = None


Told = tuple[Float64, Alarms]
"""Scores and alarms of a series, float64[n] and bool[n]."""


def run(detector: LabelledSeriesDetector, series: LabelledSeries) -> Told:
    """Feed a series to a detector, one point at a time."""
    told = [detector.update(*reading) for reading in zip(series.time_s.tolist(), series.value.tolist(), strict=True)]
    return np.array([score for score, _ in told]), np.array([alarm for _, alarm in told], dtype=np.bool_)


def evaluate(corpus: Sequence[LabelledSeries], told: Sequence[Told]) -> dict[str, SourceScores]:
    """The scores of each source in the corpus; `told` is aligned to it."""
    by_source: dict[str, list[tuple[LabelledSeries, Told]]] = {}
    for series, one in zip(corpus, told, strict=True):
        by_source.setdefault(series.source, []).append((series, one))
    return {source: _of_source(pairs) for source, pairs in sorted(by_source.items())}


def _of_source(pairs: Sequence[tuple[LabelledSeries, Told]]) -> SourceScores:
    corpus = [series for series, _ in pairs]
    scores, alarms = [score for _, (score, _) in pairs], [alarm for _, (_, alarm) in pairs]
    if corpus[0].kind == "changepoint":
        return SourceScores(len(corpus), change_points=change_point_scores(corpus, alarms))
    at_alarms = [alarm.astype(np.float64) for alarm in alarms]
    return SourceScores(
        len(corpus),
        pooled(event_scores(*pair) for pair in zip(corpus, alarms, strict=True)),
        mean_average_precision(corpus, scores),
        nab_score(corpus, at_alarms, 1.0).value if corpus[0].source == NAB else None,
    )
