"""The tables: their SQL, and stores of every earlier version brought up to date, however often that was interrupted."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import get_args

import pytest
import stamina

from recwatch.core.canonical import canonical_series
from recwatch.core.errors import BadInput
from recwatch.core.events import Incident
from recwatch.core.stage import Snapshot
from recwatch.core.store import Retention, Store, open_store
from recwatch.core.store.connection import Connection, parse_dsn
from recwatch.core.store.migrations import MIGRATIONS, VERSIONS, TableEngine, with_engine
from recwatch.core.store.schema import migrate
from tests.core.examples import FOREVER, INCIDENT

GOLDEN = Path(__file__).with_name("schema.sql")
DEPTH = canonical_series("shop", "queue_depth")
HOUR_S = 3600
START_S = 1_700_000_000 // HOUR_S * HOUR_S
ROWS = 3 * HOUR_S

# As a recwatch of version 1 wrote it: a row a second, whose value is its number.
FILL = f"""
    INSERT INTO samples SELECT {DEPTH.id}, toDateTime64({START_S} + number, 3, 'UTC'), number FROM numbers({ROWS});
"""
REMEMBER = (
    f"INSERT INTO snapshots SELECT 'detectors', toDateTime64({START_S} + number, 3, 'UTC'), '' || number FROM numbers(2)"
)
RESUMED = [(version, step) for version, statements in enumerate(MIGRATIONS) for step in range(len(statements) + 1)]


def golden(engine: TableEngine) -> Iterator[str]:
    yield f"-- {engine}"
    for number, statements in enumerate(((VERSIONS,), *MIGRATIONS)):
        yield f"-- {number}"
        yield from (inspect.cleandoc(with_engine(sql, engine)) + ";" for sql in statements)


def test_the_sql_is_what_it_was() -> None:
    now = "\n".join(line for engine in get_args(TableEngine) for line in golden(engine)) + "\n"
    assert now == GOLDEN.read_text(), "a released migration stays as it is; of a new one, put the SQL into schema.sql"


@pytest.mark.parametrize(("version", "step"), RESUMED)
def test_a_store_of_an_earlier_version_keeps_its_rows_wherever_an_upgrade_was_cut_off(
    version: int, step: int, tmp_path: Path
) -> None:
    dsn = f"chdb://{tmp_path}/store"
    with closing(Connection(parse_dsn(dsn))) as earlier:
        earlier.command(VERSIONS)
        for number, statements in enumerate(MIGRATIONS[:version], start=1):
            for statement in statements:
                earlier.command(statement)
            earlier.command("INSERT INTO schema_version SELECT {version:UInt32}", version=number)
        if version:
            earlier.command(FILL)
            earlier.command(REMEMBER)
        for statement in MIGRATIONS[version][:step]:
            earlier.command(statement)
    for _ in range(2):
        with closing(open_store(dsn, FOREVER)) as store:
            if version:
                assert everything(store) == (ROWS, hours())
                assert store.load_snapshot("detectors") == Snapshot(b"1", (START_S + 1) * 1000)
            store.write_series([DEPTH])
            store.write_events([INCIDENT])
            assert store.series() == [DEPTH]
            assert store.events(Incident) == [INCIDENT]


def everything(store: Store) -> tuple[int, list[tuple[int, float]]]:
    """How many samples there are, and what the hourly roll-up makes of them; the same as the minutes do."""
    start_ms, end_ms = START_S * 1000, (START_S + ROWS) * 1000
    hourly, by_minute = (store.read([DEPTH.id], start_ms, end_ms, step_s)[DEPTH.id] for step_s in (HOUR_S, 60))
    assert by_minute[1].reshape(-1, 60).mean(axis=1).tolist() == hourly[1].tolist()
    return store.samples_stored(), list(zip(hourly[0].tolist(), hourly[1].tolist(), strict=True))


def hours() -> list[tuple[int, float]]:
    return [((START_S + n * HOUR_S) * 1000, n * HOUR_S + (HOUR_S - 1) / 2) for n in range(3)]


def test_each_resolution_is_kept_for_its_own_time(tmp_path: Path) -> None:
    dsn = f"chdb://{tmp_path}/store"
    for retention in (Retention(), Retention(samples_days=3, rollup_days=40, hourly_days=500)):
        open_store(dsn, retention).close()
        with closing(Connection(parse_dsn(dsn))) as admin:
            rows = admin.query("SELECT engine_full FROM system.tables WHERE name LIKE 'samples%' AND engine LIKE '%Tree'")
        days = {int(re.findall(rb"TTL .*toIntervalDay\(\D*(\d+)", row)[0]) for row in rows["engine_full"].to_pylist()}
        assert days == {retention.samples_days, retention.rollup_days, retention.hourly_days}


def test_the_engine_of_tables_is_named_in_the_dsn() -> None:
    assert parse_dsn("clickhouse://db/x?engine=MergeTree") == parse_dsn("clickhouse://db/x")
    assert parse_dsn("clickhouse://db/x?engine=ReplicatedMergeTree").table_engine == "ReplicatedMergeTree"
    with pytest.raises(BadInput, match=r"the store's DSN says '\?engine=Log'; write \?engine=ReplicatedMergeTree"):
        parse_dsn("clickhouse://db/x?engine=Log")


class Overtaken(Connection):
    """Of a process that starts together with another, which is a statement ahead of it where tables change hands."""

    overtaken = False

    def command(self, sql: str, **parameters: object) -> None:
        if "INSERT INTO memories" in sql and not self.overtaken:
            self.overtaken = True
            super().command("DROP TABLE snapshots")
        super().command(sql, **parameters)


def test_processes_that_start_together_on_an_empty_store_all_get_through(tmp_path: Path) -> None:
    with closing(Overtaken(parse_dsn(f"chdb://{tmp_path}/store"))) as second, stamina.set_testing(True, attempts=2):
        migrate(second, "MergeTree")
        assert second.overtaken
        assert second.query("SELECT max(version) AS version FROM schema_version")["version"][0].as_py() == len(MIGRATIONS)
        assert second.query("SELECT count() AS rows FROM memories")["rows"][0].as_py() == 0
