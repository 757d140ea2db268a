"""What a backtest found, as tables for a person and as JSON for scripts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from math import inf, isfinite
from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from detectors.backtest import Alarm, SeriesResult
from detectors.event_score import EventScores
from recwatch.app.backtest.history import History
from recwatch.app.backtest.replay import Outcome, Paged
from recwatch.app.blocks import note, table, title
from recwatch.core.canonical import SIGNALS
from recwatch.core.wording import clean, counted, duration, subject, utc

SCHEMA = 1
NONE = "–"
NO_SIGNAL = "None of these series is a signal, so none could open an incident."
OF_INCIDENTS = ("incidents", "marks caught by incidents", "delay of incidents", "outside marks, a service-day")
IN_ALL = (
    "anomalies",
    "marks caught by series",
    "delay of series",
    "outside marks, a series-day",
    *OF_INCIDENTS,
    "readings a second",
    "seconds",
)
HEADING = ("series\nfirst told", "anomalies", "in anomaly\nlongest", "peak", "caught", "delay", "outside\nmarks,\na day")
OF_FIGURES = tuple(range(1, len(HEADING)))


def report(history: History, outcomes: Sequence[Outcome]) -> RenderableType:
    """What each configuration would have told, and all of them side by side; 80 columns break nothing but long names."""
    span = f"{utc(history.span.counted_from_ms)} to {utc(history.span.end_ms)}"
    marked = sum(one.start_ms >= history.span.counted_from_ms for one in history.marked)
    head = Text(f"{clean(history.known.service)}, {span}; {counted(marked, 'mark')}")
    pages = any(series.name in SIGNALS for series in history.known.series)
    parts = [part for outcome in outcomes for part in _told(outcome, history.step_s, pages=pages)]
    return Group(head, *parts, title("in all"), _beside(outcomes, history.step_s, pages=pages))


def _told(outcome: Outcome, step_s: float, *, pages: bool) -> Iterator[RenderableType]:
    """Series by series, the first to tell first; those with nothing told and nothing marked are counted only."""
    shown = [one for one in outcome.series if one.alarms or one.scores.events]
    yield title(outcome.name)
    if shown:
        made = table(*HEADING, whole=OF_FIGURES, right=OF_FIGURES, tight=True)
        for one in sorted(shown, key=lambda one: one.alarms[0].told_ms if one.alarms else inf):
            made.add_row(*_row(one, step_s))
        yield made
    if quiet := len(outcome.series) - len(shown):
        yield note(f"{quiet} more series with nothing told and nothing marked.")
    yield from _incidents(outcome) if pages else (note(NO_SIGNAL),)


def _row(one: SeriesResult, step_s: float) -> list[str]:
    name, lengths_ms = clean(subject(one.series.name, one.series.labels)), one.lengths_ms(step_s)
    if not one.alarms:
        return [name, "0", NONE, NONE, *_worth(one.scores, step_s)]
    return [
        f"{name}\n{utc(one.alarms[0].told_ms, '%Y-%m-%d %H:%M:%S')}",
        str(len(one.alarms)),
        f"{duration(sum(lengths_ms))}\n{duration(max(lengths_ms))}",
        f"{max(alarm.anomaly.peak_score for alarm in one.alarms):.3g}",
        *_worth(one.scores, step_s),
    ]


def _worth(scores: EventScores, step_s: float) -> list[str]:
    """How many marked stretches were caught, after how long, and how many alarms a day were outside of any."""
    caught = f"{scores.found} of {scores.events}" if scores.events else NONE
    delays_s = _delays_s(scores, step_s)
    outside = scores.false_alarms_per_series_day
    return [
        caught,
        duration(round(1000 * float(np.median(delays_s)))) if delays_s else NONE,
        f"{outside:.3g}" if isfinite(outside) else NONE,
    ]


def _delays_s(scores: EventScores, step_s: float) -> list[float]:
    return sorted(step_s * steps for steps in (*scores.delays_steps, *scores.late_steps))


def _incidents(outcome: Outcome) -> Iterator[RenderableType]:
    yield note(Text(f"{counted(len(outcome.paged), 'incident')} would have been opened"))
    opened = Table.grid(padding=(0, 2), pad_edge=True)
    for _ in range(2):
        opened.add_column(no_wrap=True)
    for one in outcome.paged:
        opened.add_row(utc(one.told_ms), _lasted(one), clean(one.incident.title))
    yield opened


def _lasted(one: Paged) -> str:
    end_ms = one.incident.end_ms
    return "still open" if end_ms is None else f"for {duration(end_ms - one.incident.start_ms)}"


def _beside(outcomes: Sequence[Outcome], step_s: float, *, pages: bool) -> Table:
    """All series together, one column a configuration; incidents only where there could be any."""
    made = table("", *(outcome.name for outcome in outcomes), right=tuple(range(1, len(outcomes) + 1)), tight=True)
    for name, *figures in zip(IN_ALL, *(_in_all(outcome, step_s) for outcome in outcomes), strict=True):
        if pages or name not in OF_INCIDENTS:
            made.add_row(name, *figures)
    return made


def _in_all(outcome: Outcome, step_s: float) -> list[str]:
    return [
        str(sum(len(one.alarms) for one in outcome.series)),
        *_worth(outcome.alarms, step_s),
        str(len(outcome.paged)),
        *_worth(outcome.pages, step_s),
        f"{outcome.rows / outcome.cost_s:,.0f}" if outcome.cost_s else NONE,
        f"{outcome.cost_s:.1f}",
    ]


def as_json(history: History, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """All that follows from the readings and the configurations: equal for equal ones. Times are unix milliseconds."""
    keys = {series.id: series.key for series in history.known.series}
    return {
        "recwatch_backtest": SCHEMA,
        "service": history.known.service,
        "span": asdict(history.span),
        "marked": [
            {
                "start_ms": one.start_ms,
                "end_ms": one.end_ms,
                "what": one.what,
                "series": sorted(keys[series_id] for series_id in one.series if series_id in keys),
            }
            for one in history.marked
        ],
        "configurations": [_outcome_json(outcome, history.step_s) for outcome in outcomes],
    }


def _outcome_json(outcome: Outcome, step_s: float) -> dict[str, Any]:
    return {
        "name": outcome.name,
        "detection": outcome.config.model_dump(mode="json"),
        "readings": outcome.rows,
        "worth": _worth_json(outcome.alarms, step_s),
        "worth_of_incidents": _worth_json(outcome.pages, step_s),
        "series": [
            {
                "series": one.series.key,
                "readings": one.readings.count,
                "in_anomaly_ms": sum(one.lengths_ms(step_s)),
                "anomalies": list(map(_alarm_json, one.alarms)),
                "worth": _worth_json(one.scores, step_s),
            }
            for one in outcome.series
        ],
        "incidents": list(_incidents_json(outcome)),
    }


def _worth_json(scores: EventScores, step_s: float) -> dict[str, Any]:
    return {
        "marked": scores.events,
        "caught": scores.found,
        "delays_s": _delays_s(scores, step_s),
        "alarms_outside": scores.false_alarms,
        "days": scores.series_days,
    }


def _alarm_json(alarm: Alarm) -> dict[str, Any]:
    anomaly = alarm.anomaly
    return {
        "told_ms": alarm.told_ms,
        "start_ms": anomaly.start_ms,
        "end_ms": anomaly.end_ms,
        "method": anomaly.method,
        "direction": anomaly.direction,
        "peak_score": anomaly.peak_score,
        "reason": anomaly.reason,
    }


def _incidents_json(outcome: Outcome) -> Iterator[dict[str, Any]]:
    for one in outcome.paged:
        yield {
            "told_ms": one.told_ms,
            "start_ms": one.incident.start_ms,
            "end_ms": one.incident.end_ms,
            "severity": one.incident.severity,
            "cause": one.incident.cause.value,
            "title": one.incident.title,
        }
