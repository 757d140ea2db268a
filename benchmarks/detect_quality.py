"""How well detection finds what people marked, beside what others do."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from benchmarks.detect_baselines import BASELINES
from benchmarks.detect_variants import NEIGHBOURS, NO_HOLD, PARTS, SHIPPED, Scores, chosen, f1_by_source, scores_of
from benchmarks.quality_page import Page, rewritten
from benchmarks.report import Row
from detectors.change_point_score import change_point_scores
from detectors.evaluation import SourceScores, evaluate, labelled_series_detector, run, run_together
from detectors.event_score import event_scores, pooled
from detectors.labelled import LabelledSeries, read_labelled
from recwatch.core.errors import BadInput

PAGE = Path(__file__).parents[1] / "docs" / "detection.md"
GOALS: Mapping[str, tuple[float, float]] = {
    "aiops_kpi": (0.62, 0.3),
    "ms_cloud": (0.55, 0.05),
    "smd": (0.60, 0.3),
    "asd": (0.50, 0.2),
    "nab": (0.60, 0.05),
}
"""F1 at least, and false alarms a series-day at most."""
NAB_GOAL = 70.0
OURS = "recwatch"


def detect_quality(out: Console) -> Sequence[Row]:
    """The labelled series of RECWATCH_DATA, one setting for all; goals are meant for series that nobody chose anything on.

    Writes docs/detection.md: intervals by bootstrap over series, the baselines, each part left out, and constants chosen on
    other sources and on the other half of the series.
    """
    everything = corpus_of()
    corpus = [series for series in everything if series.kind == "interval"]
    told = {OURS: run_together(corpus)}
    for name, baseline in track(BASELINES.items(), "baselines", console=out, transient=True):
        told[name] = [baseline(series) for series in corpus]
    variants: dict[str, Scores] = {
        SHIPPED: [event_scores(series, alarms) for series, (_, alarms) in zip(corpus, told[OURS], strict=True)]
    }
    for name, variant in track({**PARTS, **NEIGHBOURS}.items(), "variants", console=out, transient=True):
        variants[name] = scores_of(corpus, variant)
    results = {name: evaluate(corpus, one) for name, one in told.items()}
    page = Page(
        corpus=corpus,
        ours=variants[SHIPPED],
        results=results,
        goals=GOALS,
        parts={name: f1_by_source(corpus, variants[name]) for name in variants},
        chosen=chosen(corpus, {name: variants[name] for name in (SHIPPED, *NEIGHBOURS)}),
    )
    PAGE.write_text(rewritten(PAGE.read_text(encoding="utf-8"), page), encoding="utf-8")
    return [*_rows(results[OURS]), *_best_others(results), *_fragments(variants), _changes(everything)]


def corpus_of() -> list[LabelledSeries]:
    """The labelled series that RECWATCH_DATA names. Raises BadInput where it names none."""
    folder = Path(os.environ.get("RECWATCH_DATA", "absent")) / "labelled"
    if not folder.is_dir():
        raise BadInput("RECWATCH_DATA names no folder with labelled/; set it to one")
    return list(read_labelled(folder))


def _fragments(variants: Mapping[str, Scores]) -> list[Row]:
    """What the hold is for: that trouble which lasts is told once."""
    return [
        Row(f"alarms of an event that is found, {name}", pooled(variants[name]).alarms_per_found_event, "alarms")
        for name in (SHIPPED, NO_HOLD)
    ]


def _changes(everything: Sequence[LabelledSeries]) -> Row:
    corpus = [series for series in everything if series.kind == "changepoint"]
    told = [run(labelled_series_detector(series.metadata), series) for series in corpus]
    scores = change_point_scores(corpus, [alarms for _, alarms in told])
    return Row("tcpd, F1 of the changes that people agree on", scores.consensus_f1, "ratio", ">= 0.55")


def _rows(ours: Mapping[str, SourceScores]) -> list[Row]:
    rows = []
    for source, (f1, false_alarms) in GOALS.items():
        events = ours[source].events
        assert events is not None
        rows.append(Row(f"{source}, F1 of events", events.f1, "ratio", f">= {f1}"))
        rows.append(Row(f"{source}, false alarms", events.false_alarms_per_series_day, "a series-day", f"<= {false_alarms}"))
    standard = ours["nab"].nab_standard
    assert standard is not None
    return [*rows, Row("nab, standard score at own alarms", standard, "of 100", f">= {NAB_GOAL}")]


def _best_others(results: Mapping[str, Mapping[str, SourceScores]]) -> list[Row]:
    rows = []
    for source in GOALS:
        f1 = {name: events.f1 for name, one in results.items() if name != OURS and (events := one[source].events)}
        best = max(f1, key=lambda name: np.nan_to_num(f1[name]))
        rows.append(Row(f"{source}, F1 of the best baseline ({best})", f1[best], "ratio"))
    return rows
