"""Faults of a synthetic service, sampled each second with realistic noise: caught quickly, and health never alarms."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from detectors.stage import DetectorStage
from recwatch.core.bus import Record
from recwatch.core.canonical import SIGNALS, canonical_series
from recwatch.core.events import Anomaly
from recwatch.core.objective import Objective
from recwatch.core.signals import Samples, Series, SeriesSet

START_MS = 1_700_000_000_000
NAMES = (
    "requests_per_second",
    "errors_ratio",
    "latency_mean_seconds",
    "latency_p50_seconds",
    "latency_p95_seconds",
    "latency_p99_seconds",
    "queue_depth",
    "queue_wait_mean_seconds",
    "batch_size_mean",
    "batch_duration_mean_seconds",
    "replicas",
    "replicas_busy_ratio",
    "cache_hit_ratio",
    "answer_quality_ratio",
    "gpu_busy_ratio",
    "gpu_sm_clock_hertz",
    "gpu_throttled_ratio",
    "gpu_power_watts",
    "host_cpu_busy_ratio",
    "targets_up_ratio",
)
GPU = {"gpu": "0"}
SERIES: dict[str, Series] = {
    name: canonical_series("shop", name, GPU if name.startswith("gpu_") else None) for name in NAMES
}


@dataclass(frozen=True)
class State:
    """What a fault changes."""

    rate: float = 110.0
    slower: float = 1.0
    queue: float = 0.0
    clock_mhz: float = 1410.0
    throttled: float = 0.0


Fault = Callable[[int], State]


def healthy(_second: int) -> State:
    return State()


def service(seed: int, seconds: int, state_at: Fault, step_s: int = 1) -> Iterator[Samples]:
    """A tick for each `step_s` seconds; quantiles come from a window of about five seconds, so their noise is in runs."""
    rng = np.random.default_rng(seed)
    runs = np.zeros(4)
    for second in range(0, seconds, step_s):
        state = state_at(second)
        runs = 0.8 * runs + 0.6 * rng.standard_normal(4)
        waiting = state.queue / 150.0
        slower = state.slower * np.exp(np.array([0.05, 0.05, 0.10, 0.15]) * runs)
        mean, p50, p95, p99 = np.array([0.013, 0.012, 0.019, 0.025]) * slower + waiting
        queue = state.queue + (5.0 if rng.random() < 0.02 else rng.choice([0, 1, 2, 3], p=[0.8, 0.12, 0.05, 0.03]))
        readings = {
            "requests_per_second": float(rng.poisson(state.rate)),
            "errors_ratio": 0.0,
            "latency_mean_seconds": mean,
            "latency_p50_seconds": p50,
            "latency_p95_seconds": p95,
            "latency_p99_seconds": p99,
            "queue_depth": float(queue),
            "queue_wait_mean_seconds": waiting + 0.001 * abs(rng.standard_normal()),
            "batch_size_mean": 1.0 + abs(0.3 + 0.1 * rng.standard_normal()) + min(state.queue, 30.0),
            "batch_duration_mean_seconds": 0.008 * state.slower * np.exp(0.05 * rng.standard_normal()),
            "replicas": 1.0,
            "replicas_busy_ratio": float(np.clip(0.45 + 0.05 * rng.standard_normal() + 0.01 * state.queue, 0.0, 1.0)),
            "cache_hit_ratio": float(np.clip(0.6 + 0.03 * rng.standard_normal(), 0.0, 1.0)),
            "answer_quality_ratio": float(np.clip(0.93 + 0.01 * rng.standard_normal(), 0.0, 1.0)),
            "gpu_busy_ratio": float(np.clip(0.45 + 0.05 * rng.standard_normal() + 0.01 * state.queue, 0.0, 1.0)),
            "gpu_sm_clock_hertz": state.clock_mhz * 1e6,
            "gpu_throttled_ratio": state.throttled,
            "gpu_power_watts": 180.0 + 8.0 * rng.standard_normal(),
            "host_cpu_busy_ratio": float(np.clip(0.5 + 0.06 * rng.standard_normal(), 0.0, 1.0)),
            "targets_up_ratio": 1.0,
        }
        yield Samples.of("shop", "", START_MS + second * 1000, {SERIES[name].id: v for name, v in readings.items()})


def anomalies(ticks: Iterator[Samples]) -> list[Anomaly]:
    """All anomalies that the stage raises or closes over the ticks, in order, each with the tick that it came at."""
    stage = DetectorStage({"shop": Objective(latency_p99_seconds=0.150)})
    stage.process([Record("series", 0, 0, "shop", SeriesSet("shop", tuple(SERIES.values())))], now_ms=0)
    told: list[Anomaly] = []
    for offset, tick in enumerate(ticks):
        outgoing = stage.process([Record("samples", 0, offset, "shop", tick)], now_ms=0)
        told.extend(out.message for out in outgoing if out.topic == "anomalies")
    return told


def started(told: list[Anomaly], name: str) -> list[float]:
    """Seconds at which anomalies of a signal started."""
    return [(a.start_ms - START_MS) / 1000 for a in told if a.series == SERIES[name].key and a.end_ms is None]


def caught_within(told: list[Anomaly], names: tuple[str, ...], fault_s: int, ticks: int) -> bool:
    """Whether an anomaly of one of the signals was raised at most `ticks` readings after the fault (two make one)."""
    return any(fault_s <= at <= fault_s + ticks - 2 for name in names for at in started(told, name))


LATENCY = ("latency_p50_seconds", "latency_p95_seconds", "latency_p99_seconds")


@pytest.mark.parametrize("seed", range(10))
def test_healthy_noise_never_alarms(seed: int) -> None:
    told = [a for a in anomalies(service(seed, 1200, healthy)) if a.end_ms is None]
    paging = {SERIES[name].key for name in NAMES if SIGNALS[name].user_facing}

    assert [a.reason for a in told if a.series in paging] == []
    assert len(told) <= 1, [a.reason for a in told]


@pytest.mark.parametrize("seed", range(5))
def test_a_surge_is_caught_within_three_ticks(seed: int) -> None:
    def surge(second: int) -> State:
        return State(rate=297.0, queue=100.0 * (second - 39)) if second >= 40 else State()

    told = anomalies(service(seed, 60, surge))

    for signal in ("requests_per_second", "queue_depth", "latency_p99_seconds"):
        assert caught_within(told, (signal,), fault_s=40, ticks=3), signal


@pytest.mark.parametrize("seed", range(5))
def test_a_slow_deploy_is_caught_within_six_ticks(seed: int) -> None:
    told = anomalies(service(seed, 60, lambda second: State(slower=2.5 if second >= 40 else 1.0)))

    assert caught_within(told, LATENCY, fault_s=40, ticks=6)


@pytest.mark.parametrize("seed", range(5))
def test_throttling_is_caught_with_its_slowness_within_six_ticks(seed: int) -> None:
    def throttle(second: int) -> State:
        return State(slower=2.0, clock_mhz=520.0, throttled=1.0) if second >= 40 else State()

    told = anomalies(service(seed, 60, throttle))

    for signals in (("gpu_sm_clock_hertz",), ("gpu_throttled_ratio",), LATENCY):
        assert caught_within(told, signals, fault_s=40, ticks=6), signals


@pytest.mark.parametrize("seed", range(3))
def test_a_long_fault_stays_one_anomaly_until_it_ends(seed: int) -> None:
    told = anomalies(service(seed, 240, lambda second: State(slower=2.5 if 40 <= second < 200 else 1.0)))
    of_median = [a for a in told if a.series == SERIES["latency_p50_seconds"].key and a.method == "latency_given_load"]

    assert [a.end_ms is None for a in of_median] == [True, False]
    assert of_median[0].id == of_median[1].id
    assert 199_000 <= (of_median[1].end_ms or 0) - START_MS <= 202_000


@pytest.mark.parametrize("seed", range(3))
def test_a_daily_peak_with_its_usual_latency_is_no_anomaly_of_latency(seed: int) -> None:
    def daily(second: int) -> State:
        rate = 110.0 * 2.0 ** (0.8 * np.sin(2 * np.pi * second / 86_400))
        return State(rate=rate, slower=1.0 + 0.6 * (rate / 190.0) ** 2)

    told = anomalies(service(seed, 2 * 86_400, daily, step_s=60))

    assert [a.reason for a in told if "latency" in a.series] == []
