"""`python -m benchmarks.detect_plots FOLDER`: hits, misses and false alarms on labelled series, to look at."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks.detect_cases import Case, Kind, cases_of
from benchmarks.detect_quality import corpus_of
from detectors.evaluation import in_step, run_together
from detectors.event_score import Alarms, events_of
from detectors.labelled import LabelledSeries
from detectors.robust_band import RobustBand
from recwatch.app.backtest.plot import Panel, draw
from recwatch.core.errors import RecwatchError
from recwatch.core.signals import Float64

KINDS: Mapping[Kind, str] = {"hit": "hits.png", "miss": "misses.png", "false alarm": "false_alarms.png"}
EACH = 2
"""Of each kind, of each of the five sources."""
BEFORE_ROWS, AFTER_ROWS, LONGEST_ROWS = 200, 100, 500


def main(
    folder: Annotated[Path, typer.Argument(help="Where to write the plots.")],
    seed: Annotated[int, typer.Option(help="Which of them are drawn.")] = 0,
) -> None:
    """Draw ten hits, ten misses and ten false alarms, two of each source, and count all of them by sort."""
    corpus = [series for series in corpus_of() if series.kind == "interval"]
    told = run_together(corpus)
    cases = [case for number, series in enumerate(corpus) for case in cases_of(number, series, told[number])]
    drawn = _drawn(corpus, cases, np.random.default_rng(seed))
    bands = _bands(corpus, {case.series for case in drawn})
    folder.mkdir(parents=True, exist_ok=True)
    for kind, name in KINDS.items():
        of_kind = [case for case in drawn if case.kind == kind]
        panels = [_panel(corpus[one.series], told[one.series][1], bands[one.series], one) for one in of_kind]
        total = sum(case.kind == kind for case in cases)
        draw(panels, folder / name, f"{kind}: {len(of_kind)} of {total}")
        typer.echo(f"{folder / name}: {len(of_kind)} of {total}")
        for sort, count in Counter(case.sort for case in cases if case.kind == kind and case.sort).most_common():
            typer.echo(f"  {count:4} {sort}")


def _drawn(corpus: Sequence[LabelledSeries], cases: Sequence[Case], rng: np.random.Generator) -> list[Case]:
    drawn = []
    for source in sorted({series.source for series in corpus}):
        for kind in KINDS:
            there = [case for case in cases if case.kind == kind and corpus[case.series].source == source]
            drawn += [there[at] for at in sorted(rng.choice(len(there), min(EACH, len(there)), replace=False))]
    return drawn


def _bands(corpus: Sequence[LabelledSeries], numbers: set[int]) -> dict[int, tuple[Float64, Float64]]:
    """The lower and the upper edge at each reading of these series."""
    order = sorted(numbers, key=lambda number: -len(corpus[number]))
    longest_first = [corpus[number] for number in order]
    lower = np.full((len(longest_first[0]), len(order)), np.nan)
    upper = lower.copy()
    method = RobustBand()
    for step, batch in enumerate(in_step(longest_first)):
        judgement = method.update(batch)
        lower[step, batch.row], upper[step, batch.row] = judgement.lower, judgement.upper
    return {number: (lower[: len(corpus[number]), at], upper[: len(corpus[number]), at]) for at, number in enumerate(order)}


def _panel(series: LabelledSeries, alarms: Alarms, band: tuple[Float64, Float64], case: Case) -> Panel:
    """The readings around a case."""
    clock = series.clock_s
    first, last = np.searchsorted(clock, (case.start_s, case.end_s)).tolist()
    shown = slice(max(0, first - BEFORE_ROWS), min(last, first + LONGEST_ROWS) + AFTER_ROWS)
    at_ms = np.round(1000 * clock[shown]).astype(np.int64)
    told = at_ms[alarms[shown]].tolist()
    marked = [(round(1000 * clock[first]), round(1000 * clock[last])) for first, last in events_of(series)]
    return Panel(
        title=f"{series.id}, a reading every {series.step_s:g} s",
        span_ms=(int(at_ms[0]), int(at_ms[-1])),
        time_ms=at_ms,
        low=series.value[shown],
        high=series.value[shown],
        lower=band[0][shown],
        upper=band[1][shown],
        alarms={"recwatch": [(time_ms, time_ms) for time_ms in told]},
        marked=marked,
    )


if __name__ == "__main__":
    try:
        typer.run(main)
    except RecwatchError as error:
        sys.exit(str(error))
