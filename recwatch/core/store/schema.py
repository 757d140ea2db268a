"""The tables, as numbered migrations, and how long rows are kept."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from recwatch.core.errors import BadInput
from recwatch.core.store.connection import Connection

Days = Annotated[int, Field(ge=1, le=10_000)]


class Retention(BaseModel):
    """How many days of sample time are kept: of every sample, and of their one-minute roll-up."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    samples_days: Days = 14
    rollup_days: Days = 180


# A row of `samples` is found by its series first, because whoever reads wants few series over a long time. The
# deduplication window counts inserts; it is far longer than what a restart replays.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """
        CREATE TABLE IF NOT EXISTS series (
            id UInt64, name LowCardinality(String), labels Map(LowCardinality(String), String),
            unit LowCardinality(String), kind LowCardinality(String), service LowCardinality(String), target String
        ) ENGINE = ReplacingMergeTree ORDER BY id
        """,
        """
        CREATE TABLE IF NOT EXISTS samples (
            series_id UInt64 CODEC(ZSTD(1)),
            time DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
            value Float64 CODEC(Gorilla, ZSTD(1))
        ) ENGINE = MergeTree PARTITION BY toMonday(time) ORDER BY (series_id, time)
        SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1
        """,
        """
        CREATE TABLE IF NOT EXISTS samples_1m (
            series_id UInt64 CODEC(ZSTD(1)),
            minute DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
            sum SimpleAggregateFunction(sum, Float64) CODEC(Gorilla, ZSTD(1)),
            count SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
            min SimpleAggregateFunction(min, Float64) CODEC(Gorilla, ZSTD(1)),
            max SimpleAggregateFunction(max, Float64) CODEC(Gorilla, ZSTD(1))
        ) ENGINE = AggregatingMergeTree PARTITION BY toYYYYMM(minute) ORDER BY (series_id, minute)
        SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1
        """,
        """
        CREATE MATERIALIZED VIEW IF NOT EXISTS samples_to_1m TO samples_1m AS
        SELECT series_id, toStartOfMinute(time) AS minute,
            sum(value) AS sum, count() AS count, min(value) AS min, max(value) AS max
        FROM samples GROUP BY series_id, minute
        """,
        """
        CREATE TABLE IF NOT EXISTS events (
            kind LowCardinality(String), id String, service LowCardinality(String),
            version UInt64, time_ms Int64, json String CODEC(ZSTD(1))
        ) ENGINE = ReplacingMergeTree(version) ORDER BY (kind, id)
        """,
        """
        CREATE TABLE IF NOT EXISTS snapshots (
            name String, time DateTime64(3, 'UTC'), blob String CODEC(ZSTD(1))
        ) ENGINE = ReplacingMergeTree(time) ORDER BY name
        """,
    ),
)


def migrate(connection: Connection) -> None:
    """Bring the store's tables up to date. Raises BadInput if a newer recwatch made them."""
    connection.command("CREATE TABLE IF NOT EXISTS schema_version (version UInt32) ENGINE = MergeTree ORDER BY version")
    version: int = connection.query("SELECT max(version) AS version FROM schema_version")["version"][0].as_py()
    if version > len(MIGRATIONS):
        raise BadInput(
            f"the store has schema {version}, and this recwatch knows {len(MIGRATIONS)};"
            " upgrade recwatch, or name another store"
        )
    for number, statements in list(enumerate(MIGRATIONS, start=1))[version:]:
        for statement in statements:
            connection.command(statement)
        connection.command("INSERT INTO schema_version SELECT {version:UInt32}", version=number)


def keep(connection: Connection, retention: Retention) -> None:
    """Set how long rows are kept. A shorter time drops the older rows."""
    if _kept_days(connection, "samples") != retention.samples_days:
        connection.command(
            "ALTER TABLE samples MODIFY TTL toDateTime(time) + toIntervalDay({days:UInt32})", days=retention.samples_days
        )
    if _kept_days(connection, "samples_1m") != retention.rollup_days:
        connection.command(
            "ALTER TABLE samples_1m MODIFY TTL minute + toIntervalDay({days:UInt32})", days=retention.rollup_days
        )


def _kept_days(connection: Connection, table: str) -> int | None:
    found = connection.query(
        "SELECT engine_full FROM system.tables WHERE database = currentDatabase() AND name = {table:String}", table=table
    )
    said = re.search(r"TTL \D*(\d+)", found["engine_full"][0].as_py().decode())
    return int(said[1]) if said else None
