"""A shop to watch: one real page that numbers its answers, a configuration for it, and bounded waiting."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Event
from typing import Any

from recwatch.core.store import open_store
from tests.collectors.server import Answer, PageServer, page, serving

PATH = "/metrics"
NUMBER = "shop_answers_total"
ENOUGH_S = 60.0


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


def until(happened: Callable[[], object], what: str) -> None:
    """Wait for something that comes by itself; fail in words when it does not."""
    pause, deadline = Event(), time.monotonic() + ENOUGH_S
    while not happened():
        assert time.monotonic() < deadline, f"this did not happen: {what}"
        pause.wait(0.02)


def stored_numbers(content: Mapping[str, Any]) -> list[int]:
    """The numbers of the answers that are in the store, by time; nobody else may have the store open."""
    store = open_store(content["store"])
    try:
        (series,) = [s for s in store.series("shop") if s.name == NUMBER]
        _, values = store.read([series.id], 0, 2**42)[series.id]
        return [int(value) for value in values]
    finally:
        store.close()
