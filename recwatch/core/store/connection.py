"""The edge to ClickHouse: where a store is, and connections to it that speak Arrow and fail in our words."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast, get_args
from urllib.parse import SplitResult, quote, unquote, urlsplit

import pyarrow as pa

from recwatch.core.environment import secret
from recwatch.core.errors import BadInput, RecwatchError, Unavailable
from recwatch.core.folders import private_folder
from recwatch.core.store.migrations import TableEngine

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

PASSWORD_VARIABLE = "RECWATCH_CLICKHOUSE_PASSWORD"  # noqa: S105 (the name of the variable, not a password)
# With less the engine may leave a table half made, and then never starts on that folder again.
LEAST_FREE_BYTES = 64 * 2**20
ANSWERS_S = 3.0
# An asynchronous insert would ignore its deduplication token. To add a roll-up's rows up ahead of every insert would double
# its CPU time; merging and reading add them up anyway. Strings come as bytes, because a snapshot is not text.
SETTINGS: Mapping[str, Any] = {"async_insert": 0, "optimize_on_insert": 0, "output_format_arrow_string_as_string": 0}


@dataclass(frozen=True, slots=True)
class Embedded:
    """The engine in this process, over a folder that no other process has open."""

    folder: Path
    table_engine: ClassVar[TableEngine] = "MergeTree"

    def __str__(self) -> str:
        return str(self.folder)

    @property
    def dsn(self) -> str:
        return f"chdb://{quote(str(self.folder))}"

    def arguments(self) -> dict[str, Any]:
        """What the client needs. Raises BadInput where the folder cannot be used, Unavailable where its disk is full."""
        _prepare(self.folder)
        return {"interface": "chdb", "path": str(self.folder)}


@dataclass(frozen=True, slots=True)
class Server:
    """A ClickHouse server, reached over its HTTP port, and the engine that tables are made with there."""

    host: str
    port: int
    user: str
    database: str
    table_engine: TableEngine = "MergeTree"

    def __str__(self) -> str:
        return f"clickhouse://{self.host}:{self.port}/{self.database}"

    def arguments(self) -> dict[str, Any]:
        """What the client needs; the password comes from the environment, or from a file that it names."""
        return {
            "host": self.host,
            "port": self.port,
            "username": self.user,
            "password": secret(PASSWORD_VARIABLE) or "",
            "database": self.database,
            "autogenerate_session_id": False,
        }


Place = Embedded | Server


def parse_dsn(dsn: str) -> Place:
    """Where a store is.

    >>> parse_dsn("chdb://.recwatch/store")
    Embedded(folder=PosixPath('.recwatch/store'))
    >>> parse_dsn(Embedded(Path("/srv/c#/store")).dsn)
    Embedded(folder=PosixPath('/srv/c#/store'))
    >>> parse_dsn("clickhouse://reader@db.example:8123/recwatch")
    Server(host='db.example', port=8123, user='reader', database='recwatch', table_engine='MergeTree')
    >>> parse_dsn("clickhouse://db/recwatch?engine=ReplicatedMergeTree").table_engine
    'ReplicatedMergeTree'
    """
    try:
        parts = urlsplit(dsn)
    except ValueError as error:
        raise BadInput(f"the store's DSN is no address ({error}); {_DSNS}") from error
    if parts.password is not None:
        raise BadInput(f"the store's DSN holds a password; take it out and put it in {PASSWORD_VARIABLE}")
    if parts.scheme == "chdb" and (parts.netloc + parts.path).strip("/") and not (parts.query or parts.fragment):
        return Embedded(Path(unquote(parts.netloc + parts.path)))
    if parts.scheme == "clickhouse" and parts.hostname and (port := _port(parts)):
        user, database = parts.username or "default", parts.path.strip("/") or "default"
        return Server(parts.hostname, port, user, database, _table_engine(parts.query))
    raise BadInput(f"'{dsn}' names no store; {_DSNS}")


_DSNS = "write chdb:///path/to/folder or clickhouse://user@host:8123/database"


def _port(parts: SplitResult) -> int | None:
    try:
        return parts.port or 8123
    except ValueError:  # it is no number
        return None


def _table_engine(query: str) -> TableEngine:
    for engine in get_args(TableEngine):
        if query in {"", f"engine={engine}"}:
            return cast(TableEngine, engine)
    raise BadInput(f"the store's DSN says '?{query}'; write ?engine=ReplicatedMergeTree for a cluster, or nothing")


class Connection:
    """One client of a store. Calls on one connection wait for each other, so reading and writing have their own."""

    def __init__(self, place: Place) -> None:
        import clickhouse_connect  # noqa: PLC0415 (takes a second; only who opens a store pays for it)

        self._place = place
        arguments = place.arguments()
        with failures_of(place):
            self._client: Client = clickhouse_connect.get_client(settings=dict(SETTINGS), **arguments)

    def command(self, sql: str, **parameters: object) -> None:
        with failures_of(self._place):
            self._client.command(sql, parameters=parameters)

    def check(self) -> None:
        """Raise Unavailable where nothing answers within `ANSWERS_S`; a query waits for minutes."""
        with failures_of(self._place):
            if not self._client.ping(ANSWERS_S):
                raise Unavailable(_away(self._place))
            self._client.command("SELECT 1")

    def query(self, sql: str, **parameters: object) -> pa.Table:
        """The rows that `sql` selects; strings come as bytes."""
        with failures_of(self._place):
            return self._client.query_arrow(sql, parameters=parameters)

    def insert(self, table: str, rows: pa.Table, token: str | None = None) -> None:
        """Add `rows`; returns once they are stored. A token that was used before stores nothing, in roll-ups neither."""
        settings = {"insert_deduplication_token": token, "deduplicate_blocks_in_dependent_materialized_views": 1}
        with failures_of(self._place):
            self._client.insert_arrow(table, rows.combine_chunks(), settings=settings if token else None)

    def close(self) -> None:
        self._client.close()


def check_store(dsn: str) -> None:
    """Raise what opening a server's store would, and make nothing there. A folder may be open elsewhere, and is let be."""
    place = parse_dsn(dsn)
    if isinstance(place, Server):
        Connection(place).close()


# What the engine's codes mean for the person at the keyboard. Any other code is a bug of ours, and crashes.
_MEANINGS: Mapping[int, tuple[type[RecwatchError], str]] = {
    75: (Unavailable, "its disk refuses to be written; see whether it is full"),
    81: (BadInput, "there is no such database; create it with CREATE DATABASE"),
    159: (Unavailable, "it took too long; ask for less, or try again"),
    192: (BadInput, f"it knows no such user; see the DSN and {PASSWORD_VARIABLE}"),
    194: (BadInput, f"it refuses the password; see {PASSWORD_VARIABLE}"),
    202: (Unavailable, "it is busy with other queries; try again"),
    209: (Unavailable, "it does not answer; see whether the server is well"),
    210: (Unavailable, "the network failed; see whether the server is well"),
    241: (Unavailable, "it ran out of memory; ask for less, or give it more"),
    242: (Unavailable, "the table is read-only; see whether the server is well"),
    243: (Unavailable, "its disk is full; free some space"),
    252: (Unavailable, "it has too many parts to merge; write less often"),
    497: (BadInput, "the user may not do this; grant it SELECT, INSERT, ALTER and CREATE on the database"),
    516: (BadInput, f"it refuses the user or the password; see the DSN and {PASSWORD_VARIABLE}"),
}


@contextmanager
def failures_of(place: Place) -> Iterator[None]:
    """Say the failures of the world in our words; those of our own SQL pass through."""
    from clickhouse_connect.driver.exceptions import Error, OperationalError  # noqa: PLC0415 (as above)

    try:
        yield
    except ImportError as error:
        raise BadInput(f"store {place}: the embedded engine is not installed; install chdb, or name a server") from error
    except OSError as error:
        raise Unavailable(f"store {place}: writing failed ({error.strerror}); see whether the disk is full") from error
    except Error as error:
        ours = _translated(place, error.code, str(error), isinstance(error, OperationalError))
        if ours is None:
            raise
        raise ours from error


def _translated(place: Place, code: int | None, text: str, operational: bool) -> RecwatchError | None:
    if code is not None:
        kind, meaning = _MEANINGS.get(code, (None, ""))
        return kind(f"store {place}: {meaning}") if kind else None
    if "already initialized with path" in text:
        return BadInput(f"store {place}: this process has another store open, and chDB allows one; close that one first")
    if "Unable to open the chdb engine" in text:
        return Unavailable(f"store {place}: the engine does not start; see its message above, or use another folder")
    if operational:
        return Unavailable(_away(place))
    return None


def _away(place: Place) -> str:
    return f"store {place}: it cannot be reached; see whether the server is up and the DSN is right"


def _prepare(folder: Path) -> None:
    private_folder(folder, f"store {folder}", "the DSN")
    free = shutil.disk_usage(folder).free
    if free < LEAST_FREE_BYTES:
        raise Unavailable(
            f"store {folder}: its disk is full but for {free // 2**20} MiB; free {LEAST_FREE_BYTES // 2**20} MiB, or name"
            " another folder in the DSN"
        )
    holder = _holder(folder / "status")
    if holder not in (None, os.getpid()):
        raise BadInput(f"store {folder}: process {holder} has it open; stop that one, or read through its API")


def _holder(status: Path) -> int | None:
    """The process that has the engine's lock file locked. The engine would say so on stderr only."""
    try:
        with status.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                said = re.search(r"PID: (\d+)", file.read())
                return int(said[1]) if said else 0
    except FileNotFoundError:
        pass
    return None
