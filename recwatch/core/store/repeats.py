"""Which samples come again: who publishes may die before it knows that they have arrived, and then they are sent twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from recwatch.core.bus import Position, Record
from recwatch.core.store.database import Store

_Row = tuple[int, int]
"""Series and time of a sample, which there is once."""


class Repeats:
    """Finds records whose samples, known by series and time, are all stored already, or come in one record before.

    A record whose first sample is newer than the first of any before it that began with the same series is new. Of all
    others, which are few, the store is asked; also of the first of each series that is seen of a partition, because nothing
    is known of what its last owner stored.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._newest: dict[Position, dict[int, int]] = {}

    def forget(self, position: Position) -> None:
        """Know nothing of a partition, as others store what is there."""
        self._newest.pop(position, None)

    def find(self, position: Position, records: Sequence[Record]) -> list[Record]:
        """Those of `records`, all samples of one partition and the next to be stored, that repeat others."""
        suspects = self._suspects(position, records)
        if not suspects:
            return []
        before = _by_first(records)
        stored = self._stored(suspects)
        return [
            record
            for record in suspects
            if any(_rows(other) == _rows(record) for other in before[_first(record)] if other.offset < record.offset)
            or _rows(record) <= stored
        ]

    def _stored(self, suspects: Sequence[Record]) -> set[_Row]:
        """The rows that are stored of those suspects whose first row is."""
        firsts = self._store.rows_there([_first(record) for record in suspects])
        return self._store.rows_there([row for record in suspects if _first(record) in firsts for row in _rows(record)])

    def _suspects(self, position: Position, records: Sequence[Record]) -> list[Record]:
        newest = self._newest.setdefault(position, {})
        suspects = []
        for record in records:
            if not len(record.message):
                continue
            series, time_ms = _first(record)
            last_ms = newest.get(series)
            if last_ms is None or time_ms <= last_ms:
                suspects.append(record)
            if last_ms is None or time_ms > last_ms:
                newest[series] = time_ms
        return suspects


def _first(record: Record) -> _Row:
    return int(record.message.series_id[0]), int(record.message.time_ms[0])


def _rows(record: Record) -> set[_Row]:
    return set(zip(record.message.series_id.tolist(), record.message.time_ms.tolist(), strict=True))


def _by_first(records: Sequence[Record]) -> Mapping[_Row, Sequence[Record]]:
    found: dict[_Row, list[Record]] = {}
    for record in records:
        if len(record.message):
            found.setdefault(_first(record), []).append(record)
    return found
