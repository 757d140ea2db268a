"""A page of which something is new → what is to be remembered of it, and its values.

A row that is known by its spelling is taken over; every other is read with care. So a row that is new or has changed costs
itself and not the page.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from collectors.exposition import repeated
from collectors.exposition.columns import Bools, Rows, places, slices, taken
from collectors.exposition.kinds import KindOf, stated_type
from collectors.exposition.page import Dropped, Line, Page, Reason
from collectors.exposition.repeated import NO_SAMPLE, VALUE, VALUE_AND_TIME, Layout, Readings
from collectors.exposition.row import RowReader, Unreadable, decoded
from recwatch.core.errors import BadInput
from recwatch.core.signals import Int64
from recwatch.core.wording import clean

_EXAMPLE = 120
_QUOTED = 60

_Said = tuple[str, tuple[tuple[str, str], ...]]


def learn(rows: Rows, known: Layout, same: Bools, *, whole: bool) -> tuple[Layout, Page]:
    """What is to be remembered of the page, and the page.

    `known` is the layout before, and `same` says which rows are spelled as in it; `whole` whether the last row ended in a
    newline. Raises BadInput where it is cut off, or where no row can be read.
    """
    learner = _Learner(rows, known)
    learner.take_over(same)
    learner.read_the_rest()
    learner.keep_lines()
    layout = learner.layout()
    if learner.faults and not layout.lines:
        raise BadInput(
            f"{_quoted(rows, min(learner.faults))} is no exposition text, nor is any other row; check the address"
        )
    if not whole and len(rows) - 1 in learner.faults:
        raise BadInput(f"the page is cut off: its last row is {_quoted(rows, len(rows) - 1)}; scrape it again")
    return layout, repeated.page_of(layout, learner.readings)


def nothing_known(*, openmetrics: bool) -> Layout:
    """The layout before the first page."""
    nothing = np.zeros(0, np.int64)
    return Layout(
        openmetrics=openmetrics,
        types={},
        kinds={},
        ways=nothing.astype(np.int8),
        heads=slices(b"", nothing, nothing),
        line_of=nothing.astype(np.object_),
        lines=(),
        dropped={},
    )


class _Learner:
    """Gathers what a layout says of each row."""

    def __init__(self, rows: Rows, known: Layout) -> None:
        self._rows = rows
        self._known = known
        self.faults: dict[int, Reason] = {}
        self.readings = Readings.of_none(len(rows))
        self._ways = np.full(len(rows), NO_SAMPLE, np.int8)
        self._line_of = np.full(len(rows), None, np.object_)
        self._unread = np.ones(len(rows), np.bool_)
        self._left = known.ways != NO_SAMPLE
        self._types = self._read_comments()
        self._kinds = KindOf(self._types)

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

    def take_over(self, same: Bools) -> None:
        """Take over the rows that are spelled as they were, there or elsewhere, if their numbers can be read."""
        rows, known = self._rows, self._known
        if same.any():
            at = np.flatnonzero(same & (known.ways > 0))
            self._take(at, at)
        for way, ends in ((VALUE, rows.last), (VALUE_AND_TIME, rows.last_but_one)):
            theirs = np.flatnonzero(self._left & (known.ways == way))
            if len(theirs):
                ours = np.flatnonzero(self._unread)
                found = places(slices(rows.body, rows.starts[ours], ends[ours]), taken(known.heads, theirs))
                self._take(ours[found >= 0], theirs[found[found >= 0]])
        self.readings = repeated.readings_of(rows, self._ways, openmetrics=known.openmetrics)
        unreadable = ~self.readings.readable
        self._ways[unreadable], self._unread[unreadable] = NO_SAMPLE, True

    def _take(self, ours: Int64, theirs: Int64) -> None:
        lines = self._known.line_of[theirs]
        if self._types != self._known.types:
            lines = np.fromiter(map(self._typed, lines.tolist()), np.object_, len(lines))
        self._line_of[ours], self._ways[ours] = lines, self._known.ways[theirs]
        self._unread[ours], self._left[theirs] = False, False

    def _typed(self, line: Line) -> Line:
        """The line, if its family still has the type it had."""
        kind = self._kinds[line.name]
        return line if line.kind == kind else Line(line.name, line.labels, kind)

    def read_the_rest(self) -> None:
        """Read with care what was not taken over."""
        reader = RowReader(self._kinds, openmetrics=self._known.openmetrics)
        at, read = [], []
        for row, spelled in self._rows.spelled(np.flatnonzero(self._unread)):
            try:
                read.append(reader.read(spelled))
                at.append(row)
            except Unreadable as fault:
                self.faults[row] = fault.reason
        if read:
            lines, self.readings.values[at], self.readings.times_ms[at], self._ways[at] = zip(*read, strict=True)
            self._line_of[at] = np.fromiter(lines, np.object_, len(lines))

    def keep_lines(self) -> None:
        """Keep the line of a row that is only spelled in another way, as when an exemplar or a timestamp comes or goes."""
        new, left = self._unread & (self._ways != NO_SAMPLE), self._left
        if (self._ways[new] != VALUE).any() or (self._known.ways[left] != VALUE).any():
            kept = {_said(line): self._typed(line) for line in self._known.line_of[left].tolist()}
            for row in np.flatnonzero(new).tolist():
                self._line_of[row] = kept.get(_said(self._line_of[row]), self._line_of[row])

    def layout(self) -> Layout:
        self._line_of[self._ways == NO_SAMPLE] = None
        lines: tuple[Line, ...] = tuple(self._line_of[self._ways != NO_SAMPLE].tolist())
        return Layout(
            openmetrics=self._known.openmetrics,
            types=self._types,
            kinds=self._kinds,
            ways=self._ways,
            heads=repeated.heads(self._rows, self._ways),
            line_of=self._line_of,
            lines=self._known.lines if lines == self._known.lines else lines,
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


def _quoted(rows: Rows, row: int) -> str:
    """The beginning of the row, safe to print in a sentence."""
    shown = _shown(rows, row)
    return f"'{clean(shown[:_QUOTED])}{'…' if len(shown) > _QUOTED else ''}'"


def _shown(rows: Rows, row: int) -> str:
    """The row, as far as it is worth showing."""
    return rows.body[rows.starts[row] : rows.ends[row]][: 4 * _EXAMPLE].decode(errors="replace")[:_EXAMPLE]
