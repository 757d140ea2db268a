"""What one page of a machine's hardware tells, without the scrapes before it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping

from collectors.endpoint import Endpoint
from collectors.exposition import Line, PageParser
from collectors.fleet import grains, made
from collectors.layout import layout_of
from collectors.measures import Key
from collectors.tally import Tally
from recwatch.core.canonical import SIGNALS


def fits(line: Line, hint: Mapping[str, str | None]) -> bool:
    """Whether a line is of what the hint names; `mig` null is the whole of a GPU."""
    asked = {("GPU_I_ID" if label == "mig" else label): value or "" for label, value in hint.items()}
    return all(line.labels.get(label, "") == value for label, value in asked.items())


def known_of(text: str, hint: Mapping[str, str | None] | None = None) -> Mapping[str, Mapping[str, float]]:
    """All that one page tells of what the hint names: signals, and totals of counters, by name and then by labels."""
    parsed = PageParser().parse(text)
    rows = [row for row, line in enumerate(parsed.lines) if fits(line, hint or {})]
    layout = layout_of(
        tuple(parsed.lines[row] for row in rows), "shop", Endpoint.of("shop", "http://10.0.0.1:9400/metrics", {})
    )
    printed = [float(parsed.values[rows[row]]) for row in layout.rows]
    readable = [value not in layout.blanks for value in printed]
    levels = [(m.measure.key, m.measure.value(printed[m.position])) for m in layout.instants if readable[m.position]]
    totals: dict[Key, float] = defaultdict(float)
    for m in layout.hardware:
        if readable[m.position]:
            totals[m.measure.key] += m.measure.value(printed[m.position])
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for (name, labels), total in totals.items():
        found[name][_short(labels)] = total
    tally = Tally.lifetime([(key, value) for key, value in levels if math.isfinite(value)], totals)
    for keep, names in grains(tally).items():
        for (name, labels), value in made(tally.keeping(keep), names).items():
            found[name][_short(labels)] = value
    return found


def _short(labels: tuple[tuple[str, str], ...]) -> str:
    return ",".join(f"{name}={value}" for name, value in labels)


def signals_of(text: str) -> Mapping[str, float]:
    """The signals alone, as `name{labels}`."""
    known = known_of(text)
    return {
        f"{name}{{{labels}}}" if labels else name: value
        for name, by_labels in known.items()
        for labels, value in by_labels.items()
        if name in SIGNALS
    }
