"""`python -m benchmarks NAME… --json FILE`: measure, show, and write down."""

from __future__ import annotations

import inspect
import signal
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks import BENCHMARKS
from benchmarks.report import Report, table, write_reports
from recwatch.core.errors import RecwatchError


def main(
    names: Annotated[list[str] | None, typer.Argument(help=f"Of {', '.join(BENCHMARKS)}; all if none is named.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write the figures to this file.")] = None,
) -> None:
    """Run benchmarks. A goal that is missed is said, and is no failure; what could not be measured is one."""
    wanted, out, reports = names or list(BENCHMARKS), Console(), []
    if unknown := [name for name in wanted if name not in BENCHMARKS]:
        raise typer.BadParameter(f"{unknown} are no benchmarks; they are: {', '.join(BENCHMARKS)}")
    for name in wanted:
        try:
            report = Report(name, BENCHMARKS[name](out))
        except RecwatchError as error:
            out.print(f"{name} could not be measured: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
            continue
        reports.append(report)
        out.print(table(report))
        out.print(inspect.getdoc(BENCHMARKS[name]), style="dim", markup=False, highlight=False)
        if json is not None:
            write_reports(reports, json)
    if len(reports) < len(wanted):
        raise typer.Exit(1)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    typer.run(main)
