-- MergeTree
-- 0
CREATE TABLE IF NOT EXISTS schema_version (version UInt32) ENGINE = MergeTree ORDER BY version;
-- 1
CREATE TABLE IF NOT EXISTS series (
    id UInt64, name LowCardinality(String), labels Map(LowCardinality(String), String),
    unit LowCardinality(String), kind LowCardinality(String), service LowCardinality(String), target String
) ENGINE = ReplacingMergeTree ORDER BY id;
CREATE TABLE IF NOT EXISTS samples (
    series_id UInt64 CODEC(ZSTD(1)),
    time DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    value Float64 CODEC(Gorilla, ZSTD(1))
) ENGINE = MergeTree PARTITION BY toMonday(time) ORDER BY (series_id, time)
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;
CREATE TABLE IF NOT EXISTS samples_1m (
    series_id UInt64 CODEC(ZSTD(1)),
    minute DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
    sum SimpleAggregateFunction(sum, Float64) CODEC(Gorilla, ZSTD(1)),
    count SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    min SimpleAggregateFunction(min, Float64) CODEC(Gorilla, ZSTD(1)),
    max SimpleAggregateFunction(max, Float64) CODEC(Gorilla, ZSTD(1))
) ENGINE = AggregatingMergeTree PARTITION BY toYYYYMM(minute) ORDER BY (series_id, minute)
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;
CREATE MATERIALIZED VIEW IF NOT EXISTS samples_to_1m TO samples_1m AS
SELECT series_id, toStartOfMinute(time) AS minute,
    sum(value) AS sum, count() AS count, min(value) AS min, max(value) AS max
FROM samples GROUP BY series_id, minute;
CREATE TABLE IF NOT EXISTS events (
    kind LowCardinality(String), id String, service LowCardinality(String),
    version UInt64, time_ms Int64, json String CODEC(ZSTD(1))
) ENGINE = ReplacingMergeTree(version) ORDER BY (kind, id);
CREATE TABLE IF NOT EXISTS snapshots (
    name String, time DateTime64(3, 'UTC'), blob String CODEC(ZSTD(1))
) ENGINE = ReplacingMergeTree(time) ORDER BY name;
-- 2
ALTER TABLE samples MODIFY COLUMN time DateTime64(3, 'UTC') CODEC(Delta, ZSTD(3)),
    MODIFY COLUMN value Float64 CODEC(Delta, ZSTD(3)),
    MODIFY SETTING min_compress_block_size = 262144, max_compress_block_size = 1048576;
ALTER TABLE samples_1m MODIFY COLUMN sum SimpleAggregateFunction(sum, Float64) CODEC(Delta, ZSTD(3)),
    MODIFY COLUMN count SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    MODIFY COLUMN min SimpleAggregateFunction(min, Float64) CODEC(Delta, ZSTD(3)),
    MODIFY COLUMN max SimpleAggregateFunction(max, Float64) CODEC(Delta, ZSTD(3));
CREATE TABLE IF NOT EXISTS samples_1h (
    series_id UInt64 CODEC(ZSTD(1)),
    hour DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
    sum SimpleAggregateFunction(sum, Float64) CODEC(Delta, ZSTD(3)),
    count SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    min SimpleAggregateFunction(min, Float64) CODEC(Delta, ZSTD(3)),
    max SimpleAggregateFunction(max, Float64) CODEC(Delta, ZSTD(3))
) ENGINE = AggregatingMergeTree PARTITION BY toYear(hour) ORDER BY (series_id, hour)
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;
INSERT INTO samples_1h (series_id, hour, sum, count, min, max)
SELECT series_id, toStartOfHour(minute) AS hour, sum(sum), sum(count), min(min), max(max) FROM samples_1m
WHERE (series_id, toStartOfHour(minute)) NOT IN (SELECT series_id, hour FROM samples_1h)
GROUP BY series_id, hour;
CREATE MATERIALIZED VIEW IF NOT EXISTS samples_to_1h TO samples_1h AS
SELECT series_id, toStartOfHour(time) AS hour,
    sum(value) AS sum, count() AS count, min(value) AS min, max(value) AS max
FROM samples GROUP BY series_id, hour;
-- 3
CREATE TABLE IF NOT EXISTS snapshots (
    name String, time DateTime64(3, 'UTC'), blob String CODEC(ZSTD(1))
) ENGINE = ReplacingMergeTree(time) ORDER BY name;
CREATE TABLE IF NOT EXISTS memories (
    name String, generation UInt64, time DateTime64(3, 'UTC'), offsets String, blob String CODEC(ZSTD(1))
) ENGINE = ReplacingMergeTree(generation) ORDER BY name;
INSERT INTO memories (name, generation, time, offsets, blob) SELECT name, 0, time, '{}', blob FROM snapshots FINAL
WHERE name NOT IN (SELECT name FROM memories);
DROP TABLE IF EXISTS snapshots;
-- ReplicatedMergeTree
-- 0
CREATE TABLE IF NOT EXISTS schema_version (version UInt32) ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}') ORDER BY version;
-- 1
CREATE TABLE IF NOT EXISTS series (
    id UInt64, name LowCardinality(String), labels Map(LowCardinality(String), String),
    unit LowCardinality(String), kind LowCardinality(String), service LowCardinality(String), target String
) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}') ORDER BY id;
CREATE TABLE IF NOT EXISTS samples (
    series_id UInt64 CODEC(ZSTD(1)),
    time DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    value Float64 CODEC(Gorilla, ZSTD(1))
) ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}') PARTITION BY toMonday(time) ORDER BY (series_id, time)
SETTINGS replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;
CREATE TABLE IF NOT EXISTS samples_1m (
    series_id UInt64 CODEC(ZSTD(1)),
    minute DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
    sum SimpleAggregateFunction(sum, Float64) CODEC(Gorilla, ZSTD(1)),
    count SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    min SimpleAggregateFunction(min, Float64) CODEC(Gorilla, ZSTD(1)),
    max SimpleAggregateFunction(max, Float64) CODEC(Gorilla, ZSTD(1))
) ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}') PARTITION BY toYYYYMM(minute) ORDER BY (series_id, minute)
SETTINGS replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;
CREATE MATERIALIZED VIEW IF NOT EXISTS samples_to_1m TO samples_1m AS
SELECT series_id, toStartOfMinute(time) AS minute,
    sum(value) AS sum, count() AS count, min(value) AS min, max(value) AS max
FROM samples GROUP BY series_id, minute;
CREATE TABLE IF NOT EXISTS events (
    kind LowCardinality(String), id String, service LowCardinality(String),
    version UInt64, time_ms Int64, json String CODEC(ZSTD(1))
) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', version) ORDER BY (kind, id);
CREATE TABLE IF NOT EXISTS snapshots (
    name String, time DateTime64(3, 'UTC'), blob String CODEC(ZSTD(1))
) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', time) ORDER BY name;
-- 2
ALTER TABLE samples MODIFY COLUMN time DateTime64(3, 'UTC') CODEC(Delta, ZSTD(3)),
    MODIFY COLUMN value Float64 CODEC(Delta, ZSTD(3)),
    MODIFY SETTING min_compress_block_size = 262144, max_compress_block_size = 1048576;
ALTER TABLE samples_1m MODIFY COLUMN sum SimpleAggregateFunction(sum, Float64) CODEC(Delta, ZSTD(3)),
    MODIFY COLUMN count SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    MODIFY COLUMN min SimpleAggregateFunction(min, Float64) CODEC(Delta, ZSTD(3)),
    MODIFY COLUMN max SimpleAggregateFunction(max, Float64) CODEC(Delta, ZSTD(3));
CREATE TABLE IF NOT EXISTS samples_1h (
    series_id UInt64 CODEC(ZSTD(1)),
    hour DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
    sum SimpleAggregateFunction(sum, Float64) CODEC(Delta, ZSTD(3)),
    count SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    min SimpleAggregateFunction(min, Float64) CODEC(Delta, ZSTD(3)),
    max SimpleAggregateFunction(max, Float64) CODEC(Delta, ZSTD(3))
) ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}') PARTITION BY toYear(hour) ORDER BY (series_id, hour)
SETTINGS replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;
INSERT INTO samples_1h (series_id, hour, sum, count, min, max)
SELECT series_id, toStartOfHour(minute) AS hour, sum(sum), sum(count), min(min), max(max) FROM samples_1m
WHERE (series_id, toStartOfHour(minute)) NOT IN (SELECT series_id, hour FROM samples_1h)
GROUP BY series_id, hour;
CREATE MATERIALIZED VIEW IF NOT EXISTS samples_to_1h TO samples_1h AS
SELECT series_id, toStartOfHour(time) AS hour,
    sum(value) AS sum, count() AS count, min(value) AS min, max(value) AS max
FROM samples GROUP BY series_id, hour;
-- 3
CREATE TABLE IF NOT EXISTS snapshots (
    name String, time DateTime64(3, 'UTC'), blob String CODEC(ZSTD(1))
) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', time) ORDER BY name;
CREATE TABLE IF NOT EXISTS memories (
    name String, generation UInt64, time DateTime64(3, 'UTC'), offsets String, blob String CODEC(ZSTD(1))
) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', generation) ORDER BY name;
INSERT INTO memories (name, generation, time, offsets, blob) SELECT name, 0, time, '{}', blob FROM snapshots FINAL
WHERE name NOT IN (SELECT name FROM memories);
DROP TABLE IF EXISTS snapshots;
