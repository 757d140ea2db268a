"""A page of which something is new → what is to be remembered of it.

A row that is known by its spelling is taken over; every other is read with care. So a row that is new or has changed costs
itself and not the page.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from collectors.exposition.columns import Rows, places, slices
from collectors.exposition.kinds import KindOf, stated_type
from collectors.exposition.page import Dropped, Line, Reason
from collectors.exposition.repeated import NO_SAMPLE, VALUE, VALUE_AND_TIME, Layout, heads, readings_of
from collectors.exposition.row import RowReader, Unreadable
from recwatch.core.errors import BadInput

_EXAMPLE = 120

_Said = tuple[str, tuple[tuple[str, str], ...]]


def learn(rows: Rows, known: Layout | None, *, openmetrics: bool, whole: bool) -> Layout:
    """What is to be remembered of the page; `known` is the layout before.

    `whole` says whether the last row ended in a newline. Raises BadInput where it is cut off, or where no row can be read.
    """
    learner = _Learner(rows, openmetrics)
    if known is not None:
        learner.take_over(known)
    learner.read_the_rest(known.lines if known is not None else ())
    if not whole and len(rows) - 1 in learner.faults:
        raise BadInput(f"the page is cut off: its last row is {_shown(rows, len(rows) - 1)!r}; scrape it again")
    layout = learner.layout(known)
    if learner.faults and not layout.lines:
        raise BadInput(
            f"{_shown(rows, min(learner.faults))!r} is no exposition text, nor is any other row; check the address"
        )
    return layout


class _Learner:
    """Gathers what a layout says of each row."""

    def __init__(self, rows: Rows, openmetrics: bool) -> None:
        self._rows = rows
        self._openmetrics = openmetrics
        self.faults: dict[int, Reason] = {}
        self._ways = np.full(len(rows), NO_SAMPLE, np.int8)
        self._lines = np.full(len(rows), None, np.object_)
        self._unread = np.ones(len(rows), np.bool_)
        self._types = self._read_comments()
        self._kind_of = KindOf(self._types)

    def _read_comments(self) -> Mapping[str, str]:
        """The types that comments state; they and blank rows are read then."""
        types: dict[str, str] = {}
        for row in np.flatnonzero(self._rows.firsts() <= ord("#")).tolist():
            try:
                text = self._rows.text(row).strip(" \t\r")
                if not text or text.startswith("#"):
                    self._unread[row] = False
                    types |= stated_type(text)
            except Unreadable as fault:
                self.faults[row] = fault.reason
            except UnicodeDecodeError:
                self.faults[row], self._unread[row] = "encoding", False
        return types

    def take_over(self, known: Layout) -> None:
        """Take over the rows that are spelled as they were, if their numbers can be read."""
        rows = self._rows
        known_lines, line_at = np.array((*known.lines, None), np.object_), np.cumsum(known.ways != NO_SAMPLE) - 1
        for way, ends in ((VALUE, rows.last), (VALUE_AND_TIME, rows.last_but_one)):
            if (known.ways == way).any():
                unread = np.flatnonzero(self._unread)
                found = places(slices(rows.body, rows.starts[unread], ends[unread]), known.heads)
                same = (found >= 0) & (known.ways[found] == way)
                self._ways[unread[same]] = way
                self._lines[unread[same]] = known_lines[line_at[found[same]]]
                self._unread[unread[same]] = False
        unreadable = ~readings_of(rows, self._ways, openmetrics=self._openmetrics).readable
        self._ways[unreadable], self._unread[unreadable] = NO_SAMPLE, True
        if self._types != known.types:
            for row in np.flatnonzero(self._ways != NO_SAMPLE).tolist():
                self._lines[row] = self._typed(self._lines[row])

    def _typed(self, line: Line) -> Line:
        """The line, if its family still has the type it had."""
        kind = self._kind_of[line.name]
        return line if line.kind == kind else Line(line.name, line.labels, kind)

    def read_the_rest(self, before: tuple[Line, ...]) -> None:
        """Read with care what was not taken over. A line that is only spelled in another way remains the one it was."""
        taken = set(map(id, self._lines))
        same = {_said(line.name, line.labels): self._typed(line) for line in before if id(line) not in taken}
        reader = RowReader(openmetrics=self._openmetrics)
        for row in np.flatnonzero(self._unread).tolist():
            try:
                read = reader.read(self._rows.text(row))
            except Unreadable as fault:
                self.faults[row] = fault.reason
            except UnicodeDecodeError:
                self.faults[row] = "encoding"
            else:
                line = same.get(_said(read.name, read.labels)) if same else None
                self._lines[row] = line or Line(read.name, read.labels, self._kind_of[read.name])
                self._ways[row] = read.words

    def layout(self, known: Layout | None) -> Layout:
        samples = np.flatnonzero(self._ways != NO_SAMPLE)
        lines: tuple[Line, ...] = tuple(self._lines[samples])
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


def _said(name: str, labels: Mapping[str, str]) -> _Said:
    return name, tuple(sorted(labels.items()))


def _shown(rows: Rows, row: int) -> str:
    """The row, as far as it is worth showing."""
    return rows.body[rows.starts[row] : rows.ends[row]][: 4 * _EXAMPLE].decode(errors="replace")[:_EXAMPLE]
