"""The measured tables of docs/detection.md."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.detect_variants import SHIPPED, Chosen, Scores
from benchmarks.ratios import RESAMPLES, Interval
from detectors.evaluation import SourceScores
from detectors.event_score import pooled
from detectors.labelled import LabelledSeries
from recwatch.core.errors import BadInput
from recwatch.core.signals import Float64


@dataclass(frozen=True, slots=True)
class Page:
    """All that was measured. `ours` has a score for each series of `corpus`; mappings are by method, variant or source."""

    corpus: Sequence[LabelledSeries]
    ours: Scores
    results: Mapping[str, Mapping[str, SourceScores]]
    goals: Mapping[str, tuple[float, float]]
    parts: Mapping[str, Mapping[str, float]]
    chosen: Chosen


def rewritten(text: str, page: Page) -> str:
    """The document with each table between `<!-- NAME -->` and `<!-- end -->` made anew.

    Raises BadInput where one has no place.
    """
    tables = {"quality": _quality(page), "methods": _methods(page), "variants": _variants(page), "chosen": _chosen(page)}
    for name, lines in tables.items():
        place = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", flags=re.DOTALL)
        found = place.search(text)
        if found is None:
            raise BadInput(f"docs/detection.md has no place for the table '{name}'; put <!-- {name} --> and <!-- end --> in")
        text = text[: found.start()] + found[1] + "\n".join(lines) + "\n" + found[2] + text[found.end() :]
    return text


def _table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(row) + " |" for row in (heading, ["---"] * len(heading), *rows)]


def _quality(page: Page) -> list[str]:
    (ours, *_) = page.results.values()
    rows = []
    for source, (f1_goal, false_goal) in page.goals.items():
        scores = [score for series, score in zip(page.corpus, page.ours, strict=True) if series.source == source]
        events, one = pooled(scores), ours[source]
        f1, false = _intervals(scores)
        nab = "" if one.nab_standard is None else f"{one.nab_standard:.0f}"
        rows.append(
            [
                source,
                f"{events.f1:.2f} ({f1.low:.2f} to {f1.high:.2f})",
                f"{f1_goal:.2f}",
                f"{events.false_alarms_per_series_day:.2f} ({false.low:.2f} to {false.high:.2f})",
                f"{false_goal:.2f}",
                f"{events.precision:.2f}",
                f"{events.recall:.2f}",
                f"{events.recall_at_any_time:.2f}",
                f"{events.median_delay_steps:.0f}",
                f"{one.average_precision:.2f}",
                nab,
            ]
        )
    heading = ["source", "F1 (95 %)", "goal", "false alarms a series-day (95 %)", "at most", "precision", "recall"]
    return _table([*heading, "recall, late alarms too", "median delay, steps", "AUC-PR", "NAB standard"], rows)


def _intervals(scores: Scores) -> tuple[Interval, Interval]:
    """F1 and false alarms a series-day, and where they may lie: the percentile bootstrap over series."""
    counts = np.array([[one.caught, one.false_alarms, one.events, one.series_days] for one in scores], dtype=np.float64)
    drawn = np.random.default_rng(0).integers(len(counts), size=(RESAMPLES, len(counts)))
    caught, false, events, days = counts[drawn].sum(axis=1).T
    total = pooled(scores)
    return (
        _interval(total.f1, 2 * caught / np.maximum(caught + false + events, 1.0)),
        _interval(total.false_alarms_per_series_day, false / days),
    )


def _interval(mid: float, drawn: Float64) -> Interval:
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Interval(mid, float(low), float(high))


def _methods(page: Page) -> list[str]:
    rows = []
    for name, result in page.results.items():
        events = [one for source in page.goals if (one := result[source].events)]
        figures = [f"{one.f1:.2f} ({one.false_alarms_per_series_day:.2f})" for one in events]
        nab = result["nab"].nab_standard or 0.0
        rows.append([name, *figures, f"{np.mean([one.f1 for one in events]):.2f}", f"{nab:.0f}" if nab > 0 else "below 0"])
    return _table(["method", *page.goals, "mean F1", "NAB standard"], rows)


def _variants(page: Page) -> list[str]:
    rows = [[name, *(f"{f1[source]:.2f}" for source in page.goals), _mean(f1, page)] for name, f1 in page.parts.items()]
    return _table(["variant", *page.goals, "mean F1"], rows)


def _chosen(page: Page) -> list[str]:
    figures = {
        SHIPPED: page.parts[SHIPPED],
        "chosen on the other sources": page.chosen.other_sources,
        "chosen on the other half of the series": page.chosen.other_half,
    }
    rows = [[name, *(f"{f1[source]:.2f}" for source in page.goals), _mean(f1, page)] for name, f1 in figures.items()]
    return _table(["constants", *page.goals, "mean F1"], rows)


def _mean(f1: Mapping[str, float], page: Page) -> str:
    return f"{np.mean([f1[source] for source in page.goals]):.3f}"
