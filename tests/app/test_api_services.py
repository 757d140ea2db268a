"""What the API says of services: their targets, objectives and state."""

from __future__ import annotations

from dataclasses import replace

from collectors.intervals import BEHIND_MS
from recwatch.app.measured import SCRAPES
from recwatch.core.canonical import canonical_series, derived_series
from recwatch.core.clock import FakeClock
from recwatch.core.objective import Objective
from recwatch.core.progress import OWN
from recwatch.core.signals import Samples, SeriesSet
from tests.app.world import AUTH, NOW_MS, World
from tests.dashboards.story import ALL, SERVICE, surge_incident


def test_a_service_shows_its_target_its_objective_and_its_open_incident(world: World) -> None:
    (service,) = world.ask("/api/services")
    assert service["name"] == SERVICE
    assert service["open_incidents"] == 1
    assert service["targets"][0]["error"] == "refused"
    assert service["objective"]["latency_p99_seconds"] == 0.1
    assert service["last_ms"] == service["traffic_ms"] == NOW_MS - 1000
    assert service["state"] == "incident"
    assert service["signals"] == len(ALL)


def test_a_service_is_healthy_only_while_its_traffic_is_heard_of_and_judged(world: World, clock: FakeClock) -> None:
    world.watched.append("news")
    rate, up = canonical_series("news", "requests_per_second"), canonical_series("news", "targets_up_ratio")
    score, warmup = derived_series("recwatch_score", rate, "band"), derived_series("recwatch_warmup_ratio", rate, "band")
    world.live.take(SeriesSet("news", (rate, up, score, warmup)))
    assert world.service("news")["state"] == "stale"
    for second, done in ((4, 0.5), (3, 1.0)):
        world.live.take(Samples.of("news", "", NOW_MS - 1000 * second, {rate.id: 9.0, up.id: 1.0, warmup.id: done}))
        assert world.service("news")["state"] == "warming_up"
    world.live.take(Samples.of("news", "", NOW_MS - 3000, {score.id: 0.1}))
    assert world.service("news")["state"] == "healthy"
    clock.advance(5.0)
    world.live.take(Samples.of("news", "", NOW_MS + 5000, {up.id: 0.0}))
    assert world.service("news")["state"] == "stale"


def test_an_objective_that_nothing_measures_is_never_shown_as_kept(world: World) -> None:
    up = canonical_series("news", "targets_up_ratio")
    score = derived_series("recwatch_score", up, "floor")
    world.watched.append("news")
    world.view.objectives["news"] = Objective(0.1)  # type: ignore[index]  # a dict in this world
    world.live.take(SeriesSet("news", (up, score)))
    for second in range(SCRAPES):
        world.live.take(Samples.of("news", "", NOW_MS - 40_000 + 1000 * second, {up.id: 1.0, score.id: 0.0}))
    assert world.service("news")["state"] == "unmeasured"
    news = world.service("news")
    assert set(news["unmeasured"]) == {"latency_p99_seconds", "errors_ratio"}
    text = world.http.get("/metrics").text
    assert 'recwatch_objective_unmeasured{service="news",signal="errors_ratio"} 1.0' in text
    assert 'recwatch_objective_unmeasured{service="shop",signal="errors_ratio"} 0.0' in text


def test_targets_of_which_nobody_tells_any_more_are_unknown(world: World, clock: FakeClock) -> None:
    (shop,) = world.ask("/api/services")
    assert [(t["up"], t["error"]) for t in shop["targets"]] == [(False, "refused")]
    clock.advance(31.0)
    (shop,) = world.ask("/api/services")
    assert [(t["up"], t["error"][:36]) for t in shop["targets"]] == [(None, "no collector has told of it since 20")]
    assert "recwatch_target_up{" not in world.http.get("/metrics").text


def test_recwatch_is_a_service_while_it_has_an_incident(world: World) -> None:
    assert [s["name"] for s in world.ask("/api/services")] == [SERVICE]
    world.live.take(replace(surge_incident(NOW_MS), id="own", service=OWN))
    own, shop = world.ask("/api/services")
    assert (own["name"], own["state"], shop["name"]) == (OWN, "incident", SERVICE)
    answer = world.http.post("/api/silences", json={"service": OWN, "duration_s": 60, "by": "ada"}, headers=AUTH)
    assert answer.status_code == 202


def test_what_a_prometheus_sends_later_than_it_reads_it_is_not_taken_for_gone(world: World) -> None:
    rate = canonical_series("sent", "requests_per_second")
    world.watched.append("sent")
    world.live.take(SeriesSet("sent", (rate,)))
    world.live.take(Samples.of("sent", "", NOW_MS - 11_000, {rate.id: 3.0}))
    assert world.service("sent")["state"] == "stale"
    sent = replace(world.view, behind_ms={"sent": BEHIND_MS}).services()[0]
    assert (sent.name, sent.state, sent.stale_after_ms) == ("sent", "warming_up", 15_000)


def test_what_comes_only_every_fifteen_seconds_is_not_taken_for_gone(world: World) -> None:
    rate, up = canonical_series("slow", "requests_per_second"), canonical_series("slow", "targets_up_ratio")
    world.watched.append("slow")
    world.live.take(SeriesSet("slow", (rate, up)))
    for ago_s in (50, 35, 20):
        world.live.take(Samples.of("slow", "", NOW_MS - 1000 * ago_s, {rate.id: 3.0, up.id: 1.0}))
    assert 'recwatch_requests_per_second{service="slow"} 3.0' in world.http.get("/metrics").text
    slow = world.service("slow")
    assert (slow["stale_after_ms"], slow["state"]) == (45_000, "warming_up")
