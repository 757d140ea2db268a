"""What the telemetry of the reference recommender takes on disk: in the store, and in a Prometheus."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from rich.progress import Progress

from benchmarks.report import Row
from collectors.collector import Collector
from collectors.config import ServiceConfig
from collectors.scraping import ScrapeLoop
from recwatch.app.patient import Patient
from recwatch.core.clock import FakeClock, SystemClock
from recwatch.core.errors import Unavailable
from recwatch.core.signals import Samples, Series, series_key
from recwatch.core.store import Retention, open_store
from recwatch.core.store.connection import Connection, parse_dsn

SCRAPES, APART_S, AS_IF_S = 400, 0.075, 1.0  # the interval of a service that says nothing else
START_S = 60.0
FOREVER = Retention(samples_days=10_000, rollup_days=10_000, hourly_days=10_000)


@dataclass(slots=True)
class Telemetry:
    """What was scraped: the raw rows of targets, and the canonical signals made of them."""

    raw: list[Samples] = field(default_factory=list)
    canonical: list[Samples] = field(default_factory=list)
    series: Mapping[int, Series] = field(default_factory=dict)


def bytes_a_sample(folder: Path, progress: Progress) -> Iterator[Row]:
    """The rows of the report; Prometheus's is left out where promtool is not installed."""
    telemetry = _scraped(progress)
    raw = _stored(folder / "raw", telemetry.raw)
    yield Row(f"{_rows(telemetry.raw):,} raw samples in the store, roll-ups included", raw, "bytes/sample", "<= 2")
    if promtool := shutil.which("promtool"):
        prometheus = _blocks_bytes(folder, promtool, telemetry) / _rows(telemetry.raw)
        yield Row("the same samples in blocks of Prometheus", prometheus, "bytes/sample")
        yield Row("store over Prometheus", raw / prometheus, "ratio")
    both = [*telemetry.raw, *telemetry.canonical]
    yield Row(f"{_rows(both):,} samples, canonical ones too", _stored(folder / "both", both), "bytes/sample", "<= 2")
    alone = _stored(folder / "alone", both, SCRAPES * 8)
    yield Row("the same, no series packed together with another", alone, "bytes/sample")


def _scraped(progress: Progress) -> Telemetry:
    task = progress.add_task("the recommender is scraped", total=SCRAPES)
    patient, found = Patient(seed=7, on="cpu"), Telemetry()
    try:
        _until_up(patient)
        patient.start_load()
        targets = [f"{patient.url}/metrics", f"{patient.url}/gpu/metrics"]
        config = ServiceConfig.model_validate({"name": "shop", "targets": targets})
        clock = FakeClock(SystemClock().now_ms())
        with closing(ScrapeLoop()) as loop, closing(Collector(config, clock, loop)) as collector:
            began_s, real_ms = time.monotonic(), clock.now_ms()
            for number in range(SCRAPES):
                late_s = time.monotonic() - began_s - number * APART_S
                time.sleep(max(0.0, -late_s))
                time_ms = real_ms + round(1000 * (number * AS_IF_S + max(0.0, late_s)))
                clock.advance((time_ms - clock.now_ms()) / 1000)
                collector.scrapes.once()
                tick = collector.tick(time_ms)
                found.series = {s.id: s for s in tick.series.series} if tick.series else found.series
                found.raw += [samples for samples in tick.samples if samples.target]
                found.canonical += [samples for samples in tick.samples if not samples.target]
                progress.advance(task)
    finally:
        patient.stop()
    return found


def _until_up(patient: Patient) -> None:
    ends_s = time.monotonic() + START_S
    while patient.device() is None:
        if time.monotonic() > ends_s:
            raise Unavailable(f"The recommender did not answer within {START_S:.0f} s.")
        time.sleep(0.2)


def _stored(folder: Path, batches: Iterable[Samples], block_bytes: int | None = None) -> float:
    """Bytes a sample of the three tables, merged; `block_bytes` is how much of a column is packed at once."""
    dsn, kept = f"chdb://{folder}", list(batches)
    with closing(open_store(dsn, FOREVER)) as store, closing(Connection(parse_dsn(dsn))) as engine:
        if block_bytes is not None:
            engine.command(
                f"ALTER TABLE samples MODIFY SETTING min_compress_block_size = {block_bytes},"
                f" max_compress_block_size = {block_bytes}, min_bytes_for_wide_part = 0"
            )
        store.write_samples(kept, "all")
        for table in ("samples", "samples_1m", "samples_1h"):
            engine.command(f"OPTIMIZE TABLE {table} FINAL")
        parts = engine.query("SELECT sum(bytes_on_disk) AS bytes FROM system.parts WHERE active AND table LIKE 'samples%'")
        return float(parts["bytes"][0].as_py() / _rows(kept))


def _blocks_bytes(folder: Path, promtool: str, telemetry: Telemetry) -> int:
    """What blocks of a Prometheus take of the raw samples; its write-ahead log not counted."""
    page, blocks = folder / "samples.txt", folder / "blocks"
    keys = {
        series_id: series_key(series.name, {**series.labels, "instance": series.target})
        for series_id, series in telemetry.series.items()
    }
    with page.open("w", encoding="utf-8") as file:
        for batch in telemetry.raw:
            rows = zip(batch.time_ms.tolist(), batch.series_id.tolist(), batch.value.tolist(), strict=True)
            file.writelines(f"{keys[series_id]} {value!r} {time_ms / 1000:.3f}\n" for time_ms, series_id, value in rows)
        file.write("# EOF\n")
    command = [promtool, "tsdb", "create-blocks-from", "openmetrics", "--quiet", str(page), str(blocks)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"promtool made no blocks: {done.stderr.strip()}")
    return sum(path.stat().st_size for path in blocks.rglob("*") if path.is_file())


def _rows(batches: Iterable[Samples]) -> int:
    return sum(len(batch) for batch in batches)
