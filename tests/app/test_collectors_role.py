"""A collector that hands its services over publishes every page that it took."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from collectors.collector import Collector
from collectors.scraping import ScrapeLoop
from recwatch.app.config import parse_config
from recwatch.app.publisher import Publisher
from recwatch.app.scraping import Scraping
from recwatch.core.bus.memory import MemoryBus
from recwatch.core.clock import SystemClock
from tests.app.shop import shop, watched


def test_a_page_that_comes_just_before_the_end_is_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    close, pages = Collector.close, 0

    def one_more_page(collector: Collector) -> None:
        nonlocal pages
        if not pages:
            collector.scrapes.once()
            pages += 1
        close(collector)

    monkeypatch.setattr(Collector, "start", lambda collector: None)  # no other page than this one
    monkeypatch.setattr(Collector, "close", one_more_page)
    with shop() as server, closing(MemoryBus()) as bus, closing(ScrapeLoop()) as loop:
        [service] = parse_config(watched(tmp_path, server), "recwatch.yaml").services
        reader = bus.subscribe("reader", ["samples"])
        clock = SystemClock()
        scraping = Scraping(service, clock, loop, Publisher(bus.publish, clock))
        scraping.ask_to_end()
        scraping.worker.start()
        scraping.worker.join()
        scraping.worker.check()
        scraping.collector.close()
        published = [record.message.target for record in reader.poll(0.0)]
        assert (len(server.requests), published) == (1, [server.url("/metrics"), ""])
