"""Which methods judge which canonical signal, and from what change on it matters: a table without code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import inf
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from detectors import METHODS
from detectors.fusion import STARTS_AFTER, STARTS_AT_ONCE
from detectors.robust_band import FALSE_ALARMS_A_DAY
from recwatch.core.canonical import SIGNALS

Side = Literal["above", "below", "both"]


@dataclass(frozen=True, slots=True)
class Watch:
    """How a signal is judged.

    Only deviations to `side` of the expected value count. The band is never narrower than `least_change` in the signal's
    unit, nor than `least_change_ratio` of the expected value: what is smaller is nobody's concern. An anomaly starts after
    `starts_after` consecutive readings with a score of at least 1, or with one of at least `starts_at_once`.
    """

    methods: tuple[str, ...]
    side: Side
    least_change: float
    least_change_ratio: float = 0.0
    starts_after: int = STARTS_AFTER
    starts_at_once: float = STARTS_AT_ONCE


BAND = ("robust_band",)
SHIFT = ("robust_band", "level_shift")
LATENCY = ("latency_given_load", "robust_band")
FELT: Any = {"starts_at_once": inf}
"""What users feel can wake someone, and one bad second should not, however bad it was."""
TAIL: Any = {**FELT, "starts_after": 7}
"""One burst of slow requests stays in the window of a tail quantile for a while. Trouble that lasts shows at once in the
mean, the median, the errors and the queue."""

PLAN: Mapping[str, Watch] = {
    "requests_per_second": Watch(BAND, "both", 5.0, 0.4),
    "errors_ratio": Watch((*BAND, "objective"), "above", 0.01, **FELT),
    "latency_mean_seconds": Watch(LATENCY, "above", 0.003, 0.5, **FELT),
    "latency_p50_seconds": Watch(LATENCY, "above", 0.003, 0.5, **FELT),
    "latency_p95_seconds": Watch(LATENCY, "above", 0.005, 0.75, **TAIL),
    "latency_p99_seconds": Watch((*LATENCY, "objective"), "above", 0.010, 0.75, **TAIL),
    "first_token_mean_seconds": Watch(BAND, "above", 0.010, 0.5, **FELT),
    "first_token_p99_seconds": Watch(BAND, "above", 0.050, 0.75, **TAIL),
    "output_token_mean_seconds": Watch(BAND, "above", 0.003, 0.5, **FELT),
    "output_token_p99_seconds": Watch(BAND, "above", 0.010, 0.75, **TAIL),
    "stage_latency_mean_seconds": Watch(LATENCY, "above", 0.003, 0.5),
    "queue_depth": Watch(BAND, "above", 16.0, 1.0),
    "queue_wait_mean_seconds": Watch(BAND, "above", 0.010, 1.0),
    "batch_size_mean": Watch(BAND, "both", 1.0, 0.5),
    "batch_duration_mean_seconds": Watch(BAND, "above", 0.003, 0.5),
    "replicas": Watch(BAND, "below", 0.5),
    "replicas_busy_ratio": Watch(BAND, "above", 0.25),
    "kv_cache_used_ratio": Watch(BAND, "above", 0.20),
    "prefix_cache_hit_ratio": Watch(SHIFT, "below", 0.10),
    "cache_hit_ratio": Watch(SHIFT, "below", 0.10),
    "answer_quality_ratio": Watch(SHIFT, "below", 0.05, **FELT),
    "gpu_busy_ratio": Watch(BAND, "both", 0.25),
    "gpu_memory_used_bytes": Watch(SHIFT, "above", 256.0 * 2**20, 0.1),
    "gpu_sm_clock_hertz": Watch(BAND, "below", 0.0, 0.15),
    "gpu_throttled_ratio": Watch(BAND, "above", 0.10),
    "gpu_power_watts": Watch(BAND, "both", 20.0, 0.3),
    "gpu_temperature_celsius": Watch(BAND, "above", 8.0),
    "gpu_memory_temperature_celsius": Watch(BAND, "above", 8.0),
    "host_cpu_busy_ratio": Watch(BAND, "above", 0.30),
    "host_memory_available_bytes": Watch(SHIFT, "below", 256.0 * 2**20, 0.2),
    "targets_up_ratio": Watch(("floor",), "below", 0.0),
}


UNLISTED = Watch(BAND, "both", 0.0, starts_after=1)
"""How a series is judged of which nothing is known but its readings, as one in a file: any change may matter."""


class DetectionConfig(BaseModel):
    """The one knob of detection, and what may be added to the plan: further methods for canonical signals, such as River's.

    Bands are as wide as lets through by chance `max_false_alarms_per_series_day`, at most, of what is no anomaly.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_false_alarms_per_series_day: float = Field(default=FALSE_ALARMS_A_DAY, gt=0.0, le=100.0)
    also: dict[str, tuple[str, ...]] = {}

    @field_validator("also")
    @classmethod
    def _known(cls, also: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for signal, methods in also.items():
            if signal not in PLAN:
                raise ValueError(f"'{signal}' is no signal that is judged; they are: {', '.join(PLAN)}")
            for method in methods:
                if method not in METHODS:
                    raise ValueError(f"'{method}' is no detection method; they are: {', '.join(METHODS)}")
        return also

    def settings(self) -> dict[str, dict[str, float]]:
        """What the constructors of methods are given, by name."""
        return {"robust_band": {"max_false_alarms_per_series_day": self.max_false_alarms_per_series_day}}

    def plan(self, unlisted: Iterable[str] = ()) -> dict[str, Watch]:
        """The table with the additions in it, and with the names of series that are no signals."""
        listed = {
            signal: replace(watch, methods=tuple(dict.fromkeys((*watch.methods, *self.also.get(signal, ())))))
            for signal, watch in PLAN.items()
        }
        return dict.fromkeys(unlisted, UNLISTED) | listed


assert set(PLAN) <= set(SIGNALS)  # noqa: S101  (a misspelt signal stops at import)
