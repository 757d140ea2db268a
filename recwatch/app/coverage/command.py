"""`recwatch coverage`: a URL or a file → what can be known of the server that wrote it."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

from collectors.coverage import Report, coverage_of
from collectors.exposition import PageParser
from collectors.fetch import Connections, Fetched, Fetcher
from collectors.http_config import HttpConfig
from collectors.scrape import require_whole
from recwatch.core.canonical import SIGNALS
from recwatch.core.errors import BadInput
from recwatch.core.http_address import require_http
from recwatch.core.wording import clean

SCHEMA = 1
_ACCEPT = "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
_TIMEOUT_S = 10.0
_MOST_BYTES = 50_000_000
_ADDRESS = re.compile(r"[\w.-]+:\d+(/|$)|\[[0-9a-fA-F:.]+\](:|/|$)")


def examine(target: str, kind: str | None = None, strict: bool = False) -> Report:
    """The coverage report of a page at a URL or in a file. Raises BadInput or Unavailable where there is no page."""
    fetched = asyncio.run(_fetched(require_http(target))) if "://" in target else _in_file(target)
    require_whole(target, fetched)
    try:
        page = PageParser(strict=strict).parse(fetched.body, fetched.content_type or None)
    except BadInput as error:
        raise BadInput(f"{target}: {error}") from error
    if not page.lines:
        raise BadInput(f"{target} holds no metrics; check that the server is up and has metrics switched on")
    return coverage_of(page, kind)


def as_json(report: Report, target: str) -> dict[str, Any]:
    """The report by the schema that docs/coverage.md tells."""
    return {
        "recwatch_coverage": SCHEMA,
        "target": target,
        "servers": [
            {"kind": s.kind, "recognised_by": s.recognised_by, "has_names_of": list(s.versions)} for s in report.servers
        ],
        "versions": list(report.versions),
        "samples": report.samples,
        "signals": [
            {
                "signal": found.signal,
                "labels": dict(found.labels),
                "value": found.value,
                "unit": found.unit,
                "flags": list(found.flags),
                "sources": [{"metric": source.metric, "labels": dict(source.labels)} for source in found.sources],
            }
            for found in report.figures
        ],
        "not_known": [
            {
                "signal": gap.signal,
                "unit": SIGNALS[gap.signal].unit,
                "state": gap.state,
                "why": gap.why,
                "setting": gap.setting,
            }
            for gap in report.gaps
        ],
        "unplaced": [
            {
                "metric": one.name,
                "type": one.type,
                "unit": one.unit,
                "series": one.series,
                "needs": list(one.needed),
                "certain": dict(one.certain),
            }
            for one in report.unplaced
        ],
        "dropped": [
            {"reason": reason, "rows": dropped.rows, "example": dropped.example}
            for reason, dropped in report.dropped.items()
        ],
        "duplicates": report.duplicates,
    }


def _in_file(target: str) -> Fetched:
    if not target:
        raise BadInput("the target is empty; give a file of exposition text, or a URL")
    try:
        return Fetched(Path(target).read_bytes(), "", whole=True)
    except OSError as error:
        if _ADDRESS.match(target):
            raise BadInput(f"{target} is no file; if it is an address, write http:// before it") from error
        raise BadInput(f"{target} cannot be read ({error.strerror}); give a file of exposition text, or a URL") from error
    except ValueError as error:
        raise BadInput(f"{clean(target)} cannot be the name of a file; give a file of exposition text, or a URL") from error


async def _fetched(url: str) -> Fetched:
    connections = Connections()
    try:
        return await Fetcher(connections, url, HttpConfig(), _MOST_BYTES).fetch({"Accept": _ACCEPT}, _TIMEOUT_S)
    finally:
        await connections.close()
