"""The stage that stores what is on the bus and is history: records in, rows out, nothing published."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import xxhash

from recwatch.core.bus import STORED, Outgoing, Position, Record, Subscription
from recwatch.core.errors import Unavailable
from recwatch.core.signals import Samples, Series, SeriesSet
from recwatch.core.store.database import Store
from recwatch.core.store.repeats import Repeats

logger = logging.getLogger(__name__)

FLUSH_S = 5.0
FLUSH_ROWS = 1_000_000
"""The more ticks one insert holds, the less its roll-ups cost. At 24 bytes a row."""
FLUSH_RECORDS = 5_000
"""Half of what a partition of the bus in memory holds, whose publishers wait until the sink commits."""
MOST_REPEATED = 150
"""How many offsets an announcement names: of metadata a broker takes 4 kB unless told otherwise."""
Told = Callable[[Iterable[Samples]], None]


class Sink:
    """Keeps records back and writes them `flush_s` seconds after the first, or as soon as they are many.

    Many are `flush_rows` rows, or `FLUSH_RECORDS` records. What comes while it writes counts as come when that began.

    Every sample is stored once, whoever dies when. Before rows are written, the offset of the first record is committed with
    the offset where the range ends as its metadata; the rows go under a token of that range; then its end is committed. Who
    finds a range announced and not ended writes exactly that range first, and the store knows its token if it is there
    already. Everything else may be written twice: the last value of an id counts.

    Records that repeat what is stored, because who published them died before it knew, are announced too, before the store
    has any of the range, and left out. Counts what it stored in `samples_stored` (rows by topic) and `events_stored` (values
    of events), the rows that it left out in `samples_repeated`, the announced ranges that it took over in `ranges_replayed`,
    and records that the bus gave again in `records_repeated`. `told` hears of samples once they are stored. A `Buffered`
    stage.
    """

    name = "sink"
    topics = STORED

    def __init__(
        self, store: Store, flush_s: float = FLUSH_S, flush_rows: int = FLUSH_ROWS, told: Told = lambda _: None
    ) -> None:
        self.samples_stored: Counter[str] = Counter()
        self.samples_repeated: Counter[str] = Counter()
        self.events_stored = 0
        self.ranges_replayed = 0
        self.records_repeated = 0
        self._told = told
        self._store = store
        self._flush_ms = flush_s * 1000
        self._flush_rows = flush_rows
        self._offsets: Subscription
        self._announced: dict[Position, int] = {}
        self._repeats = Repeats(store)
        self._repeated: dict[Position, Sequence[int]] = {}
        self._kept: dict[Position, list[Record]] = {}
        self._writing: dict[Position, list[Record]] = {}
        self._kept_rows = 0
        self._kept_since_ms: int | None = None
        self._wrote_since_ms: int | None = None
        self._seen: dict[Position, int] = {}
        self._defined: set[Series] = set()

    def take_on(self, positions: Sequence[Position], offsets: Subscription) -> None:
        self._offsets = offsets
        for position in positions:
            _, metadata = offsets.committed(position) or (0, "")
            if metadata:
                announced = json.loads(metadata)
                self._announced[position] = announced["end"]
                self._repeated[position] = announced.get("repeated", [])

    def give_up(self, positions: Sequence[Position]) -> None:
        try:
            self.flush()
        except Unavailable as error:
            logger.warning("sink: partitions go to another member with rows that are not stored yet: %s", error)
        for position in positions:
            for known in (self._announced, self._repeated, self._kept, self._writing, self._seen):
                known.pop(position, None)
            self._repeats.forget(position)

    def process(self, records: Sequence[Record], now_ms: int) -> Sequence[Outgoing]:
        came_ms = now_ms if self._wrote_since_ms is None else self._wrote_since_ms
        for record in records:
            self._keep(record, came_ms)
        due = self._kept_since_ms is not None and now_ms - self._kept_since_ms >= self._flush_ms
        much = self._kept_rows >= self._flush_rows or self._kept_records >= FLUSH_RECORDS
        self._wrote_since_ms = now_ms if due or much or self._writing else None
        if self._wrote_since_ms is not None:
            self.flush()
        return ()

    def flush(self) -> None:
        """Store what an earlier write left undone, then what was kept back since; an announced range not before it is whole.

        What a write has begun with is written again unchanged until it is stored: the rows may have landed although the
        store failed to say so.
        """
        self._write()
        while ready := [position for position in self._kept if self._seen[position] >= self._announced.get(position, 0)]:
            for position in ready:
                self._begin(position)
            self._write()
        self._kept_rows = self._kept_records
        if not self._kept:
            self._kept_since_ms = None

    @property
    def _kept_records(self) -> int:
        return sum(map(len, self._kept.values()))

    def _begin(self, position: Position) -> None:
        """Move what is kept of a partition, up to where an announced range ends, to what is being written."""
        records, end = self._kept.pop(position), self._announced.pop(position, None)
        self.ranges_replayed += end is not None
        size = len(records) if end is None else sum(record.offset < end for record in records)
        for known, share in ((self._writing, records[:size]), (self._kept, records[size:])):
            if share:
                known[position] = share

    def _write(self) -> None:
        """Store series first, for samples mean nothing without them, then samples, then events."""
        self._store_series(self._of(SeriesSet))
        self._store_samples(self._of(Samples))
        self._store_events(list(self._writing))

    def _of(self, word: type[SeriesSet | Samples]) -> Sequence[Position]:
        """The partitions being written that carry this word."""
        return [position for position, records in self._writing.items() if isinstance(records[0].message, word)]

    def _keep(self, record: Record, came_ms: int) -> None:
        position = Position(record.topic, record.partition)
        if record.offset < self._seen.get(position, 0):
            self.records_repeated += 1
            return
        self._seen[position] = record.offset + 1
        self._kept.setdefault(position, []).append(record)
        self._kept_rows += len(record.message) if isinstance(record.message, Samples) else 1
        if self._kept_since_ms is None:
            self._kept_since_ms = came_ms

    def _store_series(self, positions: Sequence[Position]) -> None:
        known = {series for p in positions for record in self._writing[p] for series in record.message.series}
        if new := known - self._defined:
            self._store.write_series(new)
            self._defined |= new
        self._ended(positions)

    def _store_samples(self, positions: Sequence[Position]) -> None:
        """Of all partitions the ranges are announced at once, and ended at once: each commit waits for the brokers."""
        for position in positions:
            if position not in self._repeated:
                self._find_repeated(position)
        announced = {position: json.dumps(self._announcement(position)) for position in positions}
        self._commit({position: self._writing[position][0].offset for position in positions}, announced)
        stored, repeated = Counter[str](), Counter[str]()
        heard = [record.message for position in positions for record in self._writing[position]]
        for position in positions:
            records = self._writing[position]
            new = [record.message for record in records if record.offset not in self._repeated[position]]
            self._store.write_samples(new, insert_token(position, records))
            rows = sum(map(len, new))
            stored[position.topic] += rows
            repeated[position.topic] += sum(len(record.message) for record in records) - rows
        self._ended(positions)
        for position in positions:
            del self._repeated[position]
        self.samples_stored.update(stored)
        self.samples_repeated.update(repeated)
        self._told(heard)

    def _announcement(self, position: Position) -> Mapping[str, object]:
        """Where the range ends, and the offsets in it that are left out, if any."""
        end, repeated = self._writing[position][-1].offset + 1, self._repeated[position]
        return {"end": end} | ({"repeated": repeated} if repeated else {})

    def _find_repeated(self, position: Position) -> None:
        """Once for a range, before any of it is stored. It ends where there are too many, for the brokers bound metadata."""
        records = self._writing[position]
        repeated = [record.offset for record in self._repeats.find(position, records)]
        if len(repeated) > MOST_REPEATED:
            size = sum(record.offset < repeated[MOST_REPEATED] for record in records)
            self._writing[position], rest = records[:size], records[size:]
            self._kept[position] = [*rest, *self._kept.get(position, ())]
            self._repeats.forget(position)
        self._repeated[position] = repeated[:MOST_REPEATED]

    def _store_events(self, positions: Sequence[Position]) -> None:
        events = [record.message for position in positions for record in self._writing[position]]
        self._store.write_events(events)
        self._ended(positions)
        self.events_stored += len(events)

    def _ended(self, positions: Sequence[Position]) -> None:
        self._commit({p: self._writing[p][-1].offset + 1 for p in positions}, dict.fromkeys(positions, ""))
        for position in positions:
            del self._writing[position]

    def _commit(self, offsets: Mapping[Position, int], metadata: Mapping[Position, str]) -> None:
        if offsets:
            self._offsets.commit(offsets, metadata)


def insert_token(position: Position, records: Sequence[Record]) -> str:
    """Equal for equal records at equal offsets.

    The content counts too, because the offsets of an embedded bus begin again with every process.
    """
    content = xxhash.xxh3_64()
    for record in records:
        for column in (record.message.time_ms, record.message.series_id, record.message.value):
            content.update(column.tobytes())
    return f"{position.topic}-{position.partition}-{records[0].offset}-{records[-1].offset + 1}-{content.hexdigest()}"
