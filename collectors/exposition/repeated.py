"""A page whose lines are known → its values.

A target prints the same lines again and again with other values. What stands before a value is read with care once and
remembered as it is spelled. From then on it is compared, all rows at once, and only numbers are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from collectors.exposition.columns import Bools, Rows, Slices, equal, numbers, slices
from collectors.exposition.page import NO_TIME_MS, Dropped, Line, Page, Reason
from collectors.exposition.row import EXACT_MS, RowReader, Unreadable
from recwatch.core.signals import Float64, Int64, Kind

NO_SAMPLE, WITH_CARE, VALUE, VALUE_AND_TIME = -1, 0, 1, 2
"""How a row is read again: by its last word or its last two, as a whole, or not at all."""

Ways = npt.NDArray[np.int8]
Objects = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """What is remembered of a page.

    For each row, `ways` says how it is read again, `heads` how what stands before its numbers is spelled, and `line_of` its
    line. A row without a sample has no line, and all of it is its head; one that is read with care every time has no head.
    `lines` are those of the page in order, `types` the types that it states of families, `kinds` what follows of names.
    """

    openmetrics: bool
    types: Mapping[str, str]
    kinds: Mapping[str, Kind]
    ways: Ways
    heads: Slices
    line_of: Objects
    lines: tuple[Line, ...]
    dropped: Mapping[Reason, Dropped]


@dataclass(frozen=True, slots=True, eq=False)
class Readings:
    """The numbers of each row; `readable` is false where its last words should be numbers and are not."""

    values: Float64
    times_ms: Int64
    readable: Bools

    @classmethod
    def of_none(cls, rows: int) -> Readings:
        """Those of rows none of which is read yet."""
        return cls(np.zeros(rows), np.full(rows, NO_TIME_MS), np.ones(rows, np.bool_))


class Changed(Exception):
    """The page is not the known one with other numbers."""


def spelled_as_known(rows: Rows, known: Layout) -> Bools:
    """Which rows are, but for their numbers, spelled as the known ones in their place; none where their count differs."""
    if len(rows) != len(known.ways):
        return np.zeros(len(rows), np.bool_)
    return equal(heads(rows, known.ways), known.heads)


def heads(rows: Rows, ways: Ways) -> Slices:
    """How each row is spelled up to its numbers."""
    return slices(rows.body, rows.starts, np.choose(ways + 1, (rows.ends, rows.starts, rows.last, rows.last_but_one)))


def read_again(rows: Rows, known: Layout) -> Page:
    """The page whose rows are all spelled as the known ones. Raises Changed where that is not all there is to it."""
    readings = readings_of(rows, known.ways, openmetrics=known.openmetrics)
    if not readings.readable.all():
        raise Changed
    _add_careful(rows, known, readings)
    return page_of(known, readings)


def page_of(layout: Layout, readings: Readings) -> Page:
    """The page that has the layout and these numbers."""
    samples = layout.ways != NO_SAMPLE
    values, times_ms = readings.values[samples], readings.times_ms[samples]
    return Page(layout.lines, values, times_ms if (times_ms != NO_TIME_MS).any() else None, layout.dropped)


def readings_of(rows: Rows, ways: Ways, *, openmetrics: bool) -> Readings:
    """The numbers at the ends of the rows that end in some."""
    readings = Readings.of_none(len(rows))
    timed = ways == VALUE_AND_TIME
    starts, ends = np.where(timed, rows.last_but_one, rows.last), np.where(timed, rows.last - 1, rows.ends)
    at = np.flatnonzero(ways > 0)
    readings.values[at], readings.readable[at] = numbers(slices(rows.body, starts[at], ends[at]))
    if timed.any():
        at = np.flatnonzero(timed)
        times, readable = numbers(slices(rows.body, rows.last[at], rows.ends[at]))
        times_ms = np.rint(times * 1000 if openmetrics else times)
        readable &= np.abs(times_ms) < EXACT_MS
        readings.times_ms[at] = np.where(readable, times_ms, 0)
        readings.readable[at] &= readable
    return readings


def _add_careful(rows: Rows, known: Layout, readings: Readings) -> None:
    """Add the rows that are read with care every time. Raises Changed where one is not of its line any more."""
    reader = RowReader(known.kinds, openmetrics=known.openmetrics)
    for row, spelled in rows.spelled(np.flatnonzero(known.ways == WITH_CARE)):
        try:
            line, value, time_ms, words = reader.read(spelled)
        except Unreadable as fault:
            raise Changed from fault
        before: Line = known.line_of[row]
        if words or (line.name, line.labels) != (before.name, before.labels):
            raise Changed
        readings.values[row], readings.times_ms[row] = value, time_ms
