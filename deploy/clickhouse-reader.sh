#!/bin/sh
# Run once by ClickHouse's image, when its database is new: adds a user that may only read, for Grafana.
set -eu

# In the environment, for arguments can be read by whoever may list processes.
CLICKHOUSE_PASSWORD="$(cat /run/secrets/clickhouse_password)" clickhouse-client --user "$CLICKHOUSE_USER" --multiquery <<SQL
CREATE USER IF NOT EXISTS reader IDENTIFIED WITH sha256_password BY '$(cat /run/secrets/reader_password)'
    SETTINGS readonly = 1, max_execution_time = 30 CHANGEABLE_IN_READONLY;
GRANT SELECT ON $CLICKHOUSE_DB.* TO reader;
SQL
