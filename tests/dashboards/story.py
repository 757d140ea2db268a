"""A made-up hour of a made-up shop, for tests and screenshots of the console: a load surge, its incident, a proposal."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from recwatch.app.live import LiveView
from recwatch.core.canonical import canonical_series, derived_series
from recwatch.core.events import Anomaly, Cause, Evidence, Incident, Mark, RankedCause, Transition
from recwatch.core.proposals import Action, Decision, Interval, Prediction, Proposal
from recwatch.core.signals import Samples, Series, SeriesSet

SERVICE = "shop"
GPU = {"gpu": "0", "emulated": "true"}
STEADY: Mapping[str, tuple[float, float]] = {
    "requests_per_second": (240.0, 9.0),
    "errors_ratio": (0.002, 0.0008),
    "latency_p50_seconds": (0.011, 0.0005),
    "latency_p95_seconds": (0.024, 0.0012),
    "latency_p99_seconds": (0.031, 0.002),
    "queue_depth": (3.0, 1.0),
    "batch_size_mean": (6.0, 0.5),
    "replicas": (1.0, 0.0),
    "cache_hit_ratio": (0.41, 0.015),
    "answer_quality_ratio": (0.982, 0.002),
    "gpu_busy_ratio": (0.52, 0.02),
    "gpu_sm_clock_hertz": (1.41e9, 0.0),
    "gpu_memory_used_bytes": (3.1e9, 1e6),
    "gpu_temperature_celsius": (61.0, 0.5),
    "host_cpu_busy_ratio": (0.38, 0.03),
    "targets_up_ratio": (1.0, 0.0),
}
SURGE: Mapping[str, float] = {
    "requests_per_second": 2.4,
    "errors_ratio": 4.0,
    "latency_p50_seconds": 3.0,
    "latency_p95_seconds": 5.0,
    "latency_p99_seconds": 6.4,
    "queue_depth": 28.0,
    "batch_size_mean": 2.6,
    "gpu_busy_ratio": 1.85,
    "host_cpu_busy_ratio": 1.6,
}


def series_of(name: str) -> Series:
    return canonical_series(SERVICE, name, GPU if name.startswith("gpu_") else None)


ALL = {name: series_of(name) for name in STEADY}
SIDES = ("recwatch_expected", "recwatch_lower", "recwatch_upper")


class Story:
    """Feeds a live view one second at a time; the surge lasts from `surge_ms` on."""

    def __init__(self, live: LiveView, surge_ms: int) -> None:
        self.live = live
        self.surge_ms = surge_ms
        self._random = np.random.default_rng(7)
        live.take(SeriesSet(SERVICE, tuple(ALL.values())))
        judged = [derived_series(side, s) for s in ALL.values() for side in SIDES]
        scores = [derived_series("recwatch_score", s, "band") for s in ALL.values()]
        live.take(SeriesSet(SERVICE, tuple(judged + scores)))

    def run(self, start_ms: int, end_ms: int) -> None:
        for time_ms in range(start_ms, end_ms, 1000):
            self.tick(time_ms)

    def tick(self, time_ms: int) -> None:
        values: dict[int, float] = {}
        judged: dict[int, float] = {}
        rise = float(np.clip((time_ms - self.surge_ms) / 8000.0, 0.0, 1.0))
        for name, (level, noise) in STEADY.items():
            series, value = ALL[name], abs(level + noise * float(self._random.standard_normal()))
            value *= 1.0 + rise * (SURGE.get(name, 1.0) - 1.0)
            value = min(value, 1.0) if name.endswith("_ratio") else value
            width = 4.0 * noise or 0.05 * level
            values[series.id] = value
            bounds = (level, max(0.0, level - width), level + width)
            judged |= {derived_series(side, series).id: b for side, b in zip(SIDES, bounds, strict=True)}
            judged[derived_series("recwatch_score", series, "band").id] = abs(value - level) / width
        self.live.take(Samples.of(SERVICE, "", time_ms, values))
        self.live.take(Samples.of(SERVICE, "", time_ms, judged))


def anomaly(name: str, start_ms: int, end_ms: int | None = None) -> Anomaly:
    series = ALL[name]
    level = STEADY[name][0]
    return Anomaly(
        id=Anomaly.id_of(series.id, "band", start_ms),
        service=SERVICE,
        series_id=str(series.id),
        series=series.key,
        method="band",
        start_ms=start_ms,
        end_ms=end_ms,
        peak_score=5.3,
        direction="above",
        value=level * SURGE.get(name, 2.0),
        expected=level,
        reason=f"{name} left its band upwards",
    )


def deploy_mark(time_ms: int) -> Mark:
    return Mark.of(
        SERVICE, "deploy", time_ms, "ranker 2024-05 <b>bold</b> ![x](http://127.0.0.1:9/x.png) by ci@shop.example", "ci"
    )


def surge_incident(start_ms: int) -> Incident:
    evidence = (
        Evidence("Requests per second are 2.4 times what is expected", "requests_per_second", 576.0, 240.0),
        Evidence("The queue grows while the time per batch is as before", "queue_depth", 84.0, 3.0),
    )
    return Incident(
        id="inc-1",
        service=SERVICE,
        state="open",
        severity="page",
        start_ms=start_ms,
        end_ms=None,
        title='p99 latency above its objective <img src=x onerror="document.title=1">',
        causes=(
            RankedCause(Cause.LOAD_SURGE, 0.83, evidence),
            RankedCause(Cause.CAPACITY, 0.17, (Evidence("The GPU is 96 % busy", "gpu_busy_ratio", 0.96, 0.52),)),
        ),
        anomalies=(anomaly("latency_p99_seconds", start_ms), anomaly("requests_per_second", start_ms - 2000)),
        marks=(deploy_mark(start_ms - 100_000),),
        history=(Transition("open", start_ms + 2000, "recwatch", "p99 is over its objective and abnormal"),),
        shifts=(Evidence("p99 latency changed from 31 ms to <b>198 ms</b>", ALL["latency_p99_seconds"].key, 0.198, 0.031),),
    )


def proposal(created_ms: int) -> Proposal:
    return Proposal(
        id="prop-1",
        service=SERVICE,
        incident_id="inc-1",
        state="proposed",
        knob="replicas",
        from_value=1,
        to_value=2,
        predicted=Prediction(Interval(36.0, 42.0, 55.0), Interval(540.0, 576.0, 600.0), Interval(1.4, 1.5, 1.6)),
        reason="One replica is busy 96 % of its time; two bring the wait for a batch down",
        evidence=(Evidence("Replica busy", "replicas_busy_ratio", 0.96, 0.5),),
        policy="queueing",
        created_ms=created_ms,
        expires_ms=created_ms + 600_000,
        history=(Transition("proposed", created_ms, "recwatch", "predicted to meet the objective"),),
    )


def verified(old: Proposal, decision: Decision) -> Proposal:
    """What becomes of a proposal once it is approved, and works."""
    at = decision.time_ms
    action = Action(at + 300, old.knob, old.to_value, old.to_value, "recwatch")
    return (
        old.moved("approved", at, decision.by, decision.why)
        .moved("applied", at + 300, "recwatch", "2 read back", actions=(action,))
        .moved("verified", at + 20_000, "recwatch", "p99 is within its objective", measured_p99_ms=41.0)
    )
