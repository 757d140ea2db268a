"""Signals, samples and bands, from memory and from the store, over the API."""

from __future__ import annotations

from typing import Any

import numpy as np

from recwatch.core.signals import Samples, Series, SeriesSet
from tests.app.world import NOW_MS, World
from tests.dashboards.story import ALL, SERVICE


def test_signals_carry_ids_as_text_with_their_newest_value_and_score(world: World) -> None:
    signals = {s["name"]: s for s in world.ask("/api/signals", service=SERVICE)}
    depth = signals["queue_depth"]
    assert depth["series_id"] == str(ALL["queue_depth"].id)
    assert depth["last_value"] > 50
    assert depth["score"] > 1
    assert signals["latency_p99_seconds"]["user_facing"]
    assert signals["cache_hit_ratio"]["score"] < 1


def test_samples_of_the_last_minutes_do_not_ask_the_store(world: World) -> None:
    series_id = str(ALL["queue_depth"].id)
    columns = world.ask("/api/samples", series_id=series_id, start_ms=NOW_MS - 30_000, end_ms=NOW_MS)[series_id]
    assert columns["time_ms"] == list(range(NOW_MS - 30_000, NOW_MS, 1000))
    assert len(columns["value"]) == 30
    assert world.shelf.reads == 0


def test_older_samples_come_from_the_store_and_meet_the_live_tail_without_a_seam(world: World) -> None:
    series_id = ALL["queue_depth"].id
    times = np.arange(NOW_MS - 2_000_000, NOW_MS - 55_000, 1000)
    world.shelf.rows[series_id] = (times, np.zeros(len(times)))
    found = world.ask("/api/samples", series_id=str(series_id), start_ms=NOW_MS - 1_500_000, end_ms=NOW_MS)
    columns = found[str(series_id)]
    assert columns["time_ms"] == list(range(NOW_MS - 1_500_000, NOW_MS, 1000))
    assert columns["value"][-60] == 0
    assert columns["value"][-59] > 0


def test_bands_of_a_single_targets_series_come_from_the_store(world: World) -> None:
    raw = Series("up", {"service": SERVICE}, "", "gauge", SERVICE, "http://127.0.0.1:9/metrics")
    world.live.take(SeriesSet(SERVICE, (raw,)))
    world.shelf.known = [raw]
    world.shelf.rows[raw.id] = (np.array([NOW_MS - 2000]), np.array([1.0]))
    found = world.ask("/api/bands", series_id=str(raw.id), start_ms=NOW_MS - 10_000, end_ms=NOW_MS)
    assert found[str(raw.id)]["value"] == [1.0]


def test_steps_are_means_stamped_with_their_start(world: World) -> None:
    series = ALL["replicas"]
    found = world.ask("/api/samples", series_id=str(series.id), start_ms=NOW_MS - 40_000, end_ms=NOW_MS, step_s=10)
    assert found[str(series.id)]["time_ms"] == [NOW_MS - ago for ago in (40_000, 30_000, 20_000, 10_000)]
    assert found[str(series.id)]["value"] == [1.0] * 4


def test_longer_steps_are_whole_minutes_in_memory_as_in_the_store(world: World) -> None:
    series = ALL["replicas"]
    found = world.ask("/api/samples", series_id=str(series.id), start_ms=NOW_MS - 40_000, end_ms=NOW_MS, step_s=90)
    assert {time_ms % 120_000 for time_ms in found[str(series.id)]["time_ms"]} == {0}


def test_what_would_fill_the_memory_is_refused(world: World) -> None:
    day: dict[str, Any] = {"series_id": list(range(10)), "start_ms": NOW_MS - 86_400_000, "end_ms": NOW_MS}
    for path in ("/api/samples", "/api/bands"):
        answer = world.http.get(path, params=day)
        assert answer.status_code == 400
        assert answer.json()["detail"].startswith(
            "10 series over 24 h have too many readings for one answer; ask for fewer, "
        )
    assert world.shelf.reads == 0
    assert world.http.get("/api/samples", params=day | {"step_s": 60}).status_code == 200


def test_bands_align_judgements_with_readings(world: World) -> None:
    series_id = str(ALL["queue_depth"].id)
    bands = world.ask("/api/bands", series_id=series_id, start_ms=NOW_MS - 10_000, end_ms=NOW_MS)[series_id]
    assert bands["expected"] == [3.0] * 10
    assert bands["upper"] == [7.0] * 10
    assert min(bands["score"]) > 1


def test_bands_are_null_where_no_detector_spoke(world: World) -> None:
    fresh = Series("queue_depth", {"service": "new"}, "requests", "gauge", "new")
    world.live.take(SeriesSet("new", (fresh,)))
    world.live.take(Samples.of("new", "", NOW_MS - 1000, {fresh.id: 2.0}))
    bands = world.ask("/api/bands", series_id=str(fresh.id), start_ms=NOW_MS - 10_000, end_ms=NOW_MS)[str(fresh.id)]
    assert bands == {
        "time_ms": [NOW_MS - 1000],
        "value": [2.0],
        "expected": [None],
        "lower": [None],
        "upper": [None],
        "score": [None],
    }
