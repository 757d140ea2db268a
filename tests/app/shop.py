"""A shop to watch: one real page that numbers its answers, and a configuration for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
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


def stored_answers(content: Mapping[str, Any]) -> tuple[list[int], int]:
    """The numbers of the answers that are in the store, by time, and its failed scrapes; nobody else may have it open."""
    with closing(open_store(content["store"])) as store:
        ids = {series.name: series.id for series in store.series("shop") if series.name in (NUMBER, "up")}
        read = store.read([*ids.values()], 0, 2**42)
    numbers, ups = (read[ids[name]][1].tolist() for name in (NUMBER, "up"))
    return [int(number) for number in numbers], ups.count(0.0)


def assert_whole(numbers: Sequence[int], failed: int, under_way: int = 0) -> None:
    """Each answer is there once and in order, but for those of scrapes that `failed` and that were `under_way` at an end.

    On a busy machine an answer may well come later than a scrape waits for it.
    """
    assert numbers == sorted(set(numbers)) != []
    assert len(set(range(1, max(numbers))) - set(numbers)) <= failed + under_way
