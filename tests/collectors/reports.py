"""Coverage reports of pages of our own writing, which stand in `own_pages`, and of recorded ones."""

from __future__ import annotations

import json
import os
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any

from rich.console import Console

from collectors.coverage import Report
from recwatch.app.coverage.command import as_json, examine
from recwatch.app.coverage.text import coverage_text

OWN = Path(__file__).parent / "own_pages"
DUMPS = Path(os.environ.get("RECWATCH_DATA", "absent"), "dumps")


@cache
def report(page: Path) -> Report:
    return examine(str(page))


@cache
def content(page: Path) -> Any:
    return json.loads(json.dumps(as_json(report(page), page.name)))


def rows(page: str, signal: str, **labels: str) -> list[Any]:
    """What the report of a page of our own says of a signal with exactly these labels."""
    signals = content(OWN / f"{page}.txt")["signals"]
    return [row for row in signals if row["signal"] == signal and row["labels"] == labels]


def gap(page: str, signal: str) -> Any:
    (found,) = [gap for gap in content(OWN / f"{page}.txt")["not_known"] if gap["signal"] == signal]
    return found


def text(page: Path, width: int) -> str:
    """The report as a terminal of this width shows it, without the blanks at the ends of its lines."""
    out = Console(file=StringIO(), width=width)
    out.print(coverage_text(report(page), page.name, width))
    assert isinstance(out.file, StringIO)
    return "\n".join(line.rstrip() for line in out.file.getvalue().splitlines()) + "\n"
