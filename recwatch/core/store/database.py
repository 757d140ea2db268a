"""One store over one schema, whatever the DSN."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from recwatch.core.buckets import Buckets
from recwatch.core.event_json import OPEN_STATES, E, Event, from_json
from recwatch.core.signals import Float64, Int64, Samples, Series
from recwatch.core.stage import Snapshot
from recwatch.core.store import queries
from recwatch.core.store.connection import Connection, Place, parse_dsn
from recwatch.core.store.rows import event_rows, kind_name, sample_rows, series_of, series_rows, snapshot_of, snapshot_row
from recwatch.core.store.schema import Retention, keep, migrate

MINUTE_S = 60
HOUR_MS = 3_600_000
ROWS_AT_ONCE = 1000
"""How many rows or series a query names: ClickHouse takes no parameter of more than 128 KiB (http_max_field_value_size)."""
N = TypeVar("N", bound=np.number[Any])


def open_store(dsn: str, retention: Retention | None = None) -> Store:
    """Open the store that `dsn` names and bring its tables up to date.

    `chdb:///path` (or `chdb://relative/path`) keeps it in a folder of this machine, which one process at a time can have
    open; `clickhouse://user@host:8123/database` on a server, its password in RECWATCH_CLICKHOUSE_PASSWORD. Raises BadInput
    for a DSN or a folder that cannot be used, Unavailable for a server that does not answer.
    """
    return Store(parse_dsn(dsn), retention or Retention())


class Store:
    """Series, samples, events and snapshots. Safe from several threads; reading does not hold up writing.

    All times are unix milliseconds. Every method raises Unavailable when the database fails; what was written before that
    stays written.
    """

    def __init__(self, place: Place, retention: Retention) -> None:
        self._write = Connection(place)
        try:
            migrate(self._write, place.table_engine)
            keep(self._write, retention)
            self._read = Connection(place)
        except BaseException:
            self._write.close()
            raise

    def write_series(self, series: Iterable[Series]) -> None:
        """Store definitions; a definition that is already there is replaced."""
        series = list(series)
        if series:
            self._write.insert("series", series_rows(series))

    def write_samples(self, batches: Sequence[Samples], token: str) -> None:
        """Store all rows of `batches` at once. A second call with the same token stores nothing."""
        if any(len(batch) for batch in batches):
            self._write.insert("samples", sample_rows(batches), token)

    def write_events(self, events: Sequence[Event]) -> None:
        """Store events; of several values of one id the latest is read back, in whatever order they came."""
        if events:
            self._write.insert("events", event_rows(events))

    def read(
        self, series_ids: Sequence[int], start_ms: int, end_ms: int, step_s: int | None = None
    ) -> dict[int, tuple[Int64, Float64]]:
        """`time_ms` and `value` of every series asked for, start and end included; empty where nothing is stored.

        With `step_s`, the mean of each step instead, under the step's start; the step that `start_ms` lies in is the first.
        Steps of a minute and more are rounded up to whole minutes and come from a roll-up, which is kept longer; steps of
        whole hours come from the hourly one.
        """
        sql, step_ms, rolled_up = queries.RAW, 1, {}
        if step_s is not None:
            step_ms = step_ms_of(step_s)
            sql = queries.STEPS if step_s < MINUTE_S else queries.ROLLED_UP
            table, time = ("samples_1m", "minute") if step_ms % HOUR_MS else ("samples_1h", "hour")
            rolled_up = {"table": table, "time": time}
        bounds = {"start_ms": start_ms // step_ms * step_ms, "end_ms": end_ms, "step_ms": step_ms}
        found: dict[int, tuple[Int64, Float64]] = {}
        for ids in _at_once(series_ids):
            found |= _by_series(ids, self._read.query(sql, ids=ids, **bounds, **rolled_up))
        return found

    def samples(self, service: str, series_ids: Sequence[int], start_ms: int, end_ms: int) -> Samples:
        """Every reading of the series of a service, start and end included; each series by itself, in time order."""
        span = {"start_ms": start_ms, "end_ms": end_ms}
        rows = pa.concat_tables([self._read.query(queries.RAW, ids=ids, **span) for ids in _at_once(series_ids)])
        times, found = _column(rows, "at_ms", np.int64), _column(rows, "series_id", np.uint64)
        return Samples(service, "", times, found, _column(rows, "reading", np.float64))

    def latency_increments(self, start_ms: int, end_ms: int, services: Sequence[str] = ()) -> dict[str, Buckets]:
        """How many requests of each service were at most how slow, from the minute of `start_ms` up to that of `end_ms`.

        Of all services, or of those named; a service without buckets then is left out. They come from the roll-ups, so that
        a month takes about as long as a day.
        """
        minute_ms = MINUTE_S * 1000
        span = {"start_ms": start_ms // minute_ms * minute_ms, "end_ms": end_ms // minute_ms * minute_ms}
        rows = self._read.query(queries.LATENCY, services=list(services), **span)
        bounds, increments = _column(rows, "bound", np.float64), _column(rows, "increments", np.float64)
        names = np.array([name.decode() for name in rows["service"].to_pylist()], dtype=object)
        return {name: Buckets(bounds[names == name], increments[names == name]) for name in dict.fromkeys(names)}

    def series(self, service: str | None = None) -> list[Series]:
        """The known series, of one service if given, by name."""
        return series_of(
            self._read.query(
                queries.SERIES
                + " WHERE {service:Nullable(String)} IS NULL OR service = {service:Nullable(String)} ORDER BY name, id",
                service=service,
            )
        )

    def one_series(self, series_id: int) -> Series | None:
        """One series; None if there is none of this id."""
        found = series_of(self._read.query(queries.SERIES + " WHERE id = {id:UInt64}", id=series_id))
        return found[0] if found else None

    def newest(self, service: str, since_ms: int) -> dict[int, int]:
        """`time_ms` of the newest sample of every series of the service's targets that has one since then, by id."""
        found = self._read.query(queries.NEWEST, service=service, since_ms=since_ms)
        return dict(zip(found["series_id"].to_pylist(), found["at_ms"].to_pylist(), strict=True))

    def latest_ms(self, series_ids: Sequence[int], since_ms: int) -> dict[int, int]:
        """`time_ms` of the newest sample of each series that has one since then; whatever this store has written is seen."""
        latest: dict[int, int] = {}
        for ids in _at_once(series_ids):
            found = self._write.query(queries.LATEST, ids=ids, since_ms=since_ms)
            latest |= zip(found["series_id"].to_pylist(), found["at_ms"].to_pylist(), strict=True)
        return latest

    def rows_there(self, rows: Sequence[tuple[int, int]]) -> set[tuple[int, int]]:
        """Which of these rows, each the id of a series and a time, are stored; whatever this store has written is seen."""
        found: set[tuple[int, int]] = set()
        for begin in range(0, len(rows), ROWS_AT_ONCE):
            ids, times = zip(*rows[begin : begin + ROWS_AT_ONCE], strict=True)
            span = {"start_ms": min(times), "end_ms": max(times)}
            there = self._write.query(queries.ROWS_THERE, ids=list(ids), times=list(times), **span)
            found |= set(zip(there["series_id"].to_pylist(), there["at_ms"].to_pylist(), strict=True))
        return found

    def oldest_ms(self, service: str) -> int | None:
        """`time_ms` of the oldest sample of a service; None where it has none."""
        found = self._read.query(queries.OLDEST, service=service)
        return found["at_ms"][0].as_py() if found["rows"][0].as_py() else None

    def events(
        self,
        kind: type[E],
        service: str | None = None,
        since_ms: int | None = None,
        limit: int = 1000,
        *,
        open_only: bool = False,
    ) -> list[E]:
        """The events of a kind that began at `since_ms` or later, the newest first, each as it was last.

        With `open_only`, those anomalies, incidents and proposals that go on.
        """
        states = sorted(OPEN_STATES) if open_only else []
        asked = {"kind": kind_name(kind), "service": service, "since_ms": since_ms or 0, "limit": limit, "states": states}
        found = self._read.query(queries.EVENTS, **asked)
        return [from_json(kind, text) for text in found["json"].to_pylist()]

    def event(self, kind: type[E], event_id: str) -> E | None:
        """One event as it was last; None if there is none of this id."""
        found = self._read.query(
            "SELECT json FROM events FINAL WHERE kind = {kind:String} AND id = {id:String}",
            kind=kind_name(kind),
            id=event_id,
        )
        return from_json(kind, found["json"][0].as_py()) if len(found) else None

    def samples_stored(self) -> int:
        """How many samples are there now; those that are older than the retention are not."""
        return int(self._read.query("SELECT count() AS rows FROM samples")["rows"][0].as_py())

    def save_snapshot(self, name: str, snapshot: Snapshot) -> None:
        """Keep a snapshot under `name`, in place of the one before, unless that is of a later generation."""
        self._write.insert("memories", snapshot_row(name, snapshot))

    def load_snapshot(self, name: str) -> Snapshot | None:
        """The snapshot of this name; None if there is none."""
        found = self._read.query(queries.SNAPSHOT, name=name)
        return snapshot_of(found) if len(found) else None

    def check(self) -> None:
        """Raise Unavailable where the store does not answer in seconds."""
        self._read.check()

    def close(self) -> None:
        """Let go of the store; another process, or another store in this one, can then be opened."""
        self._read.close()
        self._write.close()


def step_ms_of(step_s: int) -> int:
    """The steps in which readings are given where steps of so many seconds are asked for: whole minutes from one on.

    >>> step_ms_of(10), step_ms_of(90)
    (10000, 120000)
    """
    return 1000 * (step_s if step_s < MINUTE_S else -(-step_s // MINUTE_S) * MINUTE_S)


def _at_once(series_ids: Sequence[int]) -> Iterator[list[int]]:
    """As many as one query names; without any, one query that names none."""
    for begin in range(0, max(1, len(series_ids)), ROWS_AT_ONCE):
        yield [int(series_id) for series_id in series_ids[begin : begin + ROWS_AT_ONCE]]


def _by_series(series_ids: Sequence[int], rows: pa.Table) -> dict[int, tuple[Int64, Float64]]:
    """Cut rows that are sorted by series into one pair of columns for each."""
    ids = _column(rows, "series_id", np.uint64)
    at_ms, reading = _column(rows, "at_ms", np.int64), _column(rows, "reading", np.float64)
    found = {}
    for series_id in map(int, series_ids):
        first, last = np.searchsorted(ids, np.uint64(series_id), "left"), np.searchsorted(ids, np.uint64(series_id), "right")
        found[series_id] = (at_ms[first:last], reading[first:last])
    return found


def _column(rows: pa.Table, name: str, kind: type[N]) -> npt.NDArray[N]:
    """The numbers of one column; pyarrow's own `to_numpy` imports pandas."""
    return np.concatenate([np.empty(0, kind), *map(np.from_dlpack, rows[name].chunks)])
