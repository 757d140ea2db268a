"""The default with one thing changed at a time: what each part gives, and what choosing constants here is worth."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from unittest.mock import patch

import numpy as np
import xxhash

from detectors import robust_band, tail, views
from detectors.daily_profile import DailyProfile
from detectors.evaluation import run_together
from detectors.event_score import EventScores, event_scores, pooled
from detectors.hold import Hold
from detectors.labelled import LabelledSeries
from detectors.panel import Place
from detectors.tail import ParetoTail
from recwatch.core.signals import Float64, Int64

Variant = Callable[[], AbstractContextManager[object]]
Scores = Sequence[EventScores]
"""One a series of the corpus."""

SHIPPED = "as it is"
NO_HOLD = "no hold"


def _no_profile(_: DailyProfile, at: Place, row: Int64, time_ms: Int64) -> Float64:  # noqa: ARG001
    return np.full((3, len(row)), np.nan)


@contextmanager
def _nearest_alone() -> Iterator[None]:
    nowhere = patch.object(robust_band, "_rarer_elsewhere", lambda told, *_: np.zeros((2, len(told.value))))
    with nowhere, patch.object(robust_band, "_mean", lambda one: one[..., 0, :]):
        yield


PARTS: Mapping[str, Variant] = {
    "the nearest prediction's view alone": _nearest_alone,
    "no calibration by the own tail": partial(patch.object, ParetoTail, "learn", lambda *_: None),
    "no daily profile": partial(patch.object, DailyProfile, "expected", _no_profile),
    "no drawing in beyond the largest": partial(patch.object, robust_band, "BEYOND_LARGEST", 0.0),
    "no weight of the reading before": partial(patch.object, robust_band, "CARRIED", 0.0),
    "no caution while young": partial(patch.object, robust_band, "CAUTION", 0.0),
    "runs teach the tail in full": partial(patch.object, tail, "RUN_WEIGHT", 1.0),
    NO_HOLD: partial(patch.object, Hold, "update", lambda *_: np.zeros(0, dtype=np.int64)),
}


def _constant(name: str, value: float, module: ModuleType = robust_band) -> Variant:
    return partial(patch.object, module, name, value)


NEIGHBOURS: Mapping[str, Variant] = {
    "level of 5 readings": _constant("LEVEL_ROWS", 5.0, views),
    "level of 20 readings": _constant("LEVEL_ROWS", 20.0, views),
    "last of 1 reading": _constant("LAST_ROWS", 1.0, views),
    "last of 3 readings": _constant("LAST_ROWS", 3.0, views),
    "tail of 2 days": _constant("TAIL_DAYS", 2.0),
    "tail of 10 days": _constant("TAIL_DAYS", 10.0),
    "largest of 5 days": _constant("LARGEST_DAYS", 5.0),
    "largest of 20 days": _constant("LARGEST_DAYS", 20.0),
    "rarity of 3.3": _constant("LEAST_RARITY", 3.3),
    "rarity of 3.7": _constant("LEAST_RARITY", 3.7),
    "carried 0.1": _constant("CARRIED", 0.1),
    "carried 0.3": _constant("CARRIED", 0.3),
    "beyond the largest 5": _constant("BEYOND_LARGEST", 5.0),
    "beyond the largest 20": _constant("BEYOND_LARGEST", 20.0),
}


def scores_of(corpus: Sequence[LabelledSeries], variant: Variant = nullcontext) -> Scores:
    """The scores of each series under a variant."""
    with variant():
        told = run_together(corpus)
    return [event_scores(series, alarms) for series, (_, alarms) in zip(corpus, told, strict=True)]


def f1_by_source(corpus: Sequence[LabelledSeries], scores: Scores) -> dict[str, float]:
    """Pooled F1 of each source."""
    of_source: dict[str, list[EventScores]] = {}
    for series, score in zip(corpus, scores, strict=True):
        of_source.setdefault(series.source, []).append(score)
    return {source: pooled(parts).f1 for source, parts in of_source.items()}


@dataclass(frozen=True, slots=True)
class Chosen:
    """F1 of each source under constants chosen without it: on the other sources, and on the other half of the series."""

    other_sources: Mapping[str, float]
    other_half: Mapping[str, float]


def chosen(corpus: Sequence[LabelledSeries], scores: Mapping[str, Scores]) -> Chosen:
    """What the best of the variants in `scores` reaches where it was not chosen."""
    f1 = {name: f1_by_source(corpus, one) for name, one in scores.items()}
    sources = list(next(iter(f1.values())))
    other_sources = {}
    for source in sources:
        best = _best(
            {name: float(np.mean([one[other] for other in sources if other != source])) for name, one in f1.items()}
        )
        other_sources[source] = f1[best][source]
    sides = [_side(series) for series in corpus]
    best_on = [_best({name: _mean_f1(corpus, one, side) for name, one in scores.items()}) for side in (0, 1)]
    crossed = [scores[best_on[1 - side]][number] for number, side in enumerate(sides)]
    return Chosen(other_sources, f1_by_source(corpus, crossed))


def _best(f1: Mapping[str, float]) -> str:
    return max(f1, key=f1.__getitem__)


def _mean_f1(corpus: Sequence[LabelledSeries], scores: Scores, side: int) -> float:
    """The mean over sources, of the series on one side."""
    pairs = [pair for pair in zip(corpus, scores, strict=True) if _side(pair[0]) == side]
    return float(np.mean(list(f1_by_source([one for one, _ in pairs], [one for _, one in pairs]).values())))


def _side(series: LabelledSeries) -> int:
    """Half of the series, by their names."""
    return xxhash.xxh3_64_intdigest(series.id.encode()) % 2
