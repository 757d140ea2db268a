"""A real Prometheus sends what it scrapes while it and recwatch are restarted in turn: nothing is lost, nothing doubled."""

from __future__ import annotations

from collections import Counter
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from cluster.ports import free_ports
from recwatch.app.config import parse_config
from recwatch.app.pipeline import Pipeline
from recwatch.core.clock import SystemClock
from recwatch.core.store import open_store
from tests.collectors.prometheus import Prometheus, key_of
from tests.collectors.server import PageServer, page, serving
from tests.waiting import until

INTERVAL = "200ms"


def numbered_page(server: PageServer) -> Any:
    """Tells its number in every series; one series comes and goes, and one has no value now and then."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        number = len(server.requests)
        rows = [f'shop_rows{{row="{row}"}} {number}' for row in range(20)]
        rows += [f"shop_guest {number}"] if number % 7 < 4 else []
        rows += [f"shop_moody {number if number % 5 else 'NaN'}"]
        page("\n".join(["# TYPE shop_rows counter", *rows, ""]))(handler)

    return answer


def test_nothing_is_lost_or_doubled_while_both_sides_restart_in_turn(tmp_path: Path) -> None:
    [port] = free_ports(1)
    content: dict[str, Any] = {
        "services": [{"name": "shop", "receive": ['{job="shop"}'], "scrape_interval": INTERVAL}],
        "store": f"chdb://{tmp_path}/store",
        "spool": {"folder": f"{tmp_path}/spool"},
        "token_file": f"{tmp_path}/token",
        "receive_token_file": f"{tmp_path}/receive-token",
        "api": {"port": port},
        "console": None,
    }
    write = {
        "url": f"http://127.0.0.1:{port}/api/v1/write",
        "authorization": {"credentials_file": f"{tmp_path}/receive-token"},
        "queue_config": {"batch_send_deadline": "100ms", "max_backoff": "200ms"},
    }
    with serving() as server:
        server.answers["/metrics"] = numbered_page(server)
        scrape = {"job_name": "shop", "static_configs": [{"targets": [server.url("").removeprefix("http://")]}]}
        with Prometheus(tmp_path / "prometheus", [scrape], INTERVAL, remote_write=[write]) as prometheus:
            pipeline = started(content)
            until(lambda: pipeline.samples_scraped() > 200, "Prometheus sends")
            pipeline.stop()
            missed = len(server.requests) + 10
            until(lambda: len(server.requests) > missed, "Prometheus scrapes on while recwatch is away")
            pipeline = started(content)
            until(lambda: pipeline.samples_scraped() > 200, "Prometheus sends what it kept")
            prometheus.stop()
            prometheus.start()
            until(prometheus.answers, "Prometheus is back")
            scrapes = len(server.requests) + 10
            until(lambda: len(server.requests) > scrapes, "Prometheus scrapes again")
            theirs = prometheus.stored('{job="shop"}')
            cut_ms = max(max(rows, default=0) for rows in theirs.values())
            until(lambda: prometheus.sent_until_s() > cut_ms / 1000, "all of it has come")
            pipeline.stop()
    assert stored(content["store"], cut_ms) == {key: Counter(rows.items()) for key, rows in theirs.items() if rows}


def started(content: dict[str, Any]) -> Pipeline:
    pipeline = Pipeline(parse_config(content, "test"), SystemClock())
    pipeline.start()
    return pipeline


def stored(dsn: str, until_ms: int) -> dict[str, Counter[tuple[int, float]]]:
    """Every row of the targets' own series in the store, as often as it is there."""
    store = open_store(dsn)
    try:
        raw = [series for series in store.series("shop") if not series.canonical]
        rows = store.read([series.id for series in raw], 0, until_ms)
    finally:
        store.close()
    labels = {series.id: {k: v for k, v in series.labels.items() if k != "service"} for series in raw}
    return {
        key_of({"__name__": series.name, **labels[series.id]}): Counter(
            zip(rows[series.id][0].tolist(), rows[series.id][1].tolist(), strict=True)
        )
        for series in raw
    }
