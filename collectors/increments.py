"""Counters of one target → how much each grew since the scrape before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Growth:
    """What each counter grew by over `interval_s` seconds; None, and nothing, without a scrape to compare with."""

    restarted: bool
    interval_s: float | None
    by: Mapping[int, float]


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
        self._process: dict[int, float] = {}
        self._hardware: dict[int, float] = {}

    def advance(
        self, time_ms: int, process: Mapping[int, float], hardware: Mapping[int, float], start: float | None
    ) -> Growth:
        """The growth of the counters, given by id, up to `time_ms`; `start` is when the process started, where known."""
        fell = any(value < self._process.get(counter, 0.0) for counter, value in process.items())
        restarted = fell or (None not in (start, self._start) and start != self._start)
        before = {} if restarted else self._process
        by = {counter: value - before.get(counter, 0.0) for counter, value in process.items()}
        by |= {counter: max(0.0, value - self._hardware.get(counter, value)) for counter, value in hardware.items()}
        gap_ms = None if self._time_ms is None else time_ms - self._time_ms
        self._process = before | dict(process)
        self._hardware |= hardware
        self._time_ms, self._start = time_ms, start
        if gap_ms is None or not 0 < gap_ms <= self._max_gap_ms:
            return Growth(restarted, None, {})
        return Growth(restarted, gap_ms / 1000, by)
