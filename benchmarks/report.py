"""What a benchmark says: rows with a goal each may meet or miss, as a table and as JSON."""

from __future__ import annotations

import json
import operator
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table
from rich.text import Text

_SIDES: Mapping[str, Callable[[float, float], bool]] = {"<=": operator.le, ">=": operator.ge}


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. `goal` is `<=` or `>=`, a space and a number in the row's unit; None where there is none to meet."""

    metric: str
    value: float
    unit: str
    goal: str | None = None

    @property
    def met(self) -> bool | None:
        """Whether the value meets the goal; None without one.

        >>> Row("p99 with recwatch over p99 without", 1.08, "ratio", "<= 1.05").met
        False
        """
        if self.goal is None:
            return None
        side, bound = self.goal.split(" ")
        return _SIDES[side](self.value, float(bound))


@dataclass(frozen=True, slots=True)
class Report:
    """The rows of one benchmark."""

    benchmark: str
    rows: Sequence[Row]


Benchmark = Callable[[Console], Sequence[Row]]
"""Measures, showing on the console how far it is; its docstring says how it measures."""


def machine() -> dict[str, object]:
    """What the figures were taken on; nothing that tells whose machine it is."""
    return {
        "cores": psutil.cpu_count(),
        "cpu": _cpu_model(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "python": platform.python_version(),
    }


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def write_reports(reports: Sequence[Report], path: Path) -> None:
    """Write the reports as JSON: an object for one, a list of them for several."""
    where = machine()
    contents = [
        {"benchmark": report.benchmark, "machine": where, "rows": [_fields(row) for row in report.rows]}
        for report in reports
    ]
    whole = contents[0] if len(contents) == 1 else contents
    path.write_text(json.dumps(whole, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def _fields(row: Row) -> dict[str, object]:
    return {"metric": row.metric, "value": row.value, "unit": row.unit, "goal": row.goal, "met": row.met}


_VERDICTS = {True: Text("met", "green"), False: Text("missed", "bold red"), None: Text("")}


def table(report: Report) -> Table:
    """The rows for a person."""
    shown = Table("metric", title=report.benchmark, title_justify="left", title_style="bold")
    shown.add_column("value", justify="right")
    for heading in ("unit", "goal", ""):
        shown.add_column(heading)
    for row in report.rows:
        shown.add_row(Text(row.metric), figure(row.value), row.unit, row.goal or "", _VERDICTS[row.met])
    return shown


def figure(value: float) -> str:
    """Four digits, or all those before the point.

    >>> figure(1.04567), figure(0.00123456), figure(2345678.9)
    ('1.046', '0.001235', '2,345,679')
    """
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
