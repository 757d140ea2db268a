"""A page → its coverage report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from collectors.coverage.figures import figures, read, told_again
from collectors.coverage.gaps import gaps
from collectors.coverage.servers import servers, versions
from collectors.coverage.unplaced import unplaced
from collectors.coverage.words import Figure, Gap, Server, Unplaced
from collectors.exposition import Dropped, Page
from collectors.exposition.page import Reason
from collectors.normalise import NORMALISERS, measures_of, recognise
from collectors.normalise.anywhere import ANYWHERE


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """What can be known of a server from one page of it.

    `servers` are the kinds of servers that wrote it, none if it is unknown; `versions` is what it says of versions.
    `dropped` are rows that could not be read, by reason; `duplicates` such as said again what a row before them had said.
    """

    servers: tuple[Server, ...]
    versions: tuple[str, ...]
    samples: int
    figures: tuple[Figure, ...]
    gaps: tuple[Gap, ...]
    unplaced: tuple[Unplaced, ...]
    dropped: Mapping[Reason, Dropped]
    duplicates: int


def coverage_of(page: Page, kind: str | None = None) -> Report:
    """The report of a page; what else than `kind` is on it is recognised."""
    tables = {kind: NORMALISERS[kind] for kind in recognise(page.lines, first=kind)}
    measures = measures_of(page.lines, tuple(tables))
    told = read(page, measures, [blank for table in tables.values() for blank in table.blanks])
    found = figures(told)
    again = (figures(of_metric) for of_metric in told_again(page, tables.values(), told))
    not_counted = (replace(figure, flags=(*figure.flags, "not_counted")) for of_metric in again for figure in of_metric)
    placed = {line.name for line in page.lines if any(table.rules_of(line.name) for table in (*tables.values(), ANYWHERE))}
    return Report(
        servers=servers(list(zip(page.lines, measures, strict=True)), tables),
        versions=versions(page.lines),
        samples=len(page.lines),
        figures=(*found, *not_counted),
        gaps=gaps(told, found, tables),
        unplaced=unplaced(page, placed),
        dropped=page.dropped,
        duplicates=len(page.lines) - len({(line.name, frozenset(line.labels.items())) for line in page.lines}),
    )
