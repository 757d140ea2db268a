"""What is said of a latency at equal load, asked over HTTP: since a change, and beside the same hour of other days."""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recwatch.core.canonical import canonical_series
from recwatch.core.clock import FakeClock
from recwatch.core.events import Mark
from recwatch.core.signals import Float64, Int64, Samples, Series, SeriesSet
from recwatch.core.store import open_store
from recwatch.core.store.schema import Retention
from recwatch.core.wording import utc
from tests.app.world import World

NEWS = "news"
MEAN, P99, LOAD, CACHE, DEPTH = (
    canonical_series(NEWS, name)
    for name in ("latency_mean_seconds", "latency_p99_seconds", "requests_per_second", "cache_hit_ratio", "queue_depth")
)
BUCKETS = tuple(canonical_series(NEWS, "latency_bucket_increments", {"le": le}) for le in ("1", "10", "+Inf"))
NOW_MS = FakeClock().now_ms()
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
SINCE_S = 240
"""How long ago the change was; it is preceded by ten minutes."""


def at(second: float) -> int:
    return NOW_MS + round(1000 * second)


def served(load: Float64, slower: float | Float64 = 1.0, seed: int = 0) -> Float64:
    """Mean latency at these loads, with 3 % of noise."""
    noise = np.random.default_rng(seed).normal(0.0, 0.03, len(load))
    return slower * 0.010 / (1.0 - load / 250.0) * np.exp(noise)


def told(world: World, series: str = MEAN.key) -> list[str]:
    """What is said of equal load."""
    if NEWS not in world.watched:
        world.watched.append(NEWS)
    answer = world.http.get("/api/explain", params={"service": NEWS, "series": series})
    assert answer.status_code == 200, answer.text
    return [said for said in answer.json()["details"] if "equal load" in said]


def live(world: World, load: Float64, latency: Float64) -> None:
    """Readings of both, a second apart, the last of them now."""
    world.live.take(SeriesSet(NEWS, (MEAN, LOAD, CACHE)))
    for second, (rate, seconds) in enumerate(zip(load.tolist(), latency.tolist(), strict=True), 1 - len(load)):
        world.live.take(Samples.of(NEWS, "", at(second), {MEAN.id: seconds, LOAD.id: rate, CACHE.id: 0.0}))


def changing() -> tuple[Float64, Float64]:
    """A load that swings for ten minutes and then stays near its peak, and how long ago each reading is, in seconds."""
    second = np.arange(-840.0, 0.0)
    swing = 100.0 + 50.0 * np.sin(2.0 * np.pi * second / 120.0)
    return np.where(second < -SINCE_S, swing, 135.0 + 10.0 * np.sin(2.0 * np.pi * second / 60.0)), second


def deploy(second: float, text: str = "model v1 → v2") -> Mark:
    return Mark.of(NEWS, "deploy", at(second), text, "ci")


def percents(said: str) -> tuple[float, float, float]:
    """The difference and the ends of its interval."""
    found = re.search(r"([\d.]+) % (higher|lower) at equal load \(([\d.]+) % to ([\d.]+) %", said)
    assert found is not None, said
    return float(found[1]), float(found[3]), float(found[4])


def test_a_version_is_compared_with_the_one_before_at_equal_load(world: World) -> None:
    load, second = changing()
    live(world, load, served(load, np.where(second < -SINCE_S, 1.0, 1.34)))
    world.live.take(deploy(-SINCE_S))
    (said,) = told(world)
    assert said.startswith(f"Since deploy model v1 → v2 at {utc(at(-SINCE_S))} it is ")
    mid, low, high = percents(said)
    assert low <= 34.0 <= high < low + 10.0
    assert low < mid < high


def test_slowness_that_load_explains_is_no_difference(world: World) -> None:
    load, _ = changing()
    live(world, load, served(load))
    world.live.take(deploy(-SINCE_S, "same\u202e model"))
    (said,) = told(world)
    assert said.startswith("Since deploy same· model at ")
    assert "it is no different at equal load, as far as can be told (-" in said


def test_without_a_deploy_the_last_change_of_level_is_compared(world: World) -> None:
    load = np.resize(100.0 + 20.0 * np.sin(np.linspace(0.0, 2.0 * np.pi, 30)), 840)
    slower = np.repeat([1.0, 3.0], [600, 240])
    live(world, load, served(load, slower))
    (said,) = told(world)
    found = re.fullmatch(r"Since that change it is [\d.]+ times as high at equal load \(([\d.]+) to ([\d.]+)\)\.", said)
    assert found is not None, said
    assert float(found[1]) < 3.0 < float(found[2]) < 3.2


def test_what_another_mark_began_belongs_to_neither_side(world: World) -> None:
    load, second = changing()
    slower = np.where(second < -600.0, 5.0, np.where(second < -SINCE_S, 1.0, 1.34))
    live(world, load, served(load, slower))
    world.live.take(Mark.of(NEWS, "knob_change", at(-600), "max_batch 8 → 32", "ada"))
    world.live.take(deploy(-SINCE_S))
    _, low, high = percents(told(world)[0])
    assert low <= 34.0 <= high


def test_a_deploy_that_restarts_target_after_target_is_one_change(world: World) -> None:
    load, second = changing()
    slower = np.interp(second, [-SINCE_S - 120.0, -SINCE_S], [1.0, 1.34])
    live(world, load, served(load, slower))
    for ago in (120, 60, 0):
        world.live.take(Mark.of(NEWS, "restart", at(-SINCE_S - ago - 1), f"10.0.0.{ago}:8000 restarted", "target"))
        world.live.take(Mark.of(NEWS, "deploy", at(-SINCE_S - ago), "model v1 → v2", f"target {ago}"))
    _, low, high = percents(told(world)[0])
    assert low <= 34.0 <= high < low + 12.0


def test_what_was_changed_later_is_not_counted_as_the_deploys(world: World) -> None:
    load, second = changing()
    live(world, load, served(load, np.where(second < -SINCE_S, 1.0, np.where(second < -60.0, 1.34, 4.0))))
    world.live.take(deploy(-SINCE_S))
    world.live.take(Mark.of(NEWS, "knob_change", at(-60), "max_batch 32 → 1", "ada"))
    _, low, high = percents(told(world)[0])
    assert low <= 34.0 <= high


def test_loads_that_were_never_seen_before_are_a_reason(world: World) -> None:
    load, second = changing()
    load = np.where(second < -SINCE_S, 50.0, 150.0)
    live(world, load, served(load))
    world.live.take(deploy(-SINCE_S))
    (said,) = told(world)
    assert said.endswith(
        "it cannot be compared at equal load: 0 readings before and 0 after are at loads that both saw, 30 are needed."
    )


def test_latency_beyond_the_last_bucket_is_not_compared(world: World) -> None:
    load, second = changing()
    world.live.take(SeriesSet(NEWS, (P99, *BUCKETS)))
    live(world, load, served(load))
    for when, value in zip(second + 1.0, np.where(second < -SINCE_S, 0.5, 10.0), strict=True):
        world.live.take(Samples.of(NEWS, "", at(when), {P99.id: float(value)}))
    world.live.take(deploy(-SINCE_S))
    assert told(world, P99.key)[0].endswith("at equal load: too many readings are beyond the last bucket.")


def minutes(start_ms: int, slower: float, seed: int) -> tuple[Int64, Float64, Float64]:
    """An hour of readings, a minute apart: times, loads and latencies."""
    times = start_ms + 60_000 * np.arange(60)
    load = 100.0 + 30.0 * np.sin(np.arange(60) / 8.0 + seed)
    return times, load, served(load, slower, seed)


def test_the_last_hour_is_compared_with_the_same_hour_of_other_days_that_the_store_has(world: World, tmp_path: Path) -> None:
    start_ms = (NOW_MS - HOUR_MS) // 60_000 * 60_000 + 60_000
    hours = [minutes(start_ms - 7 * DAY_MS, 1.2, 3), minutes(start_ms - DAY_MS, 1.0, 2), minutes(start_ms, 1.2, 1)]
    times, load, latency = (np.concatenate(columns) for columns in zip(*hours, strict=True))
    readings = {MEAN: latency, LOAD: load, CACHE: np.zeros(len(times))}
    rows = [Samples(NEWS, "", times, np.full(len(times), s.id, dtype=np.uint64), v) for s, v in readings.items()]
    live(world, load[-1:], latency[-1:])
    with closing(open_store(f"chdb://{tmp_path}/store", Retention(samples_days=10_000, rollup_days=10_000))) as store:
        store.write_samples(rows, "a token")
        yesterday, week = replace(world.view, store=store).explain(NEWS, MEAN.key).details[-2:]
    assert yesterday.startswith("Against the same hour yesterday, it is ")
    assert yesterday.endswith(" in the last hour.")
    _, low, high = percents(yesterday)
    assert low <= 20.0 <= high
    assert week.startswith("Against the same hour a week ago, it is no different at equal load")


@pytest.mark.parametrize("series", [LOAD, DEPTH])
def test_only_latency_is_compared(world: World, series: Series) -> None:
    load, _ = changing()
    live(world, load, served(load))
    world.live.take(SeriesSet(NEWS, (DEPTH,)))
    world.live.take(Samples.of(NEWS, "", NOW_MS, {DEPTH.id: 1.0}))
    world.live.take(deploy(-SINCE_S))
    assert told(world, series.key) == []


def test_without_a_load_nothing_is_compared(world: World) -> None:
    world.live.take(SeriesSet(NEWS, (MEAN,)))
    for second in range(-840, 0):
        world.live.take(Samples.of(NEWS, "", at(second), {MEAN.id: 0.02}))
    world.live.take(deploy(-SINCE_S))
    assert told(world) == []


def test_without_the_store_the_rest_is_told_and_why_a_latency_is_not_compared(world: World) -> None:
    load, _ = changing()
    live(world, load, served(load))
    world.live.take(deploy(-SINCE_S))
    world.shelf.away = "store db:8123: it cannot be reached"
    assert told(world) == ["It cannot be compared at equal load just now: store db:8123: it cannot be reached."]
    assert told(world, LOAD.key) == []
