"""What it costs to scrape a fleet: one core's share, memory, what is missed, and a Prometheus beside it."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console

from benchmarks.fleet_collect import MEASURED_S, Cost, collecting
from benchmarks.fleet_pages import served_fleet
from benchmarks.report import Row
from recwatch.app.children import Child
from recwatch.app.ports import free_port

TARGETS = 200


def fleet(out: Console) -> Sequence[Row]:
    """Scrape 200 targets of 1,000 series every second, for 30 s that begin 10 s after each was scraped once.

    Targets, collectors and Prometheus are processes of their own. CPU and memory are those of the collecting process alone,
    memory against that before the first scrape. A Prometheus, where there is one, scrapes the same targets beside us.
    """
    rows = []
    with served_fleet(TARGETS) as urls:
        with out.status("scraping, parsing and normalising"), collecting(urls, stored=False) as ours:
            ours.wait_until_warm()
            alone = ours.cost()
        rows += [
            Row(f"missed scrapes of {TARGETS * MEASURED_S:,.0f}", alone.missed, "scrapes", "<= 0"),
            Row("CPU of one core, scrape, parse and normalise", alone.cpu_ratio, "ratio", "<= 0.6"),
            Row("CPU a sample, scrape, parse and normalise", alone.us_a_sample, "µs"),
            Row("memory a series", alone.bytes_a_series, "bytes", "<= 1024"),
        ]
        with out.status("storing, with a Prometheus beside it"), ExitStack() as running:
            theirs = running.enter_context(prometheus(urls)) if shutil.which("prometheus") else None
            ours = running.enter_context(collecting(urls, stored=True))
            ours.wait_until_warm()
            rows += _compared(theirs(), ours.cost()) if theirs else [_stored(ours.cost())]
    if theirs is None:
        out.print("no prometheus on this machine: nothing to compare with")
    return rows


def _stored(ours: Cost) -> Row:
    return Row("CPU a sample, fetched to stored, recwatch", ours.us_a_sample, "µs")


def _compared(theirs: Cost, ours: Cost) -> list[Row]:
    return [
        _stored(ours),
        Row("CPU a sample, fetched to stored, Prometheus", theirs.us_a_sample, "µs"),
        Row("CPU a sample, recwatch over Prometheus", ours.us_a_sample / theirs.us_a_sample, "ratio", "<= 1"),
        Row("missed scrapes beside Prometheus", ours.missed, "scrapes"),
        Row("memory a series, Prometheus", theirs.bytes_a_series, "bytes"),
    ]


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
