"""What the store asks the database, in ClickHouse's SQL; `{name:Type}` are parameters that the engine binds."""

from __future__ import annotations

SERIES = "SELECT name, labels, unit, kind, service, target FROM series FINAL"
RAW = """
    SELECT series_id, toUnixTimestamp64Milli(time) AS at_ms, value AS reading FROM samples
    WHERE series_id IN {ids:Array(UInt64)} AND time >= fromUnixTimestamp64Milli({start_ms:Int64})
        AND time <= fromUnixTimestamp64Milli({end_ms:Int64})
    ORDER BY series_id, at_ms
"""
STEPS = """
    SELECT series_id, intDiv(toUnixTimestamp64Milli(time), {step_ms:Int64}) * {step_ms:Int64} AS at_ms, avg(value) AS reading
    FROM samples
    WHERE series_id IN {ids:Array(UInt64)} AND time >= fromUnixTimestamp64Milli({start_ms:Int64})
        AND time <= fromUnixTimestamp64Milli({end_ms:Int64})
    GROUP BY series_id, at_ms ORDER BY series_id, at_ms
"""
ROLLED_UP = """
    SELECT series_id, intDiv(toInt64(toUnixTimestamp({time:Identifier})) * 1000, {step_ms:Int64}) * {step_ms:Int64} AS at_ms,
        sum(sum) / sum(count) AS reading
    FROM {table:Identifier}
    WHERE series_id IN {ids:Array(UInt64)} AND {time:Identifier} >= fromUnixTimestamp64Milli({start_ms:Int64})
        AND {time:Identifier} <= fromUnixTimestamp64Milli({end_ms:Int64})
    GROUP BY series_id, at_ms ORDER BY series_id, at_ms
"""
# Whole hours come from the hourly roll-up, what is before and after them from the minutes.
LATENCY = """
    WITH toDateTime(fromUnixTimestamp64Milli({start_ms:Int64}), 'UTC') AS start,
        toDateTime(fromUnixTimestamp64Milli({end_ms:Int64}), 'UTC') AS end,
        toStartOfHour(start + 3599) AS first, greatest(first, toStartOfHour(end)) AS last,
        known AS (
            SELECT id, service, labels['le'] AS le FROM series FINAL WHERE name = 'latency_bucket_increments'
                AND (empty({services:Array(String)}) OR service IN {services:Array(String)})
        )
    SELECT service, toFloat64(le) AS bound, sum(grown) AS increments FROM (
        SELECT series_id, sum(sum) AS grown FROM samples_1h
        WHERE series_id IN (SELECT id FROM known) AND hour >= first AND hour < last GROUP BY series_id
        UNION ALL
        SELECT series_id, sum(sum) AS grown FROM samples_1m
        WHERE (start < first OR last < end) AND series_id IN (SELECT id FROM known)
            AND minute >= start AND minute < end AND (minute < first OR minute >= last)
        GROUP BY series_id
    ) AS rows INNER JOIN known ON rows.series_id = known.id
    GROUP BY service, bound ORDER BY service, bound
"""
ROWS_THERE = """
    SELECT DISTINCT series_id, toUnixTimestamp64Milli(time) AS at_ms FROM samples
    WHERE series_id IN {ids:Array(UInt64)} AND time >= fromUnixTimestamp64Milli({start_ms:Int64})
        AND time <= fromUnixTimestamp64Milli({end_ms:Int64})
        AND (series_id, at_ms) IN (SELECT pair.1, pair.2 FROM (
            SELECT arrayJoin(arrayZip({ids:Array(UInt64)}, {times:Array(Int64)})) AS pair))
"""
LATEST = """
    SELECT series_id, max(toUnixTimestamp64Milli(time)) AS at_ms FROM samples
    WHERE series_id IN {ids:Array(UInt64)} AND time >= fromUnixTimestamp64Milli({since_ms:Int64})
    GROUP BY series_id
"""
NEWEST = """
    SELECT series_id, max(toUnixTimestamp64Milli(time)) AS at_ms FROM samples
    WHERE time >= fromUnixTimestamp64Milli({since_ms:Int64})
        AND series_id IN (SELECT id FROM series WHERE service = {service:String} AND target != '')
    GROUP BY series_id
"""
OLDEST = """
    SELECT count() AS rows, toUnixTimestamp64Milli(min(time)) AS at_ms FROM samples
    WHERE series_id IN (SELECT id FROM series WHERE service = {service:String})
"""
EVENTS = """
    SELECT json FROM events FINAL
    WHERE kind = {kind:String} AND time_ms >= {since_ms:Int64}
        AND ({service:Nullable(String)} IS NULL OR service = {service:Nullable(String)})
        AND (
            empty({states:Array(String)})
            OR JSONExtractString(json, 'state') IN {states:Array(String)}
            OR JSONExtractRaw(json, 'end_ms') = 'null'
        )
    ORDER BY time_ms DESC, id LIMIT {limit:UInt64}
"""
SNAPSHOT = """
    SELECT generation, toUnixTimestamp64Milli(time) AS at_ms, offsets, blob FROM memories FINAL WHERE name = {name:String}
"""
