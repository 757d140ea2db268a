"""A coverage report as a person reads it, at any width from 80 columns on."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from collectors.coverage import Report
from collectors.coverage.lifetime import over_lifetime
from collectors.coverage.words import FLAGS, Figure, Flag, Gap, State
from recwatch.app.blocks import note, table, title
from recwatch.app.coverage.lacks import gap_blocks, unplaced_blocks
from recwatch.core.canonical import SIGNALS
from recwatch.core.wording import clean, figure, utc

WIDE = 110
_MOST_ROWS = 8
_ABLE: frozenset[State] = frozenset({"second_scrape", "undefined", "missing"})
_BARE = ("model", "stage")
_UUID = 20
_THIS_CENTURY_S = (978_307_200, 4_102_444_800)
_SIGNS: Mapping[Flag, str] = {"lower_bound": "≥", "one_instance": "†", "clipped": "‡", "not_counted": "*"}


def coverage_text(report: Report, target: str, width: int) -> RenderableType:
    """The report for a terminal of `width` columns; sources have a column of their own where it is `WIDE`."""
    wide = width >= WIDE
    shown = _with_labels_that_tell([found for found in report.figures if found.stable and "not_counted" not in found.flags])
    signals = _without_repeated_totals([found for found in shown if found.signal in SIGNALS])
    totals = _without_repeated_totals([found for found in shown if found.signal.endswith("_total")])
    parts: list[RenderableType] = [_head(report, target)]
    parts.append(title(_known({found.signal for found in signals}, report)))
    if signals:
        parts += [_figures("signal", signals, wide), *_notes(signals)]
    if totals:
        parts += [title("Counted since the start"), _figures("total", totals, wide), *_rates(report.gaps)]
    parts += gap_blocks(report.gaps)
    parts += unplaced_blocks(report.unplaced)
    if report.dropped:
        parts += [title("Rows that could not be read"), _dropped(report)]
    return Group(*parts)


def _known(signals: Collection[str], report: Report) -> str:
    """How many signals the page tells, of those that such a server can tell where it is known which one it is."""
    able = len(signals) + sum(gap.state in _ABLE for gap in report.gaps)
    of_server = f"{able} that this kind of server can tell, of " if report.servers else ""
    return f"Known from this page: {len(signals)} of {of_server}{len(SIGNALS)} signals"


def _head(report: Report, target: str) -> RenderableType:
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    facts.add_row("target", Text(clean(target), style="bold"))
    for server in report.servers:
        seen = f", recognised by {clean(server.recognised_by)}" if server.recognised_by else ""
        facts.add_row("server", Text(server.kind + seen))
        for version in server.versions if not report.versions else ():
            facts.add_row("version", Text(clean(version)))
    if not report.servers:
        facts.add_row("server", "unknown: no name on the page is one that only a known kind of server writes")
    for version in report.versions:
        facts.add_row("version", Text(clean(version)))
    lost = sum(dropped.rows for dropped in report.dropped.values())
    counts = [(report.samples, "samples"), (lost, "not readable"), (report.duplicates, "said twice")]
    facts.add_row("page", ", ".join(f"{count} {what}" for count, what in counts if count))
    return facts


def _without_repeated_totals(figures: Sequence[Figure]) -> list[Figure]:
    """Without the figure over all labels where there is one label set only, so that both are the same."""
    sets = Counter(found.signal for found in figures)
    return [found for found in figures if found.labels or sets[found.signal] != 2]


def _with_labels_that_tell(figures: Sequence[Figure]) -> list[Figure]:
    """Without the host where there is but one."""
    hosts = {value for found in figures for name, value in found.labels if name == "host"}
    if len(hosts) > 1:
        return list(figures)
    return [replace(found, labels=tuple(pair for pair in found.labels if pair[0] != "host")) for found in figures]


def _figures(what: str, figures: Sequence[Figure], wide: bool) -> Table:
    made = table(what, "value", "of", *(("from",) if wide else ()), whole=(0, 1), right=(1,))
    by_signal: dict[str, list[Figure]] = defaultdict(list)
    for found in figures:
        by_signal[found.signal].append(found)
    for name, rows in by_signal.items():
        sources = [Text(clean(one), "dim") for one in dict.fromkeys(s.metric for found in rows for s in found.sources)]
        shown = [(_value(found), _labels(found)) for found in rows[:_MOST_ROWS]]
        shown += [("", f"and {len(rows) - _MOST_ROWS} more: --json")] if len(rows) > _MOST_ROWS else []
        left = [Text(name), *(() if wide else (Text("  ") + source for source in sources))]
        for cells in zip_longest(left, shown, sources if wide else ()):
            first, (value, labels), source = cells[0], cells[1] or ("", ""), cells[2]
            made.add_row(first or "", value, Text(labels), *((source or "",) if wide else ()))
    return made


def _labels(found: Figure) -> str:
    """What the figure is of; the name of a model, a stage or a GPU's UUID speaks for itself."""
    told = [
        clean(value) if name in _BARE or len(value) > _UUID else f"{name} {clean(value)}" for name, value in found.labels
    ]
    return ", ".join(told) or "all"


def _value(found: Figure) -> str:
    """The figure as said; a number of seconds that can only be a time of this century as that time."""
    if found.unit == "seconds" and _THIS_CENTURY_S[0] <= found.value < _THIS_CENTURY_S[1]:
        return utc(round(found.value * 1000))
    unit = {"count": ""}.get(found.unit, found.unit)
    before = "≥ " if "lower_bound" in found.flags else ""
    return before + figure(found.value, unit) + "".join(f" {_SIGNS[flag]}" for flag in found.flags if flag != "lower_bound")


def _notes(figures: Sequence[Figure]) -> Iterator[RenderableType]:
    if any(over_lifetime(found.signal) for found in figures):
        yield note("Means, quantiles, and ratios of counters are over the server's lifetime.")
    used = {flag for found in figures for flag in found.flags}
    yield from (note(f"{_SIGNS[flag]}  {FLAGS[flag]}") for flag in FLAGS if flag in used)


def _rates(gaps: Iterable[Gap]) -> Iterator[RenderableType]:
    names = [gap.signal for gap in gaps if gap.state == "second_scrape"]
    if names:
        yield note(Text.assemble(("From the second scrape on: ", "dim"), ", ".join(names)))


def _dropped(report: Report) -> Table:
    rows = table("cannot be read", "rows", "such as", right=(1,))
    for reason, dropped in report.dropped.items():
        rows.add_row(reason, str(dropped.rows), Text(clean(dropped.example)))
    return rows
