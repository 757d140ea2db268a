"""A shop to watch: one real page that numbers its answers, and a configuration for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from recwatch.app.config import parse_config
from recwatch.app.pipeline import Pipeline
from recwatch.core.clock import SystemClock
from recwatch.core.store import open_store
from tests.collectors.server import Answer, PageServer, page, serving

PATH = "/metrics"
NUMBER = "shop_answers_total"


@contextmanager
def shop() -> Iterator[PageServer]:
    """A page whose only counter is the number of the answer, so that a row that is missing is seen."""
    with serving() as server:
        server.answers[PATH] = numbered(server)
        yield server


def numbered(server: PageServer) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        page(f"# TYPE {NUMBER} counter\n{NUMBER} {len(server.requests)}\n")(handler)

    return answer


def watched(folder: Path, server: PageServer, **more: Any) -> dict[str, Any]:
    """The content of a configuration that keeps everything in `folder`; `more` are further keys of the service."""
    return {
        "services": [{"name": "shop", "targets": [server.url(PATH)], "objective": {"latency_p99": "200ms"}} | more],
        "store": f"chdb://{folder}/store",
        "spool": {"folder": f"{folder}/spool"},
        "token_file": f"{folder}/token",
        "api": {"port": 0},
        "console": None,
    }


def pipeline_of(content: Mapping[str, Any], **more: Any) -> Pipeline:
    """The embedded deployment of such a configuration, not yet started."""
    return Pipeline(parse_config(content, "recwatch.yaml"), SystemClock(), **more)


def stored_numbers(content: Mapping[str, Any]) -> list[int]:
    """The numbers of the answers that are in the store, by time; nobody else may have the store open."""
    store = open_store(content["store"])
    try:
        (series,) = [s for s in store.series("shop") if s.name == NUMBER]
        _, values = store.read([series.id], 0, 2**42)[series.id]
        return [int(value) for value in values]
    finally:
        store.close()
