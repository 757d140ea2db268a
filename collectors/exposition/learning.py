"""A page of which something is new → what is to be remembered of it.

A row that is known by its spelling is taken over; every other is read with care. So a row that is new or has changed costs
itself and not the page.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from collectors.exposition.columns import Rows, equal, places, slices
from collectors.exposition.kinds import KindOf, stated_type
from collectors.exposition.page import Dropped, Line, Page, Reason
from collectors.exposition.repeated import (
    NO_SAMPLE,
    VALUE,
    VALUE_AND_TIME,
    WITH_CARE,
    Layout,
    heads,
    no_readings,
    page_of,
    readings_of,
)
from collectors.exposition.row import RowReader, Unreadable, decoded
from recwatch.core.errors import BadInput
from recwatch.core.signals import Int64

_EXAMPLE = 120

_Said = tuple[str, tuple[tuple[str, str], ...]]


def learn(rows: Rows, known: Layout | None, *, openmetrics: bool, whole: bool) -> tuple[Layout, Page]:
    """What is to be remembered of the page, and the page; `known` is the layout before.

    `whole` says whether the last row ended in a newline. Raises BadInput where it is cut off, or where no row can be read.
    """
    learner = _Learner(rows, openmetrics)
    if known is not None:
        learner.take_over(known)
    learner.read_the_rest()
    if known is not None:
        learner.keep_lines(known)
    if not whole and len(rows) - 1 in learner.faults:
        raise BadInput(f"the page is cut off: its last row is {_shown(rows, len(rows) - 1)!r}; scrape it again")
    layout = learner.layout(known)
    if learner.faults and not layout.lines:
        raise BadInput(
            f"{_shown(rows, min(learner.faults))!r} is no exposition text, nor is any other row; check the address"
        )
    return layout, page_of(layout, learner.readings)


class _Learner:
    """Gathers what a layout says of each row."""

    def __init__(self, rows: Rows, openmetrics: bool) -> None:
        self._rows = rows
        self._openmetrics = openmetrics
        self.faults: dict[int, Reason] = {}
        self._ways = np.full(len(rows), NO_SAMPLE, np.int8)
        self._lines = np.full(len(rows), None, np.object_)
        self._unread = np.ones(len(rows), np.bool_)
        self.readings = no_readings(len(rows))
        self._types = self._read_comments()
        self._kind_of = KindOf(self._types)

    def _read_comments(self) -> Mapping[str, str]:
        """The types that comments state; with them, blank rows are done."""
        types: dict[str, str] = {}
        for row, spelled in self._rows.spelled(np.flatnonzero(self._rows.firsts() <= ord("#"))):
            if spelled.strip(b" \t\r")[:1] in (b"", b"#"):
                self._unread[row] = False
                try:
                    types |= stated_type(decoded(spelled))
                except Unreadable as fault:
                    self.faults[row] = fault.reason
        return types

    def take_over(self, known: Layout) -> None:
        """Take over the rows that are spelled as they were, if their numbers can be read."""
        rows, left = self._rows, known.ways > 0
        if len(rows) == len(known.ways):
            at = np.flatnonzero(left & equal(heads(rows, known.ways), known.heads))
            self._take(at, known, at)
            left[at] = False
        for way, ends in ((VALUE, rows.last), (VALUE_AND_TIME, rows.last_but_one)):
            theirs = np.flatnonzero(left & (known.ways == way))
            if len(theirs):
                ours = np.flatnonzero(self._unread)
                found = places(slices(rows.body, rows.starts[ours], ends[ours]), known.heads.take(theirs))
                self._take(ours[found >= 0], known, theirs[found[found >= 0]])
        self.readings = readings_of(rows, self._ways, openmetrics=self._openmetrics)
        unreadable = ~self.readings.readable
        self._ways[unreadable], self._unread[unreadable] = NO_SAMPLE, True

    def _take(self, ours: Int64, known: Layout, theirs: Int64) -> None:
        lines = np.fromiter(known.lines, np.object_, len(known.lines))[np.searchsorted(known.samples, theirs)]
        if self._types != known.types:
            lines = np.fromiter(map(self._typed, lines.tolist()), np.object_, len(lines))
        self._lines[ours] = lines
        self._ways[ours] = known.ways[theirs]
        self._unread[ours] = False

    def _typed(self, line: Line) -> Line:
        """The line, if its family still has the type it had."""
        kind = self._kind_of[line.name]
        return line if line.kind == kind else Line(line.name, line.labels, kind)

    def read_the_rest(self) -> None:
        """Read with care what was not taken over."""
        reader = RowReader(openmetrics=self._openmetrics)
        for row, spelled in self._rows.spelled(np.flatnonzero(self._unread)):
            try:
                read = reader.read(spelled)
            except Unreadable as fault:
                self.faults[row] = fault.reason
            else:
                self._lines[row] = Line(read.name, read.labels, self._kind_of[read.name])
                self._ways[row] = read.words
                self.readings.values[row], self.readings.times_ms[row] = read.value, read.time_ms

    def keep_lines(self, known: Layout) -> None:
        """Keep the line of a row that is only spelled in another way, as when an exemplar comes or goes."""
        if WITH_CARE in self._ways or WITH_CARE in known.ways:
            taken = set(map(id, self._lines))
            kept = {_said(line): self._typed(line) for line in known.lines if id(line) not in taken}
            for row in np.flatnonzero(self._unread & (self._ways != NO_SAMPLE)).tolist():
                self._lines[row] = kept.get(_said(self._lines[row]), self._lines[row])

    def layout(self, known: Layout | None) -> Layout:
        samples = np.flatnonzero(self._ways != NO_SAMPLE)
        lines: tuple[Line, ...] = tuple(self._lines[samples].tolist())
        return Layout(
            openmetrics=self._openmetrics,
            types=self._types,
            ways=self._ways,
            heads=heads(self._rows, self._ways),
            samples=samples,
            lines=known.lines if known is not None and lines == known.lines else lines,
            dropped=self._dropped(),
        )

    def _dropped(self) -> Mapping[Reason, Dropped]:
        dropped: dict[Reason, Dropped] = {}
        for row, reason in sorted(self.faults.items()):
            before = dropped.get(reason) or Dropped(0, _shown(self._rows, row))
            dropped[reason] = Dropped(before.rows + 1, before.example)
        return dropped


def _said(line: Line) -> _Said:
    return line.name, tuple(sorted(line.labels.items()))


def _shown(rows: Rows, row: int) -> str:
    """The row, as far as it is worth showing."""
    return rows.body[rows.starts[row] : rows.ends[row]][: 4 * _EXAMPLE].decode(errors="replace")[:_EXAMPLE]
