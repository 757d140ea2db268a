"""What /metrics holds."""

from __future__ import annotations

from dataclasses import replace

from prometheus_client import CollectorRegistry, generate_latest

from recwatch.app.telemetry import SignalCollector, TotalCollector, metric_names
from recwatch.core.clock import FakeClock
from recwatch.core.signals import Samples, Series, SeriesSet
from tests.app.world import World
from tests.dashboards.story import SERVICE

NOW_MS = FakeClock().now_ms()


def test_metrics_hold_signals_judgements_and_counts_under_declared_names(world: World) -> None:
    text = world.http.get("/metrics").text
    assert 'recwatch_incidents_open{cause="load_surge",service="shop",severity="page"} 1.0' in text
    assert 'recwatch_target_up{service="shop",url="http://127.0.0.1:9/metrics"} 0.0' in text
    assert 'recwatch_replicas{service="shop"} 1.0' in text
    assert 'recwatch_expected{service="shop",signal="queue_depth"} 3.0' in text
    exported = {line.split("{")[0].split(" ")[0] for line in text.splitlines() if not line.startswith("#")}
    assert exported <= metric_names()


def test_totals_are_counters_with_one_label() -> None:
    registry = CollectorRegistry()
    registry.register(TotalCollector(lambda: {"recwatch_alerts_failed": {"webhook-0": 3, "printer-1": 0}}))
    lines = generate_latest(registry).decode().splitlines()
    assert 'recwatch_alerts_failed_total{notifier="webhook-0"} 3.0' in lines
    assert 'recwatch_alerts_failed_total{notifier="printer-1"} 0.0' in lines
    assert "recwatch_alerts_failed_total" in metric_names()


def test_metrics_leave_out_what_is_no_longer_reported(world: World) -> None:
    registry = CollectorRegistry()
    registry.register(SignalCollector(replace(world.view, clock=FakeClock(NOW_MS + 60_000))))
    assert "recwatch_queue_depth" not in generate_latest(registry).decode()


def test_a_signal_that_only_a_newer_recwatch_knows_is_left_out_of_metrics(world: World) -> None:
    newer = Series("queue_colour", {"service": SERVICE}, "", "gauge", SERVICE)
    world.live.take(SeriesSet(SERVICE, (newer,)))
    world.live.take(Samples.of(SERVICE, "", NOW_MS - 1000, {newer.id: 1.0}))
    answer = world.http.get("/metrics")
    assert (answer.status_code, "recwatch_queue_depth{" in answer.text, "colour" in answer.text) == (200, True, False)
