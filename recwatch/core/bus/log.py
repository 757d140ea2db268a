"""One partition of a bus in memory."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

from recwatch.core.bus import Position, Record


class Log:
    """The records of one partition that somebody still needs, in order of offset."""

    def __init__(self, compacted: bool) -> None:
        self.end = 0
        self._records: list[Record] = []
        self._last_offset: dict[str, int] | None = {} if compacted else None

    @property
    def late_start(self) -> int:
        """Where a group begins that subscribes now."""
        return self.end if self._last_offset is None else 0

    def append(self, position: Position, key: str, message: Any) -> None:
        """Add a message as the last record."""
        self._records.append(Record(*position, self.end, key, message))
        if self._last_offset is not None:
            self._last_offset[key] = self.end
        self.end += 1

    def since(self, offset: int) -> list[Record]:
        """The records from `offset` on."""
        return self._records[bisect_left(self._records, offset, key=_offset) :]

    def count_since(self, offset: int) -> int:
        """How many records there are from `offset` on."""
        return len(self._records) - bisect_left(self._records, offset, key=_offset)

    def free_before(self, offset: int) -> None:
        """Drop what lies before `offset`, but never the last record of a key of a compacted topic."""
        cut = bisect_left(self._records, offset, key=_offset)
        last = self._last_offset
        kept = [] if last is None else [r for r in self._records[:cut] if last[r.key] == r.offset]
        self._records[:cut] = kept


def _offset(record: Record) -> int:
    return record.offset
