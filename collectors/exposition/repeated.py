"""A page whose lines are known → its values.

A target prints the same lines again and again with other values. What stands before a value is read with care once and
remembered as it is spelled. From then on it is compared, all rows at once, and only numbers are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from collectors.exposition.columns import Bools, Rows, Slices, numbers, slices
from collectors.exposition.page import NO_TIME_MS, Dropped, Line, Page, Reason
from collectors.exposition.row import EXACT_MS, RowReader, Unreadable
from recwatch.core.signals import Float64, Int64

NO_SAMPLE, WITH_CARE, VALUE, VALUE_AND_TIME = -1, 0, 1, 2
"""How a row is read again: by its last word or its last two, as a whole, or not at all."""

Ways = npt.NDArray[np.int8]


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """What is remembered of a page.

    For each row, `ways` says how it is read again and `heads` how what stands before its numbers is spelled: all of it where
    there is no sample, nothing where it is read with care every time. `samples` are the rows with a sample, in the order of
    `lines`. `types` are the families' types.
    """

    openmetrics: bool
    types: Mapping[str, str]
    ways: Ways
    heads: Slices
    samples: Int64
    lines: tuple[Line, ...]
    dropped: Mapping[Reason, Dropped]


@dataclass(frozen=True, slots=True, eq=False)
class Readings:
    """The numbers of each row; `readable` is false where its last words should be numbers and are not."""

    values: Float64
    times_ms: Int64
    readable: Bools


def no_readings(rows: int) -> Readings:
    """Readings to be filled in."""
    return Readings(np.zeros(rows), np.full(rows, NO_TIME_MS), np.ones(rows, np.bool_))


class Changed(Exception):
    """The page is not the known one with other numbers."""


def read_again(rows: Rows, known: Layout) -> Page:
    """The page with the numbers it has now. Raises Changed."""
    if len(rows) != len(known.ways) or not heads(rows, known.ways).equals(known.heads):
        raise Changed
    readings = readings_of(rows, known.ways, openmetrics=known.openmetrics)
    if not readings.readable.all():
        raise Changed
    _add_careful(rows, known, readings)
    return page_of(known, readings)


def page_of(layout: Layout, readings: Readings) -> Page:
    """The page that has the layout and these numbers."""
    values, times_ms = readings.values[layout.samples], readings.times_ms[layout.samples]
    return Page(layout.lines, values, times_ms if (times_ms != NO_TIME_MS).any() else None, layout.dropped)


def heads(rows: Rows, ways: Ways) -> Slices:
    """How each row is spelled up to its numbers."""
    return slices(rows.body, rows.starts, np.choose(ways + 1, (rows.ends, rows.starts, rows.last, rows.last_but_one)))


def readings_of(rows: Rows, ways: Ways, *, openmetrics: bool) -> Readings:
    """The numbers at the ends of the rows that end in some."""
    readings = no_readings(len(rows))
    timed = ways == VALUE_AND_TIME
    starts, ends = np.where(timed, rows.last_but_one, rows.last), np.where(timed, rows.last - 1, rows.ends)
    at = np.flatnonzero(ways > 0)
    readings.values[at], readings.readable[at] = numbers(slices(rows.body, starts[at], ends[at]))
    if timed.any():
        at = np.flatnonzero(timed)
        times, readable = numbers(slices(rows.body, rows.last[at], rows.ends[at]))
        times_ms = np.rint(times * 1000 if openmetrics else times)
        readable &= np.abs(times_ms) <= EXACT_MS
        readings.times_ms[at] = np.where(readable, times_ms, 0)
        readings.readable[at] &= readable
    return readings


def _add_careful(rows: Rows, known: Layout, readings: Readings) -> None:
    """Add the rows that are read with care every time. Raises Changed where one is not of its line any more."""
    at = np.flatnonzero(known.ways == WITH_CARE)
    reader = RowReader(openmetrics=known.openmetrics)
    for (row, spelled), position in zip(rows.spelled(at), np.searchsorted(known.samples, at).tolist(), strict=True):
        line = known.lines[position]
        try:
            read = reader.read(spelled)
        except Unreadable as fault:
            raise Changed from fault
        if read.words or (read.name, read.labels) != (line.name, line.labels):
            raise Changed
        readings.values[row], readings.times_ms[row] = read.value, read.time_ms
