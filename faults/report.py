"""What fault runs show: a table, and JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table

from faults.run import Outcome
from faults.verdict import Verdict

COUNTS = ("served", "lost", "doubled", "marked", "in_hand", "failed", "anomalies", "incidents", "messages", "again")
WIDTH = 130
"""Of the table, which a narrow terminal breaks rather than cuts."""


def table(outcomes: Sequence[Outcome]) -> Table:
    """A row for each run."""
    shown = Table(title="Fault runs", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    shown.add_column("fault", min_width=15)
    for count in COUNTS:
        shown.add_column(count.replace("_", " "), justify="right")
    for last in ("recovered", "took", "kept"):
        shown.add_column(last, justify="right")
    for outcome in outcomes:
        shown.add_row(outcome.name, *_counts(outcome.verdict), *_end(outcome))
    return shown


def _counts(verdict: Verdict | None) -> Sequence[str]:
    return [""] * len(COUNTS) if verdict is None else [str(getattr(verdict, count)) for count in COUNTS]


def _end(outcome: Outcome) -> Sequence[str]:
    if outcome.lacking:
        return "", "", "not run"
    recovered = "no" if outcome.recovered_s is None else f"{outcome.recovered_s:.1f} s"
    return recovered, f"{outcome.took_s:.0f} s", "[red]no[/]" if outcome.broken else "[green]yes[/]"


def write(outcomes: Sequence[Outcome], path: Path) -> None:
    """Write all that the table shows, and every broken promise in words."""
    path.write_text(json.dumps([asdict(outcome) for outcome in outcomes], indent=2) + "\n", encoding="utf-8")
