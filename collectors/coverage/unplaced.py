"""Metrics of which no signal is made → what they are for certain, and what would be needed to place them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection

from collectors.coverage.words import Need, Unplaced
from collectors.exposition import Line, Page
from collectors.layout import unit_of
from recwatch.core.signals import Kind

_PARTS = ("_bucket", "_sum", "_count")
_RUNTIME = ("python_", "process_", "go_", "jvm_", "promhttp_", "scrape_")
_NOTED = ("_info", "_created")


def unplaced(page: Page, placed: Collection[str]) -> tuple[Unplaced, ...]:
    """The page's metrics of which no line has a name that is placed, in the order of the page."""
    families: dict[tuple[str, Kind], list[tuple[Line, float]]] = defaultdict(list)
    for line, value in zip(page.lines, page.values.tolist(), strict=True):
        families[family_of(line), line.kind].append((line, value))
    return tuple(
        _unplaced(name, kind, rows)
        for (name, kind), rows in families.items()
        if not any(line.name in placed for line, _ in rows)
    )


def family_of(line: Line) -> str:
    """The name of a line's metric, without what its type appends.

    >>> family_of(Line("rpc_seconds_bucket", {"le": "1"}, "histogram"))
    'rpc_seconds'
    """
    if line.kind not in ("histogram", "summary"):
        return line.name
    return next((line.name.removesuffix(part) for part in _PARTS if line.name.endswith(part)), line.name)


def _unplaced(name: str, kind: Kind, rows: list[tuple[Line, float]]) -> Unplaced:
    unit = unit_of(name)
    inner = {"le", "quantile"}
    series = len({frozenset((n, v) for n, v in line.labels.items() if n not in inner) for line, _ in rows})
    return Unplaced(name, kind, unit, series, _needed(name, kind, unit), _certain(name, kind, rows) if series == 1 else {})


def _needed(name: str, kind: Kind, unit: str) -> tuple[Need, ...]:
    """Nothing for what is no measurement of the service: its runtime, notes about it, times of creation."""
    if name.startswith(_RUNTIME) or name.endswith(_NOTED):
        return ()
    missing: tuple[tuple[Need, bool], ...] = (
        ("type", kind == "untyped"),
        ("unit", not unit and kind != "counter"),
        ("rule", True),
    )
    return tuple(need for need, is_missing in missing if is_missing)


def _certain(name: str, kind: Kind, rows: list[tuple[Line, float]]) -> dict[str, float]:
    """Of a metric with one series: its value; of a histogram or summary how many it counted, and their mean."""
    values = {line.name: value for line, value in rows if math.isfinite(value)}
    if kind not in ("histogram", "summary"):
        return {"value": values[name]} if name in values else {}
    count, total = values.get(f"{name}_count"), values.get(f"{name}_sum")
    if count is None:
        return {}
    return {"count": count} | ({"mean": total / count} if total is not None and count > 0 else {})
