"""The tables of a store: brought up to date, and their rows kept for as long as somebody wants them."""

from __future__ import annotations

import re
from typing import Annotated

import stamina
from pydantic import BaseModel, ConfigDict, Field

from recwatch.core.errors import BadInput
from recwatch.core.store.connection import Connection
from recwatch.core.store.migrations import MIGRATIONS, VERSIONS, TableEngine, with_engine

Days = Annotated[int, Field(ge=1, le=10_000)]
ATTEMPTS = 5


class Retention(BaseModel):
    """How many days of sample time are kept: of every sample, of their one-minute roll-up, and of their hourly one."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    samples_days: Days = 14
    rollup_days: Days = 180
    hourly_days: Days = 1825


def migrate(connection: Connection, engine: TableEngine) -> None:
    """Bring the store's tables up to date. Raises BadInput if a newer recwatch made them.

    What an interrupted migration began, the next one completes. While tables that hold rows are brought up to date, nobody
    else may write to them. Processes that find an empty store together may all begin: who fails of what another has just
    done begins that step again.
    """
    from clickhouse_connect.driver.exceptions import DatabaseError  # noqa: PLC0415 (heavy, and there once a store is open)

    connection.command(with_engine(VERSIONS, engine))
    for attempt in stamina.retry_context(on=DatabaseError, attempts=ATTEMPTS, wait_initial=0.1):
        with attempt:
            for number, statements in list(enumerate(MIGRATIONS, start=1))[_version(connection) :]:
                for statement in statements:
                    connection.command(with_engine(statement, engine))
                connection.command("INSERT INTO schema_version SELECT {version:UInt32}", version=number)


def _version(connection: Connection) -> int:
    version: int = connection.query("SELECT max(version) AS version FROM schema_version")["version"][0].as_py()
    if version > len(MIGRATIONS):
        raise BadInput(
            f"the store has schema {version}, and this recwatch knows {len(MIGRATIONS)};"
            " upgrade recwatch, or name another store"
        )
    return version


def keep(connection: Connection, retention: Retention) -> None:
    """Set how long rows are kept. A shorter time drops the older rows."""
    wanted = (
        ("samples", "toDateTime(time)", retention.samples_days),
        ("samples_1m", "minute", retention.rollup_days),
        ("samples_1h", "hour", retention.hourly_days),
    )
    for table, time, days in wanted:
        if _kept_days(connection, table) != days:
            connection.command(f"ALTER TABLE {table} MODIFY TTL {time} + toIntervalDay({{days:UInt32}})", days=days)


def _kept_days(connection: Connection, table: str) -> int | None:
    found = connection.query(
        "SELECT engine_full FROM system.tables WHERE database = currentDatabase() AND name = {table:String}", table=table
    )
    said = re.search(r"TTL \D*(\d+)", found["engine_full"][0].as_py().decode())
    return int(said[1]) if said else None
