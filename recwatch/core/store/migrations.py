"""What made the tables, step by step: numbered from 1, and never changed once released.

Each statement may be run again over what it left behind. A row of `samples` is found by its series first, because whoever
reads wants few series over a long time. The deduplication windows count inserts; they are far longer than what a restart
replays.
"""

from __future__ import annotations

import re
from typing import Literal

TableEngine = Literal["MergeTree", "ReplicatedMergeTree"]

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
    (
        # Measured on a recommender's telemetry: counts, whose differences repeat, and times that all series of a page share,
        # so that large blocks find them again.
        """
        ALTER TABLE samples MODIFY COLUMN time DateTime64(3, 'UTC') CODEC(Delta, ZSTD(3)),
            MODIFY COLUMN value Float64 CODEC(Delta, ZSTD(3)),
            MODIFY SETTING min_compress_block_size = 262144, max_compress_block_size = 1048576
        """,
        """
        ALTER TABLE samples_1m MODIFY COLUMN sum SimpleAggregateFunction(sum, Float64) CODEC(Delta, ZSTD(3)),
            MODIFY COLUMN count SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
            MODIFY COLUMN min SimpleAggregateFunction(min, Float64) CODEC(Delta, ZSTD(3)),
            MODIFY COLUMN max SimpleAggregateFunction(max, Float64) CODEC(Delta, ZSTD(3))
        """,
        """
        CREATE TABLE IF NOT EXISTS samples_1h (
            series_id UInt64 CODEC(ZSTD(1)),
            hour DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
            sum SimpleAggregateFunction(sum, Float64) CODEC(Delta, ZSTD(3)),
            count SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
            min SimpleAggregateFunction(min, Float64) CODEC(Delta, ZSTD(3)),
            max SimpleAggregateFunction(max, Float64) CODEC(Delta, ZSTD(3))
        ) ENGINE = AggregatingMergeTree PARTITION BY toYear(hour) ORDER BY (series_id, hour)
        SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1
        """,
        # An hour that is not there yet is filled in whole, from the minutes, before the view begins to write to it.
        """
        INSERT INTO samples_1h (series_id, hour, sum, count, min, max)
        SELECT series_id, toStartOfHour(minute) AS hour, sum(sum), sum(count), min(min), max(max) FROM samples_1m
        WHERE (series_id, toStartOfHour(minute)) NOT IN (SELECT series_id, hour FROM samples_1h)
        GROUP BY series_id, hour
        """,
        """
        CREATE MATERIALIZED VIEW IF NOT EXISTS samples_to_1h TO samples_1h AS
        SELECT series_id, toStartOfHour(time) AS hour,
            sum(value) AS sum, count() AS count, min(value) AS min, max(value) AS max
        FROM samples GROUP BY series_id, hour
        """,
    ),
    (
        # The version of a row cannot be altered, so snapshots move to a table whose version is the generation of the writer.
        # It begins with the old one, which is gone already where only the last step was cut off.
        """
        CREATE TABLE IF NOT EXISTS snapshots (
            name String, time DateTime64(3, 'UTC'), blob String CODEC(ZSTD(1))
        ) ENGINE = ReplacingMergeTree(time) ORDER BY name
        """,
        """
        CREATE TABLE IF NOT EXISTS memories (
            name String, generation UInt64, time DateTime64(3, 'UTC'), offsets String, blob String CODEC(ZSTD(1))
        ) ENGINE = ReplacingMergeTree(generation) ORDER BY name
        """,
        """
        INSERT INTO memories (name, generation, time, offsets, blob) SELECT name, 0, time, '{}', blob FROM snapshots FINAL
        WHERE name NOT IN (SELECT name FROM memories)
        """,
        "DROP TABLE IF EXISTS snapshots",
    ),
)
VERSIONS = "CREATE TABLE IF NOT EXISTS schema_version (version UInt32) ENGINE = MergeTree ORDER BY version"
_ENGINE = re.compile(r"ENGINE = (\w*)MergeTree(?:\((\w+)\))?")


def with_engine(sql: str, engine: TableEngine) -> str:
    """A statement for tables of one server, or for tables that the servers of a cluster keep copies of.

    Servers of a cluster say which `{shard}` and `{replica}` they are in their macros.

    >>> with_engine("CREATE TABLE t (a Int8, v Int8) ENGINE = ReplacingMergeTree(v) ORDER BY a", "ReplicatedMergeTree")
    "CREATE TABLE t (a Int8, v Int8) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}',
    '{replica}', v) ORDER BY a"
    """
    if engine == "MergeTree":
        return sql

    def replicated(clause: re.Match[str]) -> str:
        argument = f", {clause[2]}" if clause[2] else ""
        return f"ENGINE = Replicated{clause[1]}MergeTree({_WHERE}{argument})"

    return _ENGINE.sub(replicated, sql).replace("non_replicated_deduplication_window", "replicated_deduplication_window")


_WHERE = "'/clickhouse/tables/{shard}/{database}/{table}', '{replica}'"
