"""What scraping costs: reading a large page again and again, and a whole tick of a small service."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from itertools import cycle

import numpy as np
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.progress import track

from benchmarks.page_server import served_page
from benchmarks.ratios import median_ratio
from benchmarks.report import Row
from benchmarks.timing import Work, in_turns
from collectors.collector import Collector
from collectors.config import ServiceConfig
from collectors.exposition import PageParser
from collectors.scraping import ScrapeLoop
from recwatch.core.clock import SystemClock

SERIES = 10_000
ROUNDS = 15
TICKS = 50
WARM_TICKS = 5
PAUSE_S = 0.1
"""Between ticks, so that caches are as cold as between two real ones, or nearly."""


def scrape(out: Console) -> Sequence[Row]:
    """Parsers take turns on pages whose values always differ; CPU time is that of all our threads; figures are medians."""
    return [*_parsers(out), *_ticks(out)]


def _parsers(out: Console) -> list[Row]:
    known = PageParser()
    sides = {
        "repeated": _reading(known.parse),
        "first": _reading(lambda text: PageParser().parse(text)),
        "prometheus_client": _reading(lambda text: [family.samples for family in text_string_to_metric_families(text)]),
    }
    sides["repeated"]()
    taken = in_turns(sides, track(range(ROUNDS), "parsers", console=out, transient=True))
    theirs = taken["prometheus_client"]
    return [
        *(Row(f"{SERIES:,} series, {side}", SERIES / float(np.median(s)), "samples/s") for side, s in taken.items()),
        Row("samples/s, repeated over prometheus_client", median_ratio(theirs, taken["repeated"]), "ratio"),
        Row("samples/s, first over prometheus_client", median_ratio(theirs, taken["first"]), "ratio"),
    ]


def _reading(parse: Callable[[str], object]) -> Work:
    pages = cycle([page(SERIES, seed) for seed in range(5)])
    return lambda: parse(next(pages))


def page(series: int, seed: int) -> str:
    """Exposition text of a histogram with as many series, four labels each; the seed sets values only."""
    values = np.random.default_rng(seed).integers(0, 10**6, series).tolist()
    rows = [
        f'shop_request_seconds_bucket{{le="{bucket}",model="ranker-{model}",pod="shop-7f9c-{model:03}",zone="eu-1"}} {value}'
        for (model, bucket), value in zip((divmod(number, 40) for number in range(series)), values, strict=True)
    ]
    return "\n".join(["# TYPE shop_request_seconds histogram", *rows, ""])


def _ticks(out: Console) -> list[Row]:
    with served_page() as url, closing(ScrapeLoop()) as loop:
        config = ServiceConfig.model_validate({"name": "shop", "targets": [url]})
        with closing(Collector(config, SystemClock(), loop)) as collector:
            return _tick_rows(collector, out)


def _tick_rows(collector: Collector, out: Console) -> list[Row]:
    cpu_ms, samples = [], 0
    for second in track(range(WARM_TICKS + TICKS), "ticks", console=out, transient=True):
        time.sleep(PAUSE_S)
        began = time.process_time()
        collector.scrapes.once()
        tick = collector.tick(second * 1000)
        cpu_ms.append((time.process_time() - began) * 1000)
        samples = sum(map(len, tick.samples))
    return [Row(f"CPU of a tick that brings {samples} samples", float(np.median(cpu_ms[WARM_TICKS:])), "ms")]
