"""What fault runs show: a table, and JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.table import Table

from faults.run import Outcome

COLUMNS = (
    "fault",
    "pages",
    "lost",
    "doubled",
    "in hand",
    "failed",
    "anomalies",
    "incidents",
    "messages",
    "again",
    "recovered",
)


def table(outcomes: Sequence[Outcome]) -> Table:
    """A row for each run."""
    shown = Table(title="Fault runs", title_justify="left")
    for column in COLUMNS:
        shown.add_column(column, justify="left" if column == COLUMNS[0] else "right")
    shown.add_column("kept")
    for outcome in outcomes:
        v = outcome.verdict
        counts = (
            (v.served, v.lost, v.doubled, v.marked, v.in_hand, v.failed, v.anomalies, v.incidents, v.messages, v.again)
            if v
            else ()
        )
        if outcome.lacking:
            shown.add_row(outcome.name, *[""] * (len(COLUMNS) - 1), f"not run: {outcome.lacking}")
            continue
        recovered = "no" if outcome.recovered_s is None else f"{outcome.recovered_s:.1f} s"
        cells = [*map(str, counts)] or [""] * (len(COLUMNS) - 2)
        shown.add_row(outcome.name, *cells, recovered, "[red]no[/]" if outcome.broken else "[green]yes[/]")
    return shown


def write(outcomes: Sequence[Outcome], path: Path) -> None:
    """Write all that the table shows, and every broken promise in words."""
    path.write_text(json.dumps([asdict(outcome) for outcome in outcomes], indent=2) + "\n", encoding="utf-8")
