"""Counters of one target → how much each grew since the scrape before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from recwatch.core.signals import Float64


class Counted(NamedTuple):
    """Counters by id, and the value of each, float64[n]; NaN where there is none now.

    `ids` is the same object from scrape to scrape for as long as they are the same counters in the same order.
    """

    ids: tuple[int, ...]
    values: Float64


@dataclass(frozen=True, slots=True, eq=False)
class Growth:
    """What each counter grew by over `interval_s` seconds, aligned to it; no interval, no scrape to compare with."""

    restarted: bool
    interval_s: float | None
    process: Float64
    hardware: Float64


class Increments:
    """Remembers the last value of every counter of a target.

    A process that started anew counts from 0: its `start` changed, or a counter fell, and then every counter of the page is
    taken to have been 0, so that the buckets of a histogram stay consistent. A counter that is not on the first page started
    at 0, too. Hardware counters outlive processes: where one is new or fell, it grew by nothing.

    Growth is measured over an interval of more than 0 and at most `max_gap_ms`: a clock that jumped gives no rate.
    """

    def __init__(self, max_gap_ms: int) -> None:
        self._max_gap_ms = max_gap_ms
        self._time_ms: int | None = None
        self._start: float | None = None
        self._process = _Last(unknown=0.0)
        self._hardware = _Last(unknown=np.nan)

    def advance(self, time_ms: int, process: Counted, hardware: Counted, start: float | None) -> Growth:
        """The growth of the counters up to `time_ms`; `start` is when the process started, where known."""
        fell = bool((process.values < self._process.of(process.ids)).any())
        restarted = fell or (None not in (start, self._start) and start != self._start)
        if restarted:
            self._process.forget()
        grown = process.values - self._process.of(process.ids)
        since = hardware.values - self._hardware.of(hardware.ids)
        since = np.where(np.isnan(since) & ~np.isnan(hardware.values), 0.0, np.maximum(since, 0.0))
        gap_ms = None if self._time_ms is None else time_ms - self._time_ms
        self._process.keep(process.values)
        self._hardware.keep(hardware.values)
        self._time_ms, self._start = time_ms, start
        known = gap_ms is not None and 0 < gap_ms <= self._max_gap_ms
        return Growth(restarted, gap_ms / 1000 if gap_ms is not None and known else None, grown, since)


class _Last:
    """The last value of each counter, in the order in which they are told now."""

    def __init__(self, unknown: float) -> None:
        self._unknown = unknown
        self._ids: tuple[int, ...] = ()
        self._values = np.zeros(0)
        self._away: dict[int, float] = {}

    def of(self, ids: tuple[int, ...]) -> Float64:
        if ids is not self._ids:
            self._away |= zip(self._ids, self._values.tolist(), strict=True)
            values = (self._away.get(counter, self._unknown) for counter in ids)
            self._ids, self._values = ids, np.fromiter(values, np.float64, len(ids))
        return self._values

    def keep(self, values: Float64) -> None:
        self._values = np.where(np.isnan(values), self._values, values)

    def forget(self) -> None:
        self._away.clear()
        self._values = np.full(len(self._ids), self._unknown)
