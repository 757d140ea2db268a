"""What a backtest found, as a plot: a panel for each series that was told of or marked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from detectors.backtest import SeriesResult, judged
from recwatch.app.backtest.history import History
from recwatch.app.backtest.plot import Panel, draw
from recwatch.app.backtest.replay import Outcome
from recwatch.app.backtest.sketch import Sketch
from recwatch.core.canonical import derived_series
from recwatch.core.signals import Series
from recwatch.core.wording import clean, subject, utc

MOST_PANELS = 12
EDGES = ("recwatch_lower", "recwatch_upper")


def sketch_of(history: History) -> Sketch:
    """An empty sketch of every series that may be drawn, and of its band."""
    ids = [one.id for series in judged(history.known) for one in (series, *_band(series))]
    span = history.span
    return Sketch(ids, span.counted_from_ms, span.end_ms, round(1000 * history.step_s))


def draw_history(history: History, outcomes: Sequence[Outcome], sketch: Sketch, path: Path) -> None:
    """Draw the series with the highest scores, each with its band as the first configuration sees it."""
    by_series = [[outcome.series[number] for outcome in outcomes] for number in range(len(outcomes[0].series))]
    told = [results for results in by_series if any(one.alarms or one.scores.events for one in results)]
    shown = sorted(told or by_series, key=_peak, reverse=True)[:MOST_PANELS]
    panels = [_panel(history, outcomes, results, sketch) for results in shown]
    span = history.span
    left_out = f"; {len(told) - len(shown)} more series not drawn" if len(told) > len(shown) else ""
    title = f"{clean(history.known.service)}, {utc(span.counted_from_ms)} to {utc(span.end_ms)}{left_out}"
    draw(panels, path, title)


def _peak(results: Sequence[SeriesResult]) -> float:
    return max((alarm.anomaly.peak_score for one in results for alarm in one.alarms), default=0.0)


def _band(series: Series) -> list[Series]:
    return [derived_series(edge, series) for edge in EDGES]


def _panel(history: History, outcomes: Sequence[Outcome], results: Sequence[SeriesResult], sketch: Sketch) -> Panel:
    series = results[0].series
    low, high = sketch.of(series.id)
    (lower, _), (_, upper) = (sketch.of(edge.id) for edge in _band(series))
    drawn = np.isfinite(low)
    return Panel(
        title=f"{clean(subject(series.name, series.labels))}{f', {series.unit}' if series.unit else ''}",
        span_ms=(history.span.counted_from_ms, history.span.end_ms),
        time_ms=sketch.time_ms[drawn],
        low=low[drawn],
        high=high[drawn],
        lower=lower[drawn],
        upper=upper[drawn],
        alarms={outcome.name: one.stretches_ms() for outcome, one in zip(outcomes, results, strict=True)},
        marked=[(one.start_ms, one.end_ms) for one in history.marked if series.id in one.series],
        events=[mark.time_ms for mark in history.marks],
    )
