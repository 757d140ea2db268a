"""Buckets over time → quantiles over a sliding window, checked by hand."""

from dataclasses import replace

import pytest

from tests.collectors.scenes import Recommender, Shop, gpu_page, only
from tests.collectors.server import PageServer, page


def requests(each: int, intervals: int) -> list[Recommender]:
    """So many requests an interval: half within 0.1 s, nine tenths within 0.2 s."""
    totals = [each * interval for interval in range(intervals + 1)]
    return [Recommender(ok=n, buckets=(0.5 * n, 0.9 * n, n)) for n in totals]


def test_quantiles_wait_for_500_requests(shop: Shop) -> None:
    seen = [shop.signals(shown) for shown in requests(100, 6)]
    quantiles = [only(signals, "latency_p50_seconds", "latency_p95_seconds", "latency_p99_seconds") for signals in seen]
    assert quantiles[:5] == [{}] * 5
    # 500 requests: the median is at rank 250, the end of the first bucket; rank 475 lies beyond 450, in +Inf.
    assert quantiles[5:] == [{"latency_p50_seconds": 0.1, "latency_p95_seconds": 0.2, "latency_p99_seconds": 0.2}] * 2


def test_quantiles_forget_what_500_newer_requests_cover(shop: Shop) -> None:
    slow = Recommender(ok=1000, buckets=(0, 1000, 1000))
    shop.tick(Recommender())
    assert shop.signals(slow)["latency_p50_seconds"] == pytest.approx(0.15)
    fast = replace(slow, ok=1500, buckets=(500, 1500, 1500))
    assert shop.signals(fast)["latency_p50_seconds"] == pytest.approx(0.05)


def test_quantiles_span_60_seconds_at_most(shop: Shop) -> None:
    seen = [shop.signals(shown, seconds=12) for shown in requests(100, 5)]
    assert "latency_p99_seconds" in seen[5]
    sparse = [shop.signals(Recommender(ok=n, buckets=(n, n, n)), seconds=12.5) for n in range(600, 1600, 100)]
    assert not any("latency_p99_seconds" in signals for signals in sparse)


def test_quantiles_outlive_a_failed_scrape_until_the_window_is_past(server: PageServer) -> None:
    both = Shop(server, instances=2, scrape_interval="5s")
    server.answers["/1/metrics"] = page(gpu_page(throttled_ns=0))
    seen = []
    for shown in requests(300, 3):
        server.answers["/0/metrics"] = page(shown.text())
        seen.append("latency_p99_seconds" in both.watch.signals(both.watch.tick()))
    assert seen == [False, False, True, True]
    server.answers["/0/metrics"] = page("", status=500)
    away = [both.watch.signals(both.watch.tick(10)) for _ in range(7)]
    assert ["latency_p99_seconds" in signals for signals in away] == [True] * 5 + [False] * 2
    both.watch.close()
