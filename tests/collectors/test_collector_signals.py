"""Pages over time → the canonical signals, checked by hand."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from collectors.collector import Tick
from recwatch.core.canonical import SIGNALS
from recwatch.core.signals import SeriesSet
from tests.collectors.scenes import Reading, Recommender, Watch, marks_of, only
from tests.collectors.server import PageServer, page


class Shop:
    """A service of as many recommenders as are shown."""

    def __init__(self, server: PageServer, instances: int = 1, **settings: Any) -> None:
        self.server = server
        self.urls = [server.url(f"/{index}/metrics") for index in range(instances)]
        self.watch = Watch.of(*self.urls, **settings)

    def tick(self, *shown: Recommender, seconds: float = 1.0) -> Tick:
        for index, recommender in enumerate(shown):
            self.server.answers[f"/{index}/metrics"] = page(recommender.text())
        return self.watch.tick(seconds)

    def signals(self, *shown: Recommender, seconds: float = 1.0) -> Reading:
        return self.watch.signals(self.tick(*shown, seconds=seconds))


@pytest.fixture
def shop(server: PageServer) -> Iterator[Shop]:
    shop = Shop(server, scrape_interval="5s")
    yield shop
    shop.watch.close()


@pytest.fixture
def pair(server: PageServer) -> Iterator[Shop]:
    shop = Shop(server, instances=2, scrape_interval="5s")
    yield shop
    shop.watch.close()


FIRST = Recommender(
    ok=1000, shed=50, error=7, buckets=(600, 900, 1000), seconds=90.0, hits=300, misses=700, busy=(40.0, 30.0), batches=100,
    batched=700, batch_seconds=30.0, queue_seconds=12.0, queue_depth=3,
)  # fmt: skip
LATER = replace(
    FIRST, ok=1090, shed=58, error=9, buckets=(650, 980, 1090), seconds=108.0, hits=330, misses=760, busy=(41.0, 30.5),
    batches=110, batched=790, batch_seconds=32.0, queue_seconds=16.5, queue_depth=5, quality=0.8,
)  # fmt: skip


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


def test_a_counter_that_went_down_started_anew(pair: Shop) -> None:
    pair.tick(LATER, FIRST)
    reborn = Recommender(ok=30, buckets=(20, 25, 30), seconds=3.0)
    tick = pair.tick(reborn, FIRST.after(ok=5), seconds=1)
    signals = pair.watch.signals(tick)
    assert signals["requests_per_second"] == 35.0
    assert signals["latency_mean_seconds"] == pytest.approx(0.1)
    assert signals["latency_bucket_increments{le: +Inf}"] == 30.0
    assert len(pair.watch.raw(tick, pair.urls[1])) == len(pair.watch.raw(tick, pair.urls[0]))
    assert [(mark.kind, mark.by) for mark in tick.marks] == [("restart", f"target {pair.urls[0]}")]


def test_a_process_that_outgrew_its_old_counts_still_started_anew(shop: Shop) -> None:
    shop.tick(Recommender(ok=10, started=1000.0))
    tick = shop.tick(Recommender(ok=25, started=2000.0))
    assert shop.watch.signals(tick)["requests_per_second"] == 25.0
    assert [mark.kind for mark in tick.marks] == ["restart"]


def test_a_clock_that_steps_back_gives_what_was_read_but_no_signals_and_then_the_right_rates(pair: Shop) -> None:
    shown = [Recommender(ok=10 * n) for n in range(6)]
    pair.tick(shown[0], shown[0])
    pair.tick(shown[1], shown[1])
    back = [pair.tick(shown[2], shown[2], seconds=-1.5), pair.tick(shown[3], shown[3])]
    assert [pair.watch.signals(tick) for tick in back] == [{}, {}]
    rows = {len(pair.watch.raw(tick, url)) for tick in back for url in pair.urls}
    assert pair.watch.collector.counters.scrapes_out_of_order == 4
    assert pair.watch.collector.counters.ticks_dropped == 2
    forward = pair.tick(shown[4], shown[4])
    assert pair.watch.signals(forward)["requests_per_second"] == 20.0
    complete = {len(pair.watch.raw(forward, url)) for url in pair.urls}
    assert complete == rows == {len(pair.watch.raw(pair.tick(shown[5], shown[5]), pair.urls[0]))}
    assert marks_of([*back, forward]) == []


def test_a_clock_that_jumps_ahead_gives_no_rates_once(shop: Shop) -> None:
    shop.tick(Recommender())
    assert "requests_per_second" in shop.signals(Recommender(ok=10))
    assert "requests_per_second" not in shop.signals(Recommender(ok=20), seconds=3600)
    assert shop.signals(Recommender(ok=30))["requests_per_second"] == 10.0


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


def test_a_change_of_model_is_a_deploy(pair: Shop) -> None:
    v1, v2 = Recommender(version="v1"), Recommender(version="v2")
    light = replace(v2, variant="light")
    ticks = [pair.tick(v1, v1), pair.tick(v2, v1), pair.tick(v2, light), pair.tick(v2, light)]
    assert [(mark.kind, mark.text, mark.time_ms, mark.by) for mark in marks_of(ticks)] == [
        ("deploy", "model v1 → v2", pair.watch.time_ms - 2000, f"target {pair.urls[0]}"),
        ("deploy", "model v1 (full) → v2 (light)", pair.watch.time_ms - 1000, f"target {pair.urls[1]}"),
    ]


def test_a_model_that_came_while_the_target_was_away_is_a_deploy(shop: Shop, server: PageServer) -> None:
    shop.tick(Recommender(version="v1"))
    server.answers["/0/metrics"] = page("", status=500)
    away = [shop.tick() for _ in range(9)]
    assert marks_of(away) == []
    assert [mark.text for mark in shop.tick(Recommender(version="v2")).marks] == ["model v1 → v2"]


def gpu_page(throttled_ns: float, busy: float = 0.5) -> str:
    labels = 'gpu="0",UUID="GPU-x",emulated="true"'
    rows = {
        "DCGM_FI_DEV_GPU_UTIL": 99,
        "DCGM_FI_PROF_GR_ENGINE_ACTIVE": busy,
        "DCGM_FI_DEV_FB_USED": 2048,
        "DCGM_FI_DEV_SM_CLOCK": 1410,
        "DCGM_FI_DEV_POWER_USAGE": 200,
        "DCGM_FI_DEV_GPU_TEMP": 60,
        "DCGM_FI_DEV_THERMAL_VIOLATION": throttled_ns,
    }
    return "".join(f"{name}{{{labels}}} {value}\n" for name, value in rows.items())


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


def test_a_stated_time_is_honoured_and_stated_again_it_is_no_reading(server: PageServer) -> None:
    url = server.url("/metrics")
    watch = Watch.of(url, scrape_interval="5s")

    def rows(text: str) -> dict[str, tuple[int, float]]:
        server.answers["/metrics"] = page(text)
        (samples,) = [samples for samples in watch.tick().samples if samples.target]
        told = zip(samples.series_id.tolist(), samples.time_ms.tolist(), samples.value.tolist(), strict=True)
        named = {watch.known[series].name: (time_ms, value) for series, time_ms, value in told}
        return {name: named[name] for name in ("a", "b") if name in named}

    assert rows("a 1 5000\nb 2\n") == {"a": (5000, 1.0), "b": (watch.time_ms, 2.0)}
    assert rows("a 1 5000\nb 3\n") == {"b": (watch.time_ms, 3.0)}
    assert rows("a 4 6000\nb 3\n") == {"a": (6000, 4.0), "b": (watch.time_ms, 3.0)}
    assert watch.collector.counters.samples_repeated == 1
    assert rows("a 4 6000\nb 3\nc 1\n") == {"b": (watch.time_ms, 3.0)}
    assert rows(f"a 5 {watch.time_ms + 3_600_000}\nb 3\nc 1\n") == {"b": (watch.time_ms, 3.0)}
    assert rows("a 6 7000\nb 3\nc 1\n") == {"a": (7000, 6.0), "b": (watch.time_ms, 3.0)}
    assert watch.collector.counters.samples_ahead == 1
    watch.close()


def test_a_stated_time_that_is_not_honoured_is_the_scrapes(server: PageServer) -> None:
    server.answers["/metrics"] = page("a 1 5000\n")
    watch = Watch.of(server.url("/metrics"), scrape_interval="5s", honor_timestamps=False)
    (samples,) = [samples for samples in watch.tick().samples if samples.target]
    assert set(samples.time_ms.tolist()) == {watch.time_ms}
    watch.close()


def test_a_row_that_cannot_be_read_is_counted_and_the_others_are_kept(server: PageServer) -> None:
    server.answers["/metrics"] = page("a 1\nb{c=d} 2\nc x\n")
    watch = Watch.of(server.url("/metrics"), scrape_interval="5s")
    assert watch.raw(watch.tick(), server.url("/metrics"))["a"] == 1.0
    assert watch.collector.counters.rows_unreadable == {"labels": 1, "value": 1}
    watch.close()
