"""The stage that stores what is on the bus and is history: records in, rows out, nothing published."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import xxhash

from recwatch.core.bus import STORED, Position, Record
from recwatch.core.signals import Samples, Series, SeriesSet
from recwatch.core.stage import Outgoing
from recwatch.core.store.database import Store


class Sink:
    """Keeps records back and writes them `flush_s` seconds after the first, or as soon as they are `flush_rows` rows.

    What a write has begun with is written again unchanged until it is stored: the rows may have landed although the store
    failed to say so, and only the same token tells it that they are the same.
    Counts what it stored in `samples_stored` (rows by topic) and `events_stored` (values of events). A `Buffered` stage.
    """

    name = "sink"
    topics = STORED

    def __init__(self, store: Store, flush_s: float = 5.0, flush_rows: int = 50_000) -> None:
        self.samples_stored: Counter[str] = Counter()
        self.events_stored = 0
        self._store = store
        self._flush_ms = flush_s * 1000
        self._flush_rows = flush_rows
        self._kept: dict[Position, list[Record]] = {}
        self._writing: dict[Position, list[Record]] = {}
        self._kept_rows = 0
        self._kept_since_ms: int | None = None
        self._seen: dict[Position, int] = {}
        self._durable: dict[Position, int] = {}
        self._defined: set[Series] = set()

    @property
    def durable(self) -> Mapping[Position, int]:
        return self._durable

    def process(self, records: Sequence[Record], now_ms: int) -> Sequence[Outgoing]:
        for record in records:
            self._keep(record, now_ms)
        due = self._kept_since_ms is not None and now_ms - self._kept_since_ms >= self._flush_ms
        if due or self._writing or self._kept_rows >= self._flush_rows:
            self.flush()
        return ()

    def flush(self) -> None:
        """Store what an earlier write left undone, then what was kept back since."""
        self._write()
        self._writing, self._kept = self._kept, {}
        self._kept_rows = 0
        self._kept_since_ms = None
        self._write()

    def _write(self) -> None:
        """Store series first, for samples mean nothing without them, then samples, then events."""
        for position in [p for p, records in self._writing.items() if isinstance(records[0].message, SeriesSet)]:
            self._store_series(position)
        for position in [p for p, records in self._writing.items() if isinstance(records[0].message, Samples)]:
            self._store_samples(position)
        self._store_events()

    def _keep(self, record: Record, now_ms: int) -> None:
        position = Position(record.topic, record.partition)
        if record.offset < self._seen.get(position, 0):
            return
        self._seen[position] = record.offset + 1
        self._kept.setdefault(position, []).append(record)
        self._kept_rows += len(record.message) if isinstance(record.message, Samples) else 1
        if self._kept_since_ms is None:
            self._kept_since_ms = now_ms

    def _store_series(self, position: Position) -> None:
        known = {series for record in self._writing[position] for series in record.message.series}
        self._store.write_series(known - self._defined)
        self._defined |= known
        self._stored(position)

    def _store_samples(self, position: Position) -> None:
        records = self._writing[position]
        self._store.write_samples([record.message for record in records], insert_token(position, records))
        self.samples_stored[position.topic] += sum(len(record.message) for record in records)
        self._stored(position)

    def _store_events(self) -> None:
        self._store.write_events([record.message for records in self._writing.values() for record in records])
        for position, records in list(self._writing.items()):
            self.events_stored += len(records)
            self._stored(position)

    def _stored(self, position: Position) -> None:
        self._durable[position] = self._writing.pop(position)[-1].offset + 1


def insert_token(position: Position, records: Sequence[Record]) -> str:
    """Equal for equal records at equal offsets.

    The content counts too, because the offsets of an embedded bus begin again with every process.
    """
    content = xxhash.xxh3_64()
    for record in records:
        for column in (record.message.time_ms, record.message.series_id, record.message.value):
            content.update(column.tobytes())
    return f"{position.topic}-{position.partition}-{records[0].offset}-{records[-1].offset + 1}-{content.hexdigest()}"
