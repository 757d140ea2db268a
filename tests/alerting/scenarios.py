"""Hand-made faults with realistic figures: a service at 1 Hz, healthy for two minutes, then in trouble, then well again."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from alerting.notifiers import Notifier
from alerting.outbox import Outbox, OutboxConfig
from alerting.stage import AlertingStage
from recwatch.core.bus import Record
from recwatch.core.canonical import canonical_series
from recwatch.core.clock import FakeClock
from recwatch.core.events import Anomaly, Incident, Mark
from recwatch.core.objective import Objective
from recwatch.core.signals import Samples, Series, SeriesSet

SERVICE = "recommender"
START_MS = 1_700_000_000_000
FAULT_S, MENDED_S, END_S = 120, 180, 240
GPU = {"gpu": "0", "emulated": "true"}
DISK = {"mountpoint": "/data"}

HEALTHY: Mapping[str, float] = {
    "requests_per_second": 110.0,
    "errors_ratio": 0.0,
    "latency_mean_seconds": 0.021,
    "latency_p50_seconds": 0.019,
    "latency_p99_seconds": 0.062,
    "queue_depth": 1.0,
    "queue_wait_mean_seconds": 0.004,
    "batch_size_mean": 3.1,
    "batch_duration_mean_seconds": 0.012,
    "replicas": 1.0,
    "replicas_busy_ratio": 0.43,
    "cache_hit_ratio": 0.31,
    "answer_quality_ratio": 0.97,
    "gpu_busy_ratio": 0.43,
    "gpu_sm_clock_hertz": 1.41e9,
    "gpu_throttled_ratio": 0.0,
    "gpu_power_watts": 210.0,
    "gpu_temperature_celsius": 61.0,
    "gpu_xid_code": 0.0,
    "gpu_ecc_uncorrected_errors": 0.0,
    "gpu_rows_remapped": 0.0,
    "gpu_row_remap_failed": 0.0,
    "host_cpu_busy_ratio": 0.62,
    "host_memory_available_bytes": 9e9,
    "host_filesystem_available_bytes": 80e9,
    "targets_up_ratio": 1.0,
}

SURGE = {
    "requests_per_second": 297.0,
    "latency_mean_seconds": 0.31,
    "latency_p50_seconds": 0.28,
    "latency_p99_seconds": 0.812,
    "queue_depth": 84.0,
    "queue_wait_mean_seconds": 0.26,
    "batch_size_mean": 15.8,
    "batch_duration_mean_seconds": 0.041,
    "replicas_busy_ratio": 0.99,
    "gpu_busy_ratio": 0.99,
    "host_cpu_busy_ratio": 0.99,
}

DEPLOY = {
    "requests_per_second": 108.0,
    "latency_mean_seconds": 0.19,
    "latency_p50_seconds": 0.17,
    "latency_p99_seconds": 0.43,
    "queue_depth": 14.0,
    "queue_wait_mean_seconds": 0.09,
    "batch_size_mean": 9.2,
    "batch_duration_mean_seconds": 0.081,
    "replicas_busy_ratio": 0.97,
    "gpu_busy_ratio": 0.97,
    "host_cpu_busy_ratio": 0.98,
}

THROTTLE = {
    **DEPLOY,
    "requests_per_second": 101.0,
    "queue_depth": 31.0,
    "gpu_sm_clock_hertz": 5.2e8,
    "gpu_throttled_ratio": 1.0,
    "gpu_power_watts": 120.0,
    "gpu_temperature_celsius": 88.0,
}

HUNG = {"requests_per_second": 0.0, "errors_ratio": 0.0, "queue_depth": 90.0, "gpu_busy_ratio": 1.0}

Events = dict[int, list[Anomaly | Mark]]
"""What arrives beside samples, by the second."""


def labels_of(name: str) -> Mapping[str, str]:
    return GPU if name.startswith("gpu_") else DISK if name.startswith("host_filesystem_") else {}


SERIES: Mapping[str, Series] = {name: canonical_series(SERVICE, name, labels_of(name)) for name in HEALTHY}


def at(second: float) -> int:
    return START_MS + round(1000 * second)


def anomaly(name: str, start_s: float, end_s: float | None = None, method: str = "robust", **changes: Any) -> Anomaly:
    """An anomaly of a canonical signal, above its expected value unless `changes` say otherwise."""
    series = SERIES[name]
    fields: dict[str, Any] = {
        "direction": "above",
        "peak_score": 3.2,
        "value": HEALTHY[name] * 3,
        "expected": HEALTHY[name],
        "reason": f"{name} left its band",
        **changes,
    }
    end_ms = None if end_s is None else at(end_s)
    id_ = Anomaly.id_of(series.id, method, at(start_s))
    return Anomaly(id_, SERVICE, str(series.id), series.key, method, at(start_s), end_ms, **fields)


def quiver(name: str, value: float, noise: random.Random) -> float:
    noisy = value * noise.uniform(0.95, 1.05)
    return min(noisy, 1.0) if name.endswith("_ratio") else noisy


def tick(second: int, readings: Mapping[str, float], noise: random.Random) -> Samples:
    """One interval's samples, with a twentieth of noise on all that is measured rather than counted."""
    damage = {"gpu_xid_code", "gpu_ecc_uncorrected_errors", "gpu_rows_remapped", "gpu_row_remap_failed"}
    counted = {"replicas", "targets_up_ratio", "host_filesystem_available_bytes"} | damage
    noisy = {SERIES[n].id: v if n in counted else quiver(n, v, noise) for n, v in readings.items()}
    return Samples.of(SERVICE, "", at(second), noisy)


@dataclass(slots=True)
class Harness:
    """Feeds a stage as the bus would, one interval a call, and keeps what it published."""

    stage: AlertingStage = field(default_factory=lambda: AlertingStage({SERVICE: Objective(0.150)}))
    clock: FakeClock = field(default_factory=lambda: FakeClock(START_MS + 300))
    published: list[Incident] = field(default_factory=list)
    offset: int = 0

    def feed(self, *messages: object) -> list[Incident]:
        records = []
        for message in messages:
            topic = {"SeriesSet": "series", "Samples": "samples", "TargetSet": "targets"}.get(
                type(message).__name__, type(message).__name__.lower()
            )
            records.append(Record(topic, 0, self.offset, SERVICE, message))
            self.offset += 1
        told = [outgoing.message for outgoing in self.stage.process(records, self.clock.now_ms())]
        self.published += told
        return told

    def run(
        self, fault: Mapping[str, float], events: Mapping[int, list[Anomaly | Mark]], end_s: int = END_S
    ) -> list[Incident]:
        """The whole story of a fault between FAULT_S and MENDED_S; `events` arrive at their second, after its samples."""
        self.feed(SeriesSet(SERVICE, tuple(SERIES.values())))
        for samples, told in story(fault, events, end_s):
            self.feed(samples, *told)
            self.clock.advance(1)
        return self.published


def story(
    fault: Mapping[str, float], events: Mapping[int, list[Anomaly | Mark]], end_s: int = END_S
) -> Iterator[tuple[Samples, list[Anomaly | Mark]]]:
    """What arrives, second by second."""
    noise = random.Random(7)
    for second in range(end_s):
        readings = {**HEALTHY, **fault} if FAULT_S <= second < MENDED_S else HEALTHY
        yield tick(second, readings, noise), events.get(second, [])


def raised(*anomalies: Anomaly, mended_s: int = MENDED_S + 6) -> Events:
    """Each anomaly at its start, and again, ended, at `mended_s`."""
    events: Events = {}
    for a in anomalies:
        second = (a.start_ms - START_MS) // 1000
        events.setdefault(second, []).append(a)
        events.setdefault(mended_s, []).append(replace(a, end_ms=at(mended_s)))
    return events


OUT_OF_OBJECTIVE: Mapping[str, Any] = {"value": 0.21, "expected": 0.15, "reason": "p99 latency is out of its objective"}


def at_once(notifiers: Mapping[str, Notifier], config: OutboxConfig | None = None) -> Outbox:
    """An outbox that has delivered what was due when `process` returns."""
    return Outbox(notifiers, config, start=lambda work: work())


def surge_events() -> Events:
    return raised(
        anomaly("requests_per_second", 120),
        anomaly("queue_depth", 121),
        anomaly("batch_duration_mean_seconds", 121),
        anomaly("latency_p50_seconds", 122),
        anomaly("latency_p99_seconds", 122, method="objective", **OUT_OF_OBJECTIVE),
        anomaly("latency_p99_seconds", 123),
    )


DEPLOYED = Mark.of(SERVICE, "deploy", at(119.4), "ranker v2", by="ci")


def deploy_events() -> Events:
    events = raised(
        anomaly("batch_duration_mean_seconds", 121),
        anomaly("latency_p50_seconds", 123),
        anomaly("latency_p99_seconds", 124, method="objective", **OUT_OF_OBJECTIVE),
    )
    events[120] = [DEPLOYED]
    return events


def throttle_events() -> Events:
    return raised(
        anomaly("gpu_sm_clock_hertz", 121, direction="below", value=5.2e8, expected=1.41e9),
        anomaly("gpu_throttled_ratio", 121),
        anomaly("queue_depth", 122),
        anomaly("latency_p99_seconds", 123, method="objective", **OUT_OF_OBJECTIVE),
        anomaly("latency_mean_seconds", 124),
    )
