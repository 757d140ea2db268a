"""What every store promises, whatever its DSN.

The engine in this process always runs it, and so does the engine served over HTTP. A server does when
RECWATCH_TEST_CLICKHOUSE holds its DSN, whose user may create databases: each test makes one and drops it.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from recwatch.core.buckets import quantile_of_all
from recwatch.core.canonical import canonical_series
from recwatch.core.errors import BadInput
from recwatch.core.events import Incident
from recwatch.core.signals import Float64, Samples, Series
from recwatch.core.stage import Snapshot
from recwatch.core.store import Retention, Store
from recwatch.core.store.connection import Connection, parse_dsn
from recwatch.core.store.migrations import MIGRATIONS
from tests.core.examples import FOREVER, INCIDENT, NASTY_TEXTS, START_MS
from tests.core.stores import Open

MINUTE_MS = 60_000
FIRST_MS = START_MS // MINUTE_MS * MINUTE_MS
DEPTH = canonical_series("shop", "queue_depth")
LARGEST_ID = 2**64 - 1

# Writes and reads one of everything, reads what is not there too, and says whether pandas came along.
ONE_OF_EVERYTHING = """
import sys
from recwatch.core.buckets import quantile_of_all
from recwatch.core.canonical import canonical_series
from recwatch.core.signals import Samples
from recwatch.core.stage import Snapshot
from recwatch.core.store import open_store
from tests.core.examples import EVENTS, FOREVER, START_MS
depth = canonical_series("shop", "queue_depth")
store = open_store(sys.argv[1], FOREVER)
store.write_series([depth])
store.write_samples([Samples.of("shop", "", START_MS, {depth.id: 1.0})], "token")
store.write_events(EVENTS)
store.save_snapshot("detectors", Snapshot(b"state", START_MS))
assert store.series("shop") == [depth] and store.series("none") == [] and store.samples_stored() == 1
for step_s in (None, 10, 60):
    assert [len(values) for _, values in store.read([depth.id, 1], 0, START_MS * 2, step_s).values()] == [1, 0]
    assert [len(values) for _, values in store.read([1], 0, 1, step_s).values()] == [0]
for event in EVENTS:
    assert store.events(type(event)) == [event] and store.events(type(event), "none") == []
    assert store.event(type(event), event.id) == event and store.event(type(event), "none") is None
assert store.load_snapshot("detectors") == Snapshot(b"state", START_MS) and store.load_snapshot("none") is None
store.close()
print("pandas" in sys.modules)
"""


@pytest.fixture
def store(opened: Open) -> Store:
    return opened()


def ramp(rows: int, start_ms: int = FIRST_MS, series_id: int = DEPTH.id) -> Samples:
    """One row a second, with the values 0, 1, 2, …"""
    return Samples(
        "shop",
        "",
        start_ms + 1_000 * np.arange(rows, dtype=np.int64),
        np.full(rows, series_id, np.uint64),
        np.arange(rows, dtype=np.float64),
    )


def read(store: Store, end_ms: int, step_s: int | None = None, start_ms: int = FIRST_MS) -> list[tuple[int, float]]:
    """Rows of DEPTH as seconds from FIRST_MS, and value."""
    times, values = store.read([DEPTH.id], start_ms, end_ms, step_s)[DEPTH.id]
    return [((t - FIRST_MS) // 1_000, v) for t, v in zip(times.tolist(), values.tolist(), strict=True)]


def test_an_empty_store_has_nothing(store: Store) -> None:
    assert store.series() == []
    assert store.samples_stored() == 0
    times, values = store.read([1], 0, FIRST_MS)[1]
    assert (times.dtype.name, values.dtype.name, len(times), len(values)) == ("int64", "float64", 0, 0)
    assert store.events(Incident) == []
    assert store.event(Incident, "x") is None
    assert store.load_snapshot("x") is None


def test_writing_nothing_is_fine(store: Store) -> None:
    store.write_series([])
    store.write_samples([], "none")
    store.write_samples([ramp(0)], "empty")
    store.write_events([])
    assert store.samples_stored() == 0


def test_series_come_back_as_they_were(store: Store) -> None:
    raw = [Series(f"m_{n}", {"t": text, "service": text}, "s", "counter", text, text) for n, text in enumerate(NASTY_TEXTS)]
    store.write_series([DEPTH, *raw])
    assert store.series() == [*raw, DEPTH]
    for series, text in zip(raw, NASTY_TEXTS, strict=True):
        assert store.series(text) == [series]
        assert store.one_series(series.id) == series
    assert store.series("unheard of") == []
    assert store.one_series(1) is None


def test_a_definition_written_again_replaces_the_old_one(store: Store) -> None:
    store.write_series([DEPTH])
    store.write_series([dataclasses.replace(DEPTH, unit="batches")])
    assert [series.unit for series in store.series("shop")] == ["batches"]


def test_samples_come_back_bit_by_bit(store: Store) -> None:
    values = np.array([0.1 + 0.2, -0.0, 5e-324, 1.7976931348623157e308, 1 / 3])
    times = FIRST_MS + np.array([0, 1, 2, 999, 1_000_000])
    store.write_samples([Samples("shop", "", times, np.full(5, LARGEST_ID, np.uint64), values)], "t")
    back_times, back = store.read([LARGEST_ID], 0, FIRST_MS * 2)[LARGEST_ID]
    assert back_times.tolist() == times.tolist()
    assert back.tobytes() == values.tobytes()


def test_reading_includes_start_and_end_and_every_series_asked_for(store: Store) -> None:
    store.write_samples([ramp(10), ramp(10, series_id=7)], "t")
    rows = store.read([DEPTH.id, 7, 8], FIRST_MS + 2_000, FIRST_MS + 4_000)
    assert {series_id: values.tolist() for series_id, (_, values) in rows.items()} == {
        DEPTH.id: [2.0, 3.0, 4.0],
        7: [2.0, 3.0, 4.0],
        8: [],
    }
    assert store.read([], 0, FIRST_MS) == {}


def test_a_whole_fleets_series_are_read_at_once(store: Store) -> None:
    readings = {2**63 + number: float(number) for number in range(10_000)}
    store.write_samples([Samples.of("shop", "", START_MS, readings)], "token")
    found = store.read(list(readings), START_MS, START_MS)
    assert {series_id: values.tolist() for series_id, (_, values) in found.items()} == {i: [v] for i, v in readings.items()}
    assert len(store.samples("shop", list(readings), START_MS, START_MS)) == len(readings)


def test_a_token_stores_its_rows_once_in_the_roll_up_too(store: Store) -> None:
    for _ in range(3):
        store.write_samples([ramp(60)], "samples-0-0-1")
    assert store.samples_stored() == 60
    assert read(store, FIRST_MS + MINUTE_MS, step_s=60) == [(0, 29.5)]
    store.write_samples([ramp(30)], "samples-0-1-2")
    assert store.samples_stored() == 90
    assert read(store, FIRST_MS + MINUTE_MS, step_s=60) == [(0, (29.5 * 60 + 14.5 * 30) / 90)]


def test_a_token_counts_after_reopening(opened: Open) -> None:
    opened().write_samples([ramp(60)], "samples-0-0-1")
    again = opened()
    again.write_samples([ramp(60)], "samples-0-0-1")
    assert again.samples_stored() == 60


def test_a_large_batch_over_many_weeks_is_stored_once(store: Store) -> None:
    rows = 1_100_000
    batch = ramp(rows)
    for _ in range(2):
        store.write_samples([batch], "large")
    assert store.samples_stored() == rows


def test_short_steps_are_means_under_the_start_of_the_step(store: Store) -> None:
    store.write_samples([ramp(25)], "t")
    assert read(store, FIRST_MS + 30_000, step_s=10) == [(0, 4.5), (10, 14.5), (20, 22.0)]
    assert read(store, FIRST_MS + 14_000, step_s=10, start_ms=FIRST_MS + 9_000) == [(0, 4.5), (10, 12.0)]


def test_long_steps_are_weighted_means_of_whole_minutes(store: Store) -> None:
    store.write_samples([ramp(90)], "one")
    store.write_samples([ramp(60, FIRST_MS + 3 * MINUTE_MS)], "two")
    end_ms = FIRST_MS + 10 * MINUTE_MS
    assert read(store, end_ms, step_s=60) == [(0, 29.5), (60, 74.5), (180, 29.5)]
    hour_ms = 60 * MINUTE_MS
    whole_hour = (FIRST_MS // hour_ms * hour_ms - FIRST_MS) // 1_000
    assert read(store, end_ms, step_s=3_600) == [(whole_hour, (sum(range(90)) + sum(range(60))) / 150)]


def test_steps_of_whole_hours_come_from_the_hourly_roll_up(dsn: str, store: Store) -> None:
    hour_ms = 60 * MINUTE_MS
    first_ms = FIRST_MS // (6 * hour_ms) * 6 * hour_ms
    for token in ("t", "t", "u"):
        store.write_samples([ramp(3 * 3600, first_ms)], token)
    admin = Connection(parse_dsn(dsn))
    admin.command("TRUNCATE TABLE samples_1m")
    admin.close()
    for step_s, expected in [(3600, [1799.5, 5399.5, 8999.5]), (7200, [3599.5, 8999.5]), (5400, [])]:
        times, values = store.read([DEPTH.id], first_ms, first_ms + 4 * hour_ms, step_s)[DEPTH.id]
        assert values.tolist() == expected
        assert times.tolist() == [first_ms + n * step_s * 1000 for n in range(len(expected))]


def test_steps_over_a_minute_are_rounded_up_to_whole_minutes(store: Store) -> None:
    store.write_samples([ramp(600)], "t")
    end_ms = FIRST_MS + 10 * MINUTE_MS
    assert read(store, end_ms, step_s=61) == read(store, end_ms, step_s=120)
    assert len(read(store, end_ms, step_s=120)) == 6


def test_the_roll_up_outlives_the_samples(dsn: str, opened: Open) -> None:
    opened(FOREVER).write_samples([ramp(60)], "t")
    store = opened(Retention(samples_days=1, rollup_days=10_000))
    merging = Connection(parse_dsn(dsn))
    merging.command("OPTIMIZE TABLE samples FINAL")
    merging.close()
    assert store.samples_stored() == 0
    assert read(store, FIRST_MS + MINUTE_MS, step_s=60) == [(0, 29.5)]


def buckets_of(service: str, bounds: Sequence[float], end_ms: int, latencies: Float64) -> tuple[list[Series], list[Samples]]:
    """Series and samples of the buckets of a service whose requests end one every ten seconds, the last at `end_ms`."""
    labels = ["+Inf" if bound == np.inf else str(bound) for bound in bounds]
    series = [canonical_series(service, "latency_bucket_increments", {"le": label}) for label in labels]
    times = end_ms - 10_000 * np.arange(len(latencies), dtype=np.int64)[::-1]
    return series, [
        Samples(service, "", times, np.full(len(times), s.id, np.uint64), (latencies <= bound).astype(np.float64))
        for s, bound in zip(series, bounds, strict=True)
    ]


def test_fleet_latency_is_that_of_all_requests_whatever_their_services_and_hours(store: Store) -> None:
    random = np.random.default_rng(7)
    grid = [*np.round(np.geomspace(0.001, 10, 60), 6).tolist(), np.inf]
    end_ms = FIRST_MS + 77 * MINUTE_MS - 10_000
    sides = {"shop": (random.lognormal(-3, 0.5, 3000), grid), "news": (random.lognormal(-1, 0.3, 100), grid[::2])}
    for service, (latencies, bounds) in sides.items():
        series, samples = buckets_of(service, bounds, end_ms, latencies)
        store.write_series(series)
        for n, batch in enumerate(samples):
            store.write_samples([batch], f"{service}-{n}")
    found = store.latency_increments(0, FIRST_MS + 10**8)
    assert sorted(found) == ["news", "shop"]
    assert found["shop"].increments[-1] == 3000
    assert found["news"].le_upper_bounds.tolist() == sides["news"][1]
    everything = np.concatenate([latencies for latencies, _ in sides.values()])
    assert quantile_of_all(list(found.values()), 0.99) == pytest.approx(np.quantile(everything, 0.99), rel=0.1)
    half_hour_ms = 30 * MINUTE_MS
    for start_ms in range(FIRST_MS - 10 * half_hour_ms, FIRST_MS, half_hour_ms):
        part = store.latency_increments(start_ms, end_ms + 10_000, ["shop"])
        assert list(part) == ["shop"]
        assert part["shop"].increments[-1] == min(3000, (end_ms + 10_000 - start_ms) // 10_000)
    assert store.latency_increments(end_ms + MINUTE_MS, end_ms + 2 * MINUTE_MS) == {}


def test_everything_is_there_after_reopening(opened: Open) -> None:
    store = opened()
    store.write_series([DEPTH])
    store.write_samples([ramp(60)], "t")
    store.write_events([INCIDENT])
    store.save_snapshot("detectors", Snapshot(b"state", FIRST_MS))
    again = opened()
    assert again.series() == [DEPTH]
    assert len(read(again, FIRST_MS + MINUTE_MS)) == 60
    assert again.events(Incident) == [INCIDENT]
    assert again.load_snapshot("detectors") == Snapshot(b"state", FIRST_MS)


def test_a_store_of_a_newer_recwatch_is_refused(dsn: str, opened: Open) -> None:
    opened().close()
    future = Connection(parse_dsn(dsn))
    future.command("INSERT INTO schema_version SELECT {version:UInt32}", version=len(MIGRATIONS) + 1)
    future.close()
    with pytest.raises(
        BadInput, match=f"has schema {len(MIGRATIONS) + 1}, and this recwatch knows {len(MIGRATIONS)}; upgrade"
    ):
        opened()


def test_threads_write_and_read_at_once(store: Store) -> None:
    start = threading.Barrier(6)

    def write(number: int) -> None:
        start.wait()
        for batch in range(10):
            store.write_samples([ramp(50, FIRST_MS + batch * MINUTE_MS, series_id=number)], f"{number}-{batch}")

    def look() -> None:
        start.wait()
        for _ in range(10):
            store.read([0, 1, 2], 0, FIRST_MS * 2)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(3)] + [
        threading.Thread(target=look) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert {i: len(values) for i, (_, values) in store.read([0, 1, 2], 0, FIRST_MS * 2).items()} == {0: 500, 1: 500, 2: 500}


def test_the_ends_of_what_is_stored_of_a_service_are_known(store: Store) -> None:
    row = Series("hits_total", {"service": "shop", "job": "web"}, "", "counter", "shop", "prometheus://a:1/web")
    store.write_series([row, DEPTH, dataclasses.replace(DEPTH, name="other", service="none", labels={"service": "none"})])
    assert (store.oldest_ms("shop"), store.newest("shop", 0)) == (None, {})
    for minute, one in ((3, row), (1, row), (2, DEPTH), (0, DEPTH)):
        store.write_samples([Samples.of("shop", "", FIRST_MS + minute * MINUTE_MS, {one.id: 1.0})], f"{minute}")
    assert store.oldest_ms("shop") == FIRST_MS
    assert store.newest("shop", 0) == {row.id: FIRST_MS + 3 * MINUTE_MS}
    assert store.newest("shop", FIRST_MS + 4 * MINUTE_MS) == {}
    assert store.oldest_ms("none") is None


def test_of_rows_those_are_told_that_are_stored(store: Store) -> None:
    assert store.rows_there([]) == set()
    count = 2_500
    ids = np.arange(LARGEST_ID - count, LARGEST_ID, dtype=np.uint64)
    samples = Samples("shop", "", START_MS + np.arange(count) * 1_000, ids, np.zeros(count))
    store.write_samples([samples], "a")
    rows = list(zip(ids.tolist(), samples.time_ms.tolist(), strict=True))
    others = [(series, time_ms + 1) for series, time_ms in rows[:3]] + [(rows[0][0], rows[1][1]), (7, START_MS)]
    assert store.rows_there([*others, *rows]) == set(rows)
    assert store.latest_ms([*ids.tolist(), 7], START_MS + 2_000) == dict(rows[2:])


def test_closing_twice_is_fine(store: Store) -> None:
    store.close()
    store.close()


def test_pandas_is_installed_and_stays_out_of_the_process(dsn: str) -> None:
    assert importlib.util.find_spec("pandas") is not None
    said = subprocess.check_output([sys.executable, "-c", ONE_OF_EVERYTHING, dsn], cwd=Path(__file__).parents[2], text=True)
    assert said == "False\n"
