"""The canonical signals: what recwatch knows of a service whatever server it runs on, in base units.

Detectors, alerting, tuning and dashboards know these names only. A server's own spelling ends in `collectors/normalise`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from recwatch.core.errors import BadInput
from recwatch.core.signals import Series

Group = Literal["traffic", "errors", "latency", "saturation", "cache", "quality", "gpu", "host", "telemetry"]


@dataclass(frozen=True, slots=True)
class Signal:
    """One canonical signal. `labels` are those it may carry beside `service`; `user_facing` signals can page."""

    name: str
    unit: str
    group: Group
    help: str
    labels: tuple[str, ...] = ()
    user_facing: bool = False


SIGNALS: Mapping[str, Signal] = {
    signal.name: signal
    for signal in (
        Signal("requests_per_second", "requests/s", "traffic", "Answered requests, errors among them."),
        Signal("errors_ratio", "ratio", "errors", "Share of requests that failed or were refused.", user_facing=True),
        Signal("latency_mean_seconds", "seconds", "latency", "Mean over the interval.", user_facing=True),
        Signal("latency_p50_seconds", "seconds", "latency", "Median over the window.", user_facing=True),
        Signal("latency_p95_seconds", "seconds", "latency", "95th percentile over the window.", user_facing=True),
        Signal("latency_p99_seconds", "seconds", "latency", "99th percentile over the window.", user_facing=True),
        Signal(
            "latency_bucket_increments",
            "requests",
            "latency",
            "Requests of the interval at most le seconds slow.",
            ("le",),
        ),
        Signal("stage_latency_mean_seconds", "seconds", "latency", "Mean time in one stage of serving.", ("stage",)),
        Signal("queue_depth", "requests", "saturation", "Requests waiting now."),
        Signal("queue_wait_mean_seconds", "seconds", "saturation", "Mean time spent waiting for a batch."),
        Signal("batch_size_mean", "requests", "saturation", "Mean requests a batch."),
        Signal("batch_duration_mean_seconds", "seconds", "saturation", "Mean time the model takes for a batch."),
        Signal("replicas", "replicas", "saturation", "Model replicas ready to work."),
        Signal("replicas_busy_ratio", "ratio", "saturation", "Share of the replicas' time spent on batches."),
        Signal("cache_hit_ratio", "ratio", "cache", "Share of look-ups that the result cache answered."),
        Signal(
            "answer_quality_ratio",
            "ratio",
            "quality",
            "Quality of a shadow sample of answers, 1 is best.",
            user_facing=True,
        ),
        Signal("gpu_busy_ratio", "ratio", "gpu", "Share of time with work on the GPU.", ("gpu", "emulated")),
        Signal("gpu_memory_used_bytes", "bytes", "gpu", "GPU memory in use.", ("gpu", "emulated")),
        Signal("gpu_sm_clock_hertz", "hertz", "gpu", "Clock of the streaming multiprocessors.", ("gpu", "emulated")),
        Signal("gpu_throttled_ratio", "ratio", "gpu", "Share of time with clocks held down.", ("gpu", "emulated")),
        Signal("gpu_power_watts", "watts", "gpu", "Power drawn.", ("gpu", "emulated")),
        Signal("gpu_temperature_celsius", "celsius", "gpu", "Temperature of the GPU.", ("gpu", "emulated")),
        Signal("host_cpu_busy_ratio", "ratio", "host", "Share of all cores' time spent working."),
        Signal("host_memory_available_bytes", "bytes", "host", "Memory that can be had without swapping."),
        Signal("targets_up_ratio", "ratio", "telemetry", "Share of the service's targets that answer scrapes."),
    )
}

TRAFFIC = ("requests_per_second", "latency_bucket_increments")
"""What is known only while the servers of a service answer; that a target is down, or how its host does, is known beyond."""


def canonical_series(service: str, name: str, labels: Mapping[str, str] | None = None) -> Series:
    """The series of a canonical signal of a service.

    >>> canonical_series("shop", "gpu_power_watts", {"gpu": "0"}).key
    'gpu_power_watts{gpu="0",service="shop"}'
    """
    signal = SIGNALS.get(name)
    if signal is None:
        raise BadInput(f"'{name}' is no canonical signal; they are: {', '.join(SIGNALS)}")
    extra = dict(labels or {})
    unknown = set(extra) - set(signal.labels)
    if unknown:
        raise BadInput(f"{name} carries no label {sorted(unknown)}; it may carry {list(signal.labels)}")
    return Series(name, {**extra, "service": service}, signal.unit, "gauge", service)


DERIVED = (
    "recwatch_expected",
    "recwatch_lower",
    "recwatch_upper",
    "recwatch_score",
    "recwatch_warmup_ratio",
)


def derived_series(what: str, of: Series, method: str = "") -> Series:
    """The series under which a judgement of `of` is published; `recwatch_score` and `_warmup_ratio` name their method.

    >>> derived_series("recwatch_upper", canonical_series("shop", "queue_depth")).key
    'recwatch_upper{service="shop",signal="queue_depth"}'
    """
    labels = {**of.labels, "signal": of.name} | ({"method": method} if method else {})
    unit = "ratio" if what in ("recwatch_score", "recwatch_warmup_ratio") else of.unit
    return Series(what, labels, unit, "gauge", of.service, of.target)
