"""What a collector makes of restarts, clocks, deploys and stated times."""

from dataclasses import replace

import pytest

from tests.collectors.scenes import FIRST, LATER, Recommender, Shop, Watch, marks_of
from tests.collectors.server import PageServer, page


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
