"""What scraping costs: reading a large page again and again, and a whole tick of a small service."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from itertools import cycle
from typing import AnyStr

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
from recwatch.core.signals import Float64

SERIES = 10_000
ROUNDS = 15
TICKS = 50
WARM_TICKS = 5
GOALS = {
    "prometheus_client": (None, None),
    "first page": (None, ">= 1"),
    "repeated": (">= 2000000", ">= 30"),
    "5 % new": (">= 1500000", None),
}
"""For each side, samples a second and its ratio to prometheus_client."""
PAUSE_S = 0.1
"""Between ticks, so that caches are as cold as between two real ones, or nearly."""


def scrape(out: Console) -> Sequence[Row]:
    """Parsers take turns on pages whose values always differ; ours read bytes, prometheus_client the text they decode to.

    Time is CPU time, that of all our threads together, so a sample a second is one on one core; figures are medians.
    """
    return [*_parsers(out), *_ticks(out)]


def _parsers(out: Console) -> list[Row]:
    repeated, changing = PageParser(), PageParser()
    repeated.parse(page(SERIES, 0))
    changing.parse(page(SERIES, 0))
    pages = [page(SERIES, seed).encode() for seed in range(5)]
    churned = iter([page(SERIES, seed, new=f"new-{seed}").encode() for seed in range(ROUNDS)])
    sides = {
        "prometheus_client": _reading(_by_prometheus_client, [text.decode() for text in pages]),
        "first page": _reading(lambda body: PageParser().parse(body), pages),
        "repeated": _reading(repeated.parse, pages),
        "5 % new": lambda: changing.parse(next(churned)),
    }
    taken = in_turns(sides, track(range(ROUNDS), "parsers", console=out, transient=True), time.process_time)
    return [row for side, goals in GOALS.items() for row in _compared(side, taken, *goals)]


def _compared(side: str, taken: Mapping[str, Float64], per_second: str | None, ratio: str | None) -> list[Row]:
    speed = Row(f"{SERIES:,} series, {side}", SERIES / float(np.median(taken[side])), "samples/s", per_second)
    if side == "prometheus_client":
        return [speed]
    return [
        speed,
        Row(f"{side} over prometheus_client", median_ratio(taken["prometheus_client"], taken[side]), "ratio", ratio),
    ]


def _by_prometheus_client(text: str) -> object:
    return [family.samples for family in text_string_to_metric_families(text)]


def _reading(parse: Callable[[AnyStr], object], pages: Sequence[AnyStr]) -> Work:
    turn = cycle(pages)
    return lambda: parse(next(turn))


def page(series: int, seed: int, new: str | None = None) -> str:
    """Exposition text of a histogram with as many series, four labels each; the seed sets values only.

    With `new`, every twentieth series is of that pod, and so a new one.
    """
    values = np.random.default_rng(seed).integers(0, 10**6, series).tolist()
    rows = [
        f'shop_request_seconds_bucket{{le="{number % 40}",model="ranker-{number // 40}",'
        f'pod="{new if new and number % 20 == 7 else f"shop-7f9c-{number // 40:03}"}",zone="eu-1"}} {value}'
        for number, value in enumerate(values)
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
