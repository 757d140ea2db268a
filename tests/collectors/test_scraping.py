"""When targets are scraped, and that one does not hold up another; in real time, waiting for what comes by itself."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from collectors.collector import Collector
from collectors.config import ServiceConfig
from collectors.scraping import ScrapeLoop, Scrapes, next_due, offset_s, quiet_offset_s
from recwatch.core.clock import FakeClock, SystemClock
from tests.collectors.server import PageServer, page, stalled
from tests.waiting import until

URLS = [f"http://10.0.{rack}.{host}:8000/metrics" for rack in range(4) for host in range(50)]


@pytest.fixture
def loop() -> Iterator[ScrapeLoop]:
    with closing(ScrapeLoop()) as running:
        yield running


def test_targets_are_spread_over_the_interval_and_keep_their_moment() -> None:
    offsets = [offset_s(url, 10.0) for url in URLS]
    assert offsets == [offset_s(url, 10.0) for url in URLS]
    tenths = [sum(tenth <= offset < tenth + 1 for offset in offsets) for tenth in range(10)]
    assert sum(tenths) == len(URLS)
    assert min(tenths) >= 10


@pytest.mark.parametrize("due_s", [10.0, 12.5])
def test_a_scrape_that_takes_longer_than_its_interval_misses_some_and_keeps_its_moment(due_s: float) -> None:
    for took_s in (0.1, 0.99, 1.0, 1.5, 2.5, 60.0):
        after_s, missed = next_due(due_s, 1.0, due_s + took_s)
        assert (after_s - due_s) % 1.0 == 0.0
        assert after_s - due_s == missed + 1
        assert missed == max(0, int(took_s) - 1)


@pytest.mark.parametrize("count", [1, 2, 7, 200])
def test_ticks_move_to_a_pause_within_two_intervals_and_stay_there(count: int, loop: ScrapeLoop) -> None:
    clock = FakeClock()
    config = ServiceConfig.model_validate({"name": "shop", "targets": URLS[:count], "scrape_interval": "5s"})
    collector = Collector(config, clock, loop)
    collector.scrapes.endpoints = config.endpoints()
    quiet = quiet_offset_s([offset_s(url, 5.0) for url in URLS[:count]], 5.0)
    due_s = 1.7
    for _ in range(3):
        after_s = collector.next_due_s(due_s)
        assert 2.5 <= after_s - due_s <= 7.5
        due_s = after_s
        assert ((clock.now_ms() / 1000 + due_s) - quiet + 2.5) % 5.0 == pytest.approx(2.5, abs=1e-3)
    collector.close()


def test_a_target_that_hangs_delays_no_other(server: PageServer, loop: ScrapeLoop) -> None:
    server.answers = {"/good": page("a 1\n"), "/bad": stalled(server)}
    config = ServiceConfig.model_validate(
        {"name": "shop", "targets": [server.url("/good"), server.url("/bad")], "scrape_interval": "200ms"}
    )
    collector = Collector(config, SystemClock(), loop)
    collector.start()
    seen: list[int] = []

    def scraped() -> bool:
        batches = collector.tick(SystemClock().now_ms()).samples
        seen.extend(int(samples.time_ms[0]) for samples in batches if samples.target == server.url("/good"))
        return len(seen) >= 5 and collector.counters.scrapes_failed["timeout"] >= 2

    until(scraped, "five good scrapes beside two that ran out of time")
    collector.close()
    assert seen == sorted(set(seen))
    assert {status.url: status.up for status in collector.targets()} == {
        server.url("/good"): True,
        server.url("/bad"): False,
    }


def test_while_nobody_takes_the_newest_pages_are_kept_and_no_more(server: PageServer, loop: ScrapeLoop) -> None:
    server.answers = {"/a": page("a 1\n"), "/b": page("b 1\n")}
    config = ServiceConfig.model_validate({"name": "shop", "targets": [server.url("/a"), server.url("/b")]})
    scrapes = Scrapes(config, SystemClock(), loop)
    started = []
    for _ in range(6):
        scrapes.once()
        started.append(scrapes._ended[-1].started_ms)
    assert scrapes.missed == 4
    kept = [scrape.started_ms for scrape in scrapes.take()]
    assert len(kept) == 8
    assert kept[0] >= started[1]
    assert scrapes.take() == []
    scrapes.close()


def test_a_bug_on_the_loop_is_raised_where_the_scrapes_are_taken(server: PageServer, loop: ScrapeLoop) -> None:
    server.answers = {"/metrics": page("a 1\n")}

    class Broken(SystemClock):
        def monotonic_s(self) -> float:
            raise ZeroDivisionError("a bug")

    config = ServiceConfig.model_validate({"name": "shop", "targets": [server.url("/metrics")], "scrape_interval": "100ms"})
    collector = Collector(config, Broken(), loop)
    collector.start()

    def died() -> bool:
        try:
            collector.tick(0)
        except ZeroDivisionError:
            return True
        return False

    until(died, "the bug is raised")
    collector.close()
