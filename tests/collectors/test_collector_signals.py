"""Pages over time → the canonical signals, checked by hand."""

import pytest

from recwatch.core.canonical import SIGNALS
from recwatch.core.signals import SeriesSet
from tests.collectors.scenes import FIRST, LATER, Recommender, Shop, Watch, gpu_page, only
from tests.collectors.server import PageServer, page


def test_what_counts_up_is_unknown_until_the_second_scrape(shop: Shop) -> None:
    assert shop.signals(FIRST) == {
        "queue_depth": 3.0,
        "replicas": 2.0,
        "answer_quality_ratio": 0.9,
        "targets_up_ratio": 1.0,
    }


def test_every_signal_of_an_interval_of_two_seconds(shop: Shop) -> None:
    shop.tick(FIRST)
    assert shop.signals(LATER, seconds=2) == pytest.approx(
        {
            "requests_per_second": 50.0,  # 90 ok, 8 shed and 2 failed in 2 s
            "errors_ratio": 0.1,
            "latency_mean_seconds": 0.2,  # 18 s over 90 requests
            "latency_bucket_increments{le: 0.1}": 50.0,
            "latency_bucket_increments{le: 0.2}": 80.0,
            "latency_bucket_increments{le: +Inf}": 90.0,
            "stage_latency_mean_seconds{stage: queue}": 0.05,  # 4.5 s over 90 requests
            "queue_wait_mean_seconds": 0.05,
            "queue_depth": 5.0,
            "batch_size_mean": 9.0,
            "batch_duration_mean_seconds": 0.2,
            "replicas": 2.0,
            "replicas_busy_ratio": 0.375,  # 1.5 s of work in 2 s of 2 replicas
            "cache_hit_ratio": 1 / 3,
            "answer_quality_ratio": 0.8,
            "targets_up_ratio": 1.0,
        }
    )


def test_an_empty_interval_has_a_rate_and_neither_means_nor_a_share_of_errors(shop: Shop) -> None:
    shop.tick(FIRST)
    signals = shop.signals(FIRST)
    assert only(signals, "requests_per_second", "errors_ratio", "queue_depth", "replicas_busy_ratio") == {
        "requests_per_second": 0.0,
        "queue_depth": 3.0,
        "replicas_busy_ratio": 0.0,
    }
    assert not any(name.partition("{")[0].endswith(("mean_seconds", "size_mean", "hit_ratio")) for name in signals)


def test_instances_add_up(pair: Shop) -> None:
    pair.tick(FIRST, FIRST)
    signals = pair.signals(LATER, FIRST, seconds=2)
    assert only(
        signals, "requests_per_second", "queue_depth", "replicas", "replicas_busy_ratio", "answer_quality_ratio"
    ) == (
        pytest.approx(
            {
                "requests_per_second": 50.0,
                "queue_depth": 8.0,
                "replicas": 4.0,
                "replicas_busy_ratio": 0.1875,
                "answer_quality_ratio": 0.85,
            }
        )
    )
    assert signals["latency_bucket_increments{le: +Inf}"] == 90.0


def test_a_missed_scrape_makes_no_dip_and_counts_nothing_twice(pair: Shop, server: PageServer) -> None:
    pair.tick(FIRST, FIRST)
    pair.tick(FIRST.after(ok=10), FIRST.after(ok=10))
    server.answers["/1/metrics"] = page("", status=500)
    assert pair.signals(FIRST.after(ok=20))["requests_per_second"] == 20.0
    assert pair.signals(FIRST.after(ok=30), FIRST.after(ok=30))["requests_per_second"] == 20.0


def test_one_failure_among_few_requests_is_a_small_share_of_those_of_a_minute(shop: Shop) -> None:
    shop.tick(Recommender())
    calm = [shop.signals(Recommender(ok=5 * second))["errors_ratio"] for second in range(1, 60)]
    assert calm == [0.0] * 59
    assert shop.signals(Recommender(ok=299, error=1))["errors_ratio"] == pytest.approx(1 / 300)
    later = [shop.signals(Recommender(ok=299 + 5 * second, error=1))["errors_ratio"] for second in range(1, 61)]
    assert later[:-1] == [pytest.approx(1 / 300)] * 59
    assert later[-1] == 0.0


def test_a_surge_that_is_shed_shows_in_its_first_interval(shop: Shop) -> None:
    shop.tick(Recommender())
    for second in range(1, 11):
        shop.tick(Recommender(ok=110 * second))
    surge = [shop.signals(Recommender(ok=1100 + 210 * second, shed=140 * second)) for second in range(1, 3)]
    assert [signals["errors_ratio"] for signals in surge] == pytest.approx([140 / 570, 0.4])


def test_instances_that_cut_latency_differently_share_some_bounds(pair: Shop) -> None:
    other = Recommender().text().replace('le="0.1"', 'le="0.15"')
    pair.tick(Recommender())
    pair.server.answers["/1/metrics"] = page(other)
    pair.watch.tick()
    grown = Recommender(ok=10, buckets=(4, 8, 10))
    pair.server.answers["/1/metrics"] = page(grown.text().replace('le="0.1"', 'le="0.15"'))
    signals = pair.signals(grown)
    assert {name: n for name, n in signals.items() if "increments" in name} == {
        "latency_bucket_increments{le: 0.2}": 16.0,
        "latency_bucket_increments{le: +Inf}": 20.0,
    }


def test_series_are_announced_completely_and_only_when_there_are_new_ones(shop: Shop) -> None:
    ticks = [shop.tick(Recommender(ok=n, buckets=(n, n, n))) for n in (0, 900, 1800, 2700)]
    assert [tick.series is not None for tick in ticks] == [True, True, False, False]
    more = shop.tick(Recommender(more='fresh{job="theirs"} 1\n'))
    assert isinstance(more.series, SeriesSet)
    fresh = next(series for series in more.series.series if series.name == "fresh")
    instance = shop.urls[0].removeprefix("http://")
    assert fresh.labels == {"exported_job": "theirs", "job": "shop", "service": "shop", "instance": instance}
    assert fresh.target == shop.urls[0]
    assert {series.name for series in more.series.series if series.canonical} <= SIGNALS.keys()


def test_an_emulated_gpu_says_so_in_every_signal(server: PageServer) -> None:
    url = server.url("/gpu/metrics")
    watch = Watch.of(url, scrape_interval="5s")
    server.answers["/gpu/metrics"] = page(gpu_page(throttled_ns=9e9))
    watch.tick()
    server.answers["/gpu/metrics"] = page(gpu_page(throttled_ns=9.5e9))
    gpu = "{emulated: true, gpu: 0}"
    assert watch.signals(watch.tick(2)) == {
        f"gpu_busy_ratio{gpu}": 0.99,
        f"gpu_engine_active_ratio{gpu}": 0.5,
        f"gpu_memory_used_bytes{gpu}": 2.0**31,
        f"gpu_sm_clock_hertz{gpu}": 1.41e9,
        f"gpu_power_watts{gpu}": 200.0,
        f"gpu_temperature_celsius{gpu}": 60.0,
        f"gpu_throttled_ratio{gpu}": 0.25,
        "targets_up_ratio": 1.0,
    }
    server.answers["/gpu/metrics"] = page(gpu_page(throttled_ns=0))
    tick = watch.tick()
    assert watch.signals(tick)[f"gpu_throttled_ratio{gpu}"] == 0.0
    assert tick.marks == ()
    watch.close()


def test_two_pages_of_one_server_keep_their_series_apart(server: PageServer) -> None:
    server.answers = {"/metrics": page("a 1\n"), "/gpu/metrics": page("a 2\n")}
    watch = Watch.of(server.url("/metrics"), server.url("/gpu/metrics"), scrape_interval="5s")
    tick = watch.tick()
    ids = [series_id for samples in tick.samples for series_id in samples.series_id.tolist()]
    assert len(ids) == len(set(ids)) == 2 * 4 + 1
    watch.close()


def test_a_row_that_cannot_be_read_is_counted_and_the_others_are_kept(server: PageServer) -> None:
    server.answers["/metrics"] = page("a 1\nb{c=d} 2\nc x\n")
    watch = Watch.of(server.url("/metrics"), scrape_interval="5s")
    assert watch.raw(watch.tick(), server.url("/metrics"))["a"] == 1.0
    assert watch.collector.counters.rows_unreadable == {"labels": 1, "value": 1}
    watch.close()
