"""The default detection on labelled series, one point at a time, and how good it is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np

from detectors.change_point_score import ChangePointScores, change_point_scores
from detectors.change_points import SURE, ChangePoints
from detectors.event_score import Alarms, EventScores, event_scores, mean_average_precision, pooled
from detectors.fusion import Hysteresis
from detectors.labelled import NAB, LabelledSeries
from detectors.nab_score import nab_score
from detectors.panel import Batch, Detector
from detectors.plan import UNLISTED
from detectors.robust_band import RobustBand
from recwatch.core.signals import Float64, Int64

Told = tuple[Float64, Alarms]
"""Scores and alarms of a series, float64[n] and bool[n]."""


class LabelledPanel:
    """What the stage makes of series of which nothing is known but their readings (`plan.UNLISTED`); one setting for all."""

    def __init__(self, method: Detector) -> None:
        self._method = method
        self._hysteresis = Hysteresis(methods=1)

    def update(self, row: Int64, time_ms: Int64, value: Float64) -> Told:
        """Scores of one finite reading of each row, and where an anomaly starts with it.

        The score is 0 at the expected value, 1 at the edge of the band, and 0 while the method warms up.
        """
        batch = Batch(row, time_ms, value, {})
        judgement = self._method.update(batch)
        alarms = np.zeros(len(row), dtype=np.bool_)
        starts = UNLISTED.starts_after, UNLISTED.starts_at_once
        for index, _ in self._hysteresis.update(batch.at, time_ms, judgement.score[:, None], *starts).started:
            alarms[index] = True
        return np.where(np.isnan(judgement.score), 0.0, judgement.score), alarms


class LabelledSeriesDetector:
    """A panel of one series."""

    def __init__(self) -> None:
        self._panel = LabelledPanel(RobustBand())
        self._row = np.zeros(1, dtype=np.int64)

    def update(self, timestamp: float, value: float) -> tuple[float, bool]:
        """Score of a reading at `timestamp` (unix seconds), and whether an anomaly starts with it.

        An anomaly is told once, at its start. A value that is not finite is not judged.
        """
        if not isfinite(value):
            return 0.0, False
        time_ms = np.array([round(timestamp * 1000)], dtype=np.int64)
        score, alarms = self._panel.update(self._row, time_ms, np.array([value], dtype=np.float64))
        return float(score[0]), bool(alarms[0])


class LabelledChangePointDetector:
    """Changes of level in a series where people marked those."""

    def __init__(self) -> None:
        self._changes = ChangePoints()

    def update(self, timestamp: float, value: float) -> tuple[float, bool]:  # noqa: ARG002  (rows count, not time)
        """How likely a change of level is, 1 at the edge, and whether one is told with this reading."""
        change = self._changes.update(value) if isfinite(value) else None
        score = 0.0 if change is None else change.probability / SURE
        return score, score >= 1.0


def labelled_series_detector(metadata: Mapping[str, Any]) -> LabelledSeriesDetector | LabelledChangePointDetector:
    """A fresh detector for one series: of changes of level where `kind` is "changepoint", else of anomalies.

    Neither has a setting, and `step_s` is not needed.
    """
    return LabelledChangePointDetector() if metadata.get("kind") == "changepoint" else LabelledSeriesDetector()


@dataclass(frozen=True, slots=True)
class SourceScores:
    """How good detection is on the series of one source; what does not apply is None."""

    series: int
    events: EventScores | None = None
    average_precision: float | None = None
    nab_standard: float | None = None
    change_points: ChangePointScores | None = None


def run(detector: LabelledSeriesDetector | LabelledChangePointDetector, series: LabelledSeries) -> Told:
    """Feed a series to a detector, one point at a time."""
    told = [detector.update(*reading) for reading in zip(series.time_s.tolist(), series.value.tolist(), strict=True)]
    return np.array([score for score, _ in told]), np.array([alarm for _, alarm in told], dtype=np.bool_)


def run_together(corpus: Sequence[LabelledSeries], method: Callable[[], Detector] = RobustBand) -> list[Told]:
    """What `run` gives for each series, from one panel of all of them: the same figures, a hundred times as fast.

    Another method than the default judges by the same rules.
    """
    order = sorted(range(len(corpus)), key=lambda number: -len(corpus[number]))
    rows, columns = len(corpus[order[0]]), len(corpus)
    score, alarms = np.zeros((rows, columns)), np.zeros((rows, columns), dtype=np.bool_)
    detector = LabelledPanel(method())
    for step, batch in enumerate(in_step([corpus[number] for number in order])):
        score[step, batch.row], alarms[step, batch.row] = detector.update(batch.row, batch.time_ms, batch.value)
    places = np.argsort(order)
    return [
        (score[: len(series), at].copy(), alarms[: len(series), at].copy())
        for series, at in zip(corpus, places, strict=True)
    ]


def in_step(corpus: Sequence[LabelledSeries]) -> Iterator[Batch]:
    """The first readings of all series, then the second ones, and so on; the longest series comes first."""
    lengths = np.array([len(series) for series in corpus])
    value, time_ms = np.full((lengths[0], len(corpus)), np.nan), np.zeros((lengths[0], len(corpus)), dtype=np.int64)
    for column, series in enumerate(corpus):
        value[: len(series), column] = series.value
        time_ms[: len(series), column] = np.round(1000.0 * series.time_s)
    for step in range(lengths[0]):
        going = np.flatnonzero(np.isfinite(value[step, : np.count_nonzero(lengths > step)]))
        yield Batch(going, time_ms[step, going], value[step, going], {})


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
