"""Of every series that a Prometheus sends: whose it is, and how new its last row was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from collectors.intervals import ReceivedService
from collectors.received import Source
from collectors.remote_write import EncodedLabels
from recwatch.core.signals import Int64

UNCLAIMED = -1
_NEVER_MS = np.iinfo(np.int64).min


class Place(NamedTuple):
    """Where the rows of a series belong."""

    service: ReceivedService
    source: Source
    position: int
    series_id: int


class Ledger:
    """The series in the order in which they were entered: their index is their row, to which the columns are aligned.

    `stored` is the time of the newest row of each series, by its id, as far as that is known from before.
    """

    def __init__(self, stored: Mapping[int, int]) -> None:
        self._stored = dict(stored)
        self._row_of: dict[EncodedLabels, int] = {}
        self._number_of: dict[Source, int] = {}
        self.places: list[Place] = []
        self.series_id = np.empty(0, np.uint64)
        self.source = np.empty(0, np.int64)
        self.position = np.empty(0, np.int64)
        self.last_ms = np.empty(0, np.int64)

    def __len__(self) -> int:
        return len(self._row_of)

    def unknown(self, series: Sequence[EncodedLabels]) -> Sequence[EncodedLabels]:
        """Those that were not entered, each once."""
        return [encoded for encoded in dict.fromkeys(series) if encoded not in self._row_of]

    def enter(self, new: Mapping[EncodedLabels, Place | None]) -> None:
        """Take note of series; None says that no service selects one."""
        claimed = [place for place in new.values() if place is not None]
        rows = iter(range(len(self.places), len(self.places) + len(claimed)))
        self._row_of |= {encoded: UNCLAIMED if place is None else next(rows) for encoded, place in new.items()}
        self.places += claimed
        numbers = [self._number_of.setdefault(place.source, len(self._number_of)) for place in claimed]
        lasts = [self._stored.pop(place.series_id, _NEVER_MS) for place in claimed]
        self.series_id = np.append(self.series_id, np.array([place.series_id for place in claimed], np.uint64))
        self.source = np.append(self.source, np.array(numbers, np.int64))
        self.position = np.append(self.position, np.array([place.position for place in claimed], np.int64))
        self.last_ms = np.append(self.last_ms, np.array(lasts, np.int64))

    def rows(self, series: Sequence[EncodedLabels]) -> Int64:
        """The row of each series; UNCLAIMED of those that no service selects."""
        return np.array([self._row_of[encoded] for encoded in series], dtype=np.int64)

    def newest(self, since_ms: int) -> Mapping[int, int]:
        """The time of the newest row of each series that has one since then, by id: what a ledger begun anew is to know."""
        entered = zip(self.series_id.tolist(), self.last_ms.tolist(), strict=True)
        return {series_id: last_ms for series_id, last_ms in (*self._stored.items(), *entered) if last_ms >= since_ms}
