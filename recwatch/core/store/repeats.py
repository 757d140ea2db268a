"""Which samples come again: who publishes may die before it knows that they have arrived, and then they are sent twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from recwatch.core.bus import Position, Record
from recwatch.core.store.database import Store

LONG_AGO_MS = -(2**63)
_Row = tuple[int, int]
"""Series and time of a sample, which there is once."""


class Repeats:
    """Finds records whose samples, known by series and time, are all stored already, or come in one record before.

    A record is new whose first sample is newer than all that was stored of that series when it was first seen, and than the
    first of any record since that began with it. Of all others, which are few, the store is asked.
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
        firsts = [(record, *_first(record)) for record in records if len(record.message)]
        unseen = {series: time_ms for _, series, time_ms in reversed(firsts) if series not in newest}
        if unseen:
            newest |= dict.fromkeys(unseen, LONG_AGO_MS) | self._store.latest_ms([*unseen], min(unseen.values()))
        suspects = []
        for record, series, time_ms in firsts:
            if time_ms <= newest[series]:
                suspects.append(record)
            else:
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
