"""From scores to anomalies: what is too small to matter, what the load explains, when one starts, and when it is over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.panel import Place, Rows, rows_at
from recwatch.core.events import Anomaly
from recwatch.core.signals import Float64, Int64, Judgement

STARTS_AFTER = 2
"""Consecutive readings with a score of at least 1 that start an anomaly, where the plan says nothing else."""
STARTS_AT_ONCE = 3.0
"""A score that starts an anomaly by itself, where the plan says nothing else."""
ENDS_AFTER = 5
"""Consecutive readings below 1, or steps without one, that end it."""


def tempered(judgement: Judgement, value: Float64, side: Float64, matters: Float64) -> Judgement:
    """The judgement with its band at least as wide as what matters, and no score on the side that does not.

    `side` is +1 where only readings above the expected value count, -1 where only those below do, 0 where both do. Below
    what matters the score stays under 1 however long a deviation lasts. Where something is known to matter, the series is
    never below 0, and neither is its band.
    """
    distance, some = value - judgement.expected, matters > 0
    share = np.divide(np.abs(distance), matters, out=np.full(len(value), np.inf), where=some)
    score = np.minimum(judgement.score, share) * ~(distance * side < 0)
    upper = np.maximum(judgement.upper, judgement.expected + matters)
    lower = np.minimum(judgement.lower, judgement.expected - matters)
    return Judgement(score, judgement.expected, np.where(some, np.maximum(lower, 0.0), lower), upper)


def explained(score: Float64, by: Float64) -> Float64:
    """The score, but no more than that of the method which knows the reason; where that one abstains, the score itself.

    >>> explained(np.array([4.0, 4.0, np.nan]), by=np.array([0.5, np.nan, 2.0]))
    array([0.5, 4. , nan])
    """
    return np.where(score > by, by, score)


class Changes(NamedTuple):
    """Pairs (index into the rows given, method) whose anomaly starts and ends."""

    started: list[tuple[int, int]]
    ended: list[tuple[int, int]]


class Hysteresis:
    """Whether each pair of a series and a method is in an anomaly; series are rows, methods are columns."""

    def __init__(self, methods: int) -> None:
        count, stamp = np.zeros(methods, dtype=np.int32), np.zeros(methods, dtype=np.int64)
        self.rows = Rows(
            over=count, under=count, open=count.astype(bool), peak=np.zeros(methods), since_ms=stamp, last_ms=stamp
        )

    def update(
        self,
        at: Place,
        time_ms: Int64,
        score: Float64,
        starts_after: Float64 | float = STARTS_AFTER,
        starts_at_once: Float64 | float = STARTS_AT_ONCE,
    ) -> Changes:
        """Count the scores (n rows × methods, NaN where a method abstains) of one reading of each row.

        The thresholds are the same for all rows, or one for each.
        """
        self.rows.reserve(at)
        columns = self.rows
        busy = (score >= 1.0) | columns["open"][at] | (columns["over"][at] > 0)
        if not np.count_nonzero(busy):
            return Changes([], [])
        index, method = _pairs(busy)
        told, time, pair = score[index, method], time_ms[index], (rows_at(at, index), method)
        over = told >= 1.0
        before, is_open = columns["over"][pair], columns["open"][pair]
        first = over & (before == 0) & ~is_open
        count = np.where(over, before + 1, 0)
        under = np.where(over, 0, columns["under"][pair] + 1)
        after, at_once = (np.broadcast_to(limit, len(score))[index] for limit in (starts_after, starts_at_once))
        started = over & ~is_open & ((count >= after) | (told >= at_once))
        ended = is_open & (under >= ENDS_AFTER)
        columns["over"][pair] = count
        columns["under"][pair] = under
        columns["open"][pair] = (is_open | started) & ~ended
        columns["since_ms"][pair] = np.where(first, time, columns["since_ms"][pair])
        columns["last_ms"][pair] = np.where(over, time, columns["last_ms"][pair])
        peak = np.where(first, 0.0, columns["peak"][pair])
        columns["peak"][pair] = np.where(over, np.maximum(peak, told), peak)
        starts, ends = (list(zip(index[which].tolist(), method[which].tolist(), strict=True)) for which in (started, ended))
        return Changes(starts, ends)

    def resume(self, row: int, method: int, anomaly: Anomaly, last_ms: int) -> None:
        """Go on with an anomaly that another process saw begin, and saw open at `last_ms`."""
        self.rows.reserve(np.array([row], dtype=np.int64))
        told = {"open": True, "over": 0, "under": 0, "since_ms": anomaly.start_ms, "last_ms": last_ms}
        for column, value in {**told, "peak": anomaly.peak_score}.items():
            self.rows[column][row, method] = value

    def forget(self, row: int, method: int) -> None:
        """The pair is in no anomaly any more."""
        self.rows["open"][row, method] = False
        self.rows["over"][row, method] = 0

    def since_ms(self, row: int, method: int) -> int:
        return int(self.rows["since_ms"][row, method])

    def last_ms(self, row: int, method: int) -> int:
        """The last reading with a score of at least 1."""
        return int(self.rows["last_ms"][row, method])

    def peak(self, row: int, method: int) -> float:
        return float(self.rows["peak"][row, method])

    def state(self) -> dict[str, npt.NDArray[Any]]:
        return self.rows.state()

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        self.rows.restore(state)


def _pairs(mask: npt.NDArray[np.bool_]) -> tuple[Int64, Int64]:
    """Where bool[n, methods] is set, row by row; its columns are contiguous, and few are set."""
    method, index = np.divmod(np.flatnonzero(mask.T), len(mask))
    order = np.argsort(index, kind="stable")
    return index[order], method[order]
