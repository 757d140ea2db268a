"""What it costs to scrape a fleet: one core's share, memory, what is missed, and a Prometheus beside it."""

from __future__ import annotations

import json
import multiprocessing
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Event, Thread

import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console

from benchmarks.fleet_pages import SERIES, served_fleet
from benchmarks.report import Row
from collectors.collector import Collector
from collectors.config import ServiceConfig
from collectors.scraping import ScrapeLoop
from recwatch.app.children import Child, free_port
from recwatch.app.pipeline import messages_of
from recwatch.app.runner import StageRunner
from recwatch.core.bus.memory import MemoryBus
from recwatch.core.clock import SystemClock
from recwatch.core.store import open_store
from recwatch.core.store.sink import Sink

TARGETS = 200
SERVICES = 10
WARM_S = 10.0
MEASURED_S = 30.0
TARGET_SAMPLES = TARGETS * SERIES


@dataclass(frozen=True, slots=True)
class Cost:
    """What collecting took over the measured time."""

    cpu_s: float
    seconds: float
    samples: int
    missed: int
    bytes_a_series: float

    @property
    def cpu_ratio(self) -> float:
        return self.cpu_s / self.seconds

    @property
    def us_a_sample(self) -> float:
        return 1e6 * self.cpu_s / self.samples


def fleet(out: Console) -> Sequence[Row]:
    """Scrape 200 targets of 1,000 series every second, for 30 s after a start of 10 s.

    Targets, collectors and Prometheus are processes of their own. CPU and memory are those of the collecting process alone,
    memory against that before the first scrape. A Prometheus, where there is one, scrapes the same targets beside us.
    """
    rows = []
    with served_fleet(TARGETS) as urls:
        with out.status("scraping, parsing and normalising"), collecting(urls, stored=False) as measured:
            alone = measured()
        rows += [
            Row(f"missed scrapes of {TARGETS * MEASURED_S:,.0f}", alone.missed, "scrapes", "<= 0"),
            Row("CPU of one core, scrape, parse and normalise", alone.cpu_ratio, "ratio", "<= 0.6"),
            Row("CPU a sample, scrape, parse and normalise", alone.us_a_sample, "µs"),
            Row("memory a series", alone.bytes_a_series, "bytes", "<= 1024"),
        ]
        with out.status("storing, with a Prometheus beside it"), ExitStack() as running:
            ours = running.enter_context(collecting(urls, stored=True))
            theirs = running.enter_context(prometheus(urls)) if shutil.which("prometheus") else None
            rows += _compared(*_at_once(ours, theirs)) if theirs else [_stored(ours())]
    if theirs is None:
        out.print("no prometheus on this machine: nothing to compare with")
    return rows


def _at_once(*sides: Callable[[], Cost]) -> list[Cost]:
    costs: list[Cost] = []
    threads = [Thread(target=lambda side=side, at=at: costs.insert(at, side())) for at, side in enumerate(sides)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return costs


def _stored(ours: Cost) -> Row:
    return Row("CPU a sample, fetched to stored, recwatch", ours.us_a_sample, "µs")


def _compared(ours: Cost, theirs: Cost) -> list[Row]:
    return [
        _stored(ours),
        Row("CPU a sample, fetched to stored, Prometheus", theirs.us_a_sample, "µs"),
        Row("CPU a sample, recwatch over Prometheus", ours.us_a_sample / theirs.us_a_sample, "ratio", "<= 1"),
        Row("missed scrapes beside Prometheus", ours.missed, "scrapes"),
        Row("memory a series, Prometheus", theirs.bytes_a_series, "bytes"),
    ]


@contextmanager
def collecting(urls: Sequence[str], *, stored: bool) -> Iterator[Callable[[], Cost]]:
    """A process that collects from all targets; what is yielded waits for what it measured."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    with tempfile.TemporaryDirectory() as folder:
        process = context.Process(target=_collect, args=(urls, f"chdb://{folder}/store" if stored else None, there))
        process.start()
        there.close()
        try:
            yield here.recv
        finally:
            process.terminate()
            process.join()


def _collect(urls: Sequence[str], dsn: str | None, cost_to: Connection) -> None:
    clock, samples, ending = SystemClock(), 0, Event()
    process = psutil.Process()
    with ExitStack() as opened:
        loop = opened.enter_context(closing(ScrapeLoop()))
        collectors = [opened.enter_context(closing(Collector(config, clock, loop))) for config in _services(urls)]
        bus = MemoryBus()
        if dsn is not None:
            runner = StageRunner(Sink(opened.enter_context(closing(open_store(dsn)))), bus, clock)
            sinking = Thread(target=_step, args=(runner, ending))
            sinking.start()
            opened.callback(sinking.join)
        opened.callback(ending.set)
        before = process.memory_info().rss
        for collector in collectors:
            collector.start()
        began = time.monotonic()
        due, ends, began_cpu, missed = began, began + WARM_S + MEASURED_S, 0.0, 0
        while time.monotonic() < ends:
            if not began_cpu and time.monotonic() >= began + WARM_S:
                began, began_cpu, samples, missed = time.monotonic(), time.process_time(), 0, -_missed(collectors)
            for collector in collectors:
                tick = collector.tick(clock.now_ms())
                samples += sum(map(len, tick.samples))
                if dsn is not None:
                    for message in messages_of("shop", tick, None):
                        bus.publish(*message)
            due += 1.0
            time.sleep(max(0.0, due - time.monotonic()))
        cpu_s, seconds = time.process_time() - began_cpu, time.monotonic() - began
        grown = process.memory_info().rss - before
        cost_to.send(Cost(cpu_s, seconds, samples, missed + _missed(collectors), grown / TARGET_SAMPLES))


def _services(urls: Sequence[str]) -> list[ServiceConfig]:
    return [
        ServiceConfig.model_validate({"name": f"shop-{number}", "targets": list(urls[number::SERVICES])})
        for number in range(SERVICES)
    ]


def _missed(collectors: Sequence[Collector]) -> int:
    """Scrapes that did not begin, or that failed."""
    return sum(c.scrapes.missed + c.counters.scrapes_failed.total() for c in collectors)


def _step(runner: StageRunner, ending: Event) -> None:
    while not ending.is_set():
        runner.step()


@contextmanager
def prometheus(urls: Sequence[str]) -> Iterator[Callable[[], Cost]]:
    """A real Prometheus scraping the same targets; what is yielded waits out the measured time and says what it took."""
    address = f"127.0.0.1:{free_port()}"
    scraping = {"job_name": "shop", "static_configs": [{"targets": [url.split("/")[2] for url in urls]}]}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "prometheus.yml")
        file.write_text(json.dumps({"global": {"scrape_interval": "1s"}, "scrape_configs": [scraping]}), encoding="utf-8")
        options = [f"--config.file={file}", f"--storage.tsdb.path={folder}/data", f"--web.listen-address={address}"]
        child = Child("prometheus", ["prometheus", *options, "--log.level=error"])
        try:
            yield lambda: _cost_of_prometheus(child, f"http://{address}/metrics")
        finally:
            child.stop()


def _cost_of_prometheus(child: Child, url: str) -> Cost:
    process = psutil.Process(child.pid)
    time.sleep(WARM_S)
    began, cpu_s, samples = (
        time.monotonic(),
        sum(process.cpu_times()[:2]),
        _figure(url, "prometheus_tsdb_head_samples_appended_total"),
    )
    time.sleep(MEASURED_S)
    cpu_s = sum(process.cpu_times()[:2]) - cpu_s
    appended = _figure(url, "prometheus_tsdb_head_samples_appended_total") - samples
    series = _figure(url, "prometheus_tsdb_head_series")
    return Cost(cpu_s, time.monotonic() - began, int(appended), 0, process.memory_info().rss / series)


def _figure(url: str, name: str) -> float:
    text = httpx.get(url, trust_env=False).raise_for_status().text
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return sum(sample.value for sample in samples if sample.name == name)
