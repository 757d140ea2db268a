"""How much the store takes in, how fast it answers, and what a sample takes on disk."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress

from benchmarks.disk import FOREVER, bytes_a_sample
from benchmarks.report import Row
from recwatch.core.buckets import quantile_of_all
from recwatch.core.canonical import canonical_series
from recwatch.core.signals import Float64, Int64, Samples, Series
from recwatch.core.store import Store, open_store
from recwatch.core.store.connection import Connection, parse_dsn
from recwatch.core.store.rows import sample_rows

DAY_MS = 86_400_000
START_MS = 20_000 * DAY_MS
DAYS, STEP_MS = 7, 6_000
ROWS_A_SERIES = DAYS * DAY_MS // STEP_MS
BOUNDS = (*np.round(np.geomspace(0.001, 10, 15), 4).tolist(), np.inf)
BATCH_SERIES, BATCHES = 500, 20
TRIES = 15
ODD_MS = 17 * 60_000
"""So much before the whole hour a read ends, as one that ends now does: part of it is read from the minutes."""


@dataclass(frozen=True, slots=True)
class StoreBenchmark:
    """Rows go into the embedded engine 50,000 at a time, with a token, beside a bare insert of the same rows.

    Then a week of latency buckets is made inside the engine, 16 bounds a service, a row every 6 s, and merged; a read is the
    median of 15, warm.
    Bytes are those of merged parts, after 400 scrapes of the reference recommender under load, as if one second apart.
    Prometheus's are those of the blocks that promtool makes of the same raw samples.
    """

    samples: int

    def __call__(self, out: Console) -> Sequence[Row]:
        with (
            tempfile.TemporaryDirectory(prefix="recwatch-store-") as folder,
            Progress(console=out, transient=True) as progress,
        ):
            rows = [*_speed(Path(folder), self.samples, progress)]
            return [*rows, *bytes_a_sample(Path(folder), progress)]


def _speed(folder: Path, samples: int, progress: Progress) -> Iterator[Row]:
    dsn = f"chdb://{folder}/speed"
    with closing(open_store(dsn, FOREVER)) as store, closing(Connection(parse_dsn(dsn))) as engine:
        yield from _inserts(store, engine, progress)
        engine.command("TRUNCATE TABLE samples")
        engine.command("TRUNCATE TABLE samples_1m")
        engine.command("TRUNCATE TABLE samples_1h")
        services = _week(store, engine, samples, progress)
        one = canonical_series("service-0", "latency_bucket_increments", {"le": "+Inf"})
        end_ms = START_MS + DAYS * DAY_MS
        yield Row("samples in the store", store.samples_stored(), "samples")

        def week() -> dict[int, tuple[Int64, Float64]]:
            return store.read([one.id], START_MS, end_ms, 60)

        def quantile(days: int, until_ms: int) -> float | None:
            return quantile_of_all([*store.latency_increments(until_ms - days * DAY_MS, until_ms).values()], 0.99)

        assert len(week()[one.id][0]) == DAYS * 24 * 60
        assert store.latency_increments(START_MS, end_ms)["service-0"].increments[-1] == _requests()
        yield Row("one series, 7 days by the minute", _warm_ms(week), "ms", "<= 100")
        yield Row(
            f"p99 over 24 h of a fleet of {services} services",
            _warm_ms(partial(quantile, 1, end_ms - ODD_MS)),
            "ms",
            "<= 100",
        )
        yield Row("the same from one whole hour to another", _warm_ms(partial(quantile, 1, end_ms)), "ms")
        yield Row("the same over 6 days", _warm_ms(partial(quantile, DAYS - 1, end_ms - ODD_MS)), "ms")


def _inserts(store: Store, engine: Connection, progress: Progress) -> Iterator[Row]:
    """Rows a second, with all that the store does for a row, and bare."""
    engine.command(
        "CREATE TABLE bare (series_id UInt64, time DateTime64(3), value Float64) ENGINE = MergeTree ORDER BY time"
    )
    task = progress.add_task("inserts", total=BATCHES)
    taken = {"store": 0.0, "bare": 0.0}
    ids = np.tile(np.arange(BATCH_SERIES, dtype=np.uint64), 100)
    for number in range(BATCHES):
        times = START_MS + number * 100_000 + 1_000 * np.repeat(np.arange(100, dtype=np.int64), BATCH_SERIES)
        batch = Samples("shop", "", times, ids, np.random.default_rng(number).integers(0, 1000, len(ids)).astype(np.float64))
        began = time.perf_counter()
        store.write_samples([batch], f"batch-{number}")
        between = time.perf_counter()
        engine.insert("bare", sample_rows([batch]))
        taken["store"] += between - began
        taken["bare"] += time.perf_counter() - between
        progress.advance(task)
    rows = BATCHES * len(ids)
    yield Row("inserted, with roll-ups and token", rows / taken["store"], "rows/s")
    yield Row("the same over a bare insert", taken["bare"] / taken["store"], "ratio")


def _week(store: Store, engine: Connection, samples: int, progress: Progress) -> int:
    """A week of the buckets of as many services as make about `samples` rows; how many services."""
    services = max(1, samples // (ROWS_A_SERIES * len(BOUNDS)))
    series = [_buckets(f"service-{n}") for n in range(services)]
    store.write_series([one for buckets in series for one in buckets])
    task = progress.add_task("a week is made", total=services)
    for buckets in series:
        engine.command(
            """
            INSERT INTO samples SELECT {ids:Array(UInt64)}[1 + number % 16],
                fromUnixTimestamp64Milli({start:Int64} + intDiv(number, 16) * {step:Int64}, 'UTC'),
                floor(intDiv(number, 16) % 100 * (1 + number % 16) / 16)
            FROM numbers({rows:UInt64})
            """,
            ids=[one.id for one in buckets],
            start=START_MS,
            step=STEP_MS,
            rows=ROWS_A_SERIES * len(BOUNDS),
        )
        progress.advance(task)
    for table in ("samples", "samples_1m", "samples_1h"):
        engine.command(f"OPTIMIZE TABLE {table} FINAL")
    return services


def _buckets(service: str) -> list[Series]:
    labels = ["+Inf" if bound == np.inf else str(bound) for bound in BOUNDS]
    return [canonical_series(service, "latency_bucket_increments", {"le": label}) for label in labels]


def _requests() -> int:
    """What the widest bucket of a service holds after the week."""
    return sum(n % 100 for n in range(ROWS_A_SERIES))


def _warm_ms(read: Callable[[], object]) -> float:
    taken = []
    for _ in range(TRIES):
        began = time.perf_counter()
        read()
        taken.append(1000 * (time.perf_counter() - began))
    return float(np.median(taken))
