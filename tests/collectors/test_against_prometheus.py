"""The same pages, scraped by recwatch and by a real Prometheus: the same series, and of each the same values."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from tests.collectors.prometheus import Prometheus, key_of
from tests.collectors.scenes import Watch
from tests.collectors.server import Answer, page, serving
from tests.waiting import until

SCRAPES = 15
THEIRS_ONLY = {"scrape_duration_seconds", "scrape_samples_post_metric_relabeling", "scrape_series_added"}
OURS_ONLY = {"scrape_duration_seconds"}
TEXT = "text/plain; version=0.0.4"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

Values = dict[str, list[float]]


def text_page(number: int) -> str:
    """Every kind of metric and spelling; one series comes and goes, one has no value, or an infinite one, now and then."""
    moody = {0: "NaN", 1: "+Inf", 2: "-Inf"}.get(number % 5, str(-number))
    rows = [
        "# HELP hits_total Counted \\\\ by\\nthe shop.",
        "# TYPE hits_total counter",
        f'hits_total{{path="C:\\\\DIR\\"\\n",zone="größer"}} {number}',
        f"hits_total {{ zone = 'none' }} {number}".replace("'", '"'),
        f'hits_total{{zone="comma",}} {number}e-3',
        "",
        "# A comment.",
        "# TYPE rpc_seconds histogram",
        *(f'rpc_seconds_bucket{{le="{le}"}} {number * row}' for row, le in enumerate(("0.1", "1", "1e+01", "+Inf"))),
        f"rpc_seconds_sum {number * 0.1}",
        f"rpc_seconds_count {number * 3}",
        "# TYPE wait_seconds summary",
        f'wait_seconds{{quantile="0.5"}} {number / 3}',
        'wait_seconds{quantile="0.99"} NaN',
        f"wait_seconds_sum {number}",
        f"wait_seconds_count {number}",
        "# TYPE moody gauge",
        f"moody {moody}",
        f"without_type\t{number}e+010",
        f":tensorflow:serving:request_count{{}} {2**53 + number}",
        f'a{{job="theirs",instance="elsewhere"}} {number}',
    ]
    if number % 7 < 4:
        rows.append(f'guest{{name="comes and goes"}} {number}')
    return "\n".join([*rows, ""])


def openmetrics_page(number: int) -> str:
    """Exemplars, units, creation times, infos and state sets."""
    rows = [
        "# TYPE hits counter",
        "# HELP hits Counted.",
        f'hits_total{{zone="a"}} {number} # {{trace_id="abc"}} 0.5 1700000000.123',
        f'hits_created{{zone="a"}} 1700000000.{number}',
        "# TYPE rpc_seconds histogram",
        "# UNIT rpc_seconds seconds",
        *(f'rpc_seconds_bucket{{le="{le}"}} {number} # {{}} 0.05' for le in ("0.1", "1.0", "+Inf")),
        f"rpc_seconds_sum {number * 0.1}",
        f"rpc_seconds_count {number}",
        "# TYPE build info",
        'build_info{version="1\\n2"} 1',
        "# TYPE mode stateset",
        f'mode{{mode="on"}} {number % 2}',
        f'mode{{mode="off"}} {1 - number % 2}',
        "# TYPE level gauge",
        f"level {'NaN' if number % 3 == 0 else -number}",
        "# EOF",
    ]
    return "\n".join([*rows, ""])


PAGES: dict[str, tuple[Callable[[int], str], str]] = {
    "text": (text_page, TEXT),
    "openmetrics": (openmetrics_page, OPENMETRICS),
}


def counting(text: Callable[[int], str], content_type: str) -> tuple[list[int], Answer]:
    """A page of which each answer is the next of its kind, the first `SCRAPES` of them; then it stays as it is."""
    numbers: list[int] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        numbers.append(len(numbers) + 1)
        page(text(numbers[-1]), content_type)(handler)

    return numbers, answer


def scraped_by_us(url: str) -> Values:
    """The values of each series, in the order of time."""
    watch = Watch.of(url)
    found: Values = defaultdict(list)
    for _ in range(SCRAPES):
        tick = watch.tick()
        for batch in (batch for batch in tick.samples if batch.target):
            for series_id, value in zip(batch.series_id.tolist(), batch.value.tolist(), strict=True):
                series = watch.known[series_id]
                found[key_of({"__name__": series.name, **series.labels})].append(value)
    watch.close()
    return found


@pytest.mark.parametrize("kind", PAGES)
def test_each_series_has_the_values_that_prometheus_stores(tmp_path: Path, kind: str) -> None:
    text, content_type = PAGES[kind]
    with serving() as server:
        theirs, server.answers["/theirs"] = counting(text, content_type)
        _, server.answers["/metrics"] = counting(text, content_type)
        address = server.url("").removeprefix("http://")
        scrape = {
            "job_name": "shop",
            "metrics_path": "/theirs",
            "static_configs": [{"targets": [address], "labels": {"service": "shop"}}],
        }
        with Prometheus(tmp_path, [scrape], "100ms") as prometheus:
            ours = scraped_by_us(server.url("/metrics"))
            until(lambda: len(theirs) > SCRAPES + 1, "Prometheus scrapes as often")
            stored = prometheus.stored('{job="shop"}')
    first_ms = sorted({time_ms for rows in stored.values() for time_ms in rows})[SCRAPES - 1]
    kept = {key: [value for time_ms, value in sorted(rows.items()) if time_ms <= first_ms] for key, rows in stored.items()}
    compared = {key: values for key, values in kept.items() if values and not set(name_of(key)) & THEIRS_ONLY}
    mine = {key: values for key, values in ours.items() if not set(name_of(key)) & OURS_ONLY}
    assert mine == compared
    assert any(not math.isclose(values[0], values[-1]) for values in mine.values())


def name_of(key: str) -> list[str]:
    return [part.removeprefix("__name__=") for part in key.split(",") if part.startswith("__name__=")]
