"""Which methods judge which canonical signal, and from what change on it matters: a table without code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from inspect import signature
from math import inf, isnan, nan
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model, field_validator

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
    `starts_after` consecutive readings with a score of at least 1, or with one of at least `starts_at_once`. What the signal
    measures is used up at `limit`.
    """

    methods: tuple[str, ...]
    side: Side
    least_change: float
    least_change_ratio: float = 0.0
    limit: float = nan
    starts_after: int = STARTS_AFTER
    starts_at_once: float = STARTS_AT_ONCE


KNOB = "max_false_alarms_per_series_day"
BAND = ("robust_band",)
SHIFT = ("robust_band", "level_shift")
LATENCY = ("latency_given_load", "robust_band")
FELT: Any = {"starts_at_once": inf}
"""What users feel can wake someone, and one bad second should not, however bad it was."""
TAIL: Any = {**FELT, "starts_after": 7}
"""One burst of slow requests stays in the window of a tail quantile for a while. Trouble that lasts shows at once in the
mean, the median, the errors and the queue."""

PLAN: Mapping[str, Watch] = {
    "requests_per_second": Watch((*BAND, "forecast"), "both", 5.0, 0.4),
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
    "gpu_memory_used_ratio": Watch(("exhaustion",), "above", 0.0, limit=1.0),
    "gpu_memory_used_bytes": Watch(SHIFT, "above", 256.0 * 2**20, 0.1),
    "gpu_sm_clock_hertz": Watch(BAND, "below", 0.0, 0.15),
    "gpu_throttled_ratio": Watch(BAND, "above", 0.10),
    "gpu_power_watts": Watch(BAND, "both", 20.0, 0.3),
    "gpu_temperature_celsius": Watch(BAND, "above", 8.0),
    "gpu_memory_temperature_celsius": Watch(BAND, "above", 8.0),
    "host_cpu_busy_ratio": Watch(BAND, "above", 0.30),
    "host_memory_available_bytes": Watch((*SHIFT, "exhaustion", "flat_line"), "below", 256.0 * 2**20, 0.2, limit=0.0),
    "host_filesystem_available_bytes": Watch(("exhaustion",), "below", 0.0, limit=0.0),
    "targets_up_ratio": Watch(("floor",), "below", 0.0),
}


UNLISTED = Watch(BAND, "both", 0.0, starts_after=1)
"""How a series is judged of which nothing is known but its readings, as one in a file: any change may matter."""


class DetectionConfig(BaseModel):
    """The one knob of detection, and what may be added to the plan: further methods for canonical signals, such as River's.

    Bands are as wide as lets through by chance `max_false_alarms_per_series_day`, at most, of what is no anomaly. `methods`
    holds the parameters of methods by name, where they are not to be the defaults.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_false_alarms_per_series_day: float = Field(default=FALSE_ALARMS_A_DAY, gt=0.0, le=100.0)
    also: dict[str, tuple[str, ...]] = {}
    methods: dict[str, dict[str, Any]] = {}

    @field_validator("also")
    @classmethod
    def _known(cls, also: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for signal, methods in also.items():
            if signal not in PLAN:
                raise ValueError(f"'{signal}' is no signal that is judged; they are: {', '.join(PLAN)}")
            for method in methods:
                _check_method(method)
            if "exhaustion" in methods and isnan(PLAN[signal].limit):
                limited = (name for name, watch in PLAN.items() if not isnan(watch.limit))
                raise ValueError(f"nothing is known that '{signal}' could use up; exhaustion judges: {', '.join(limited)}")
        return also

    @field_validator("methods")
    @classmethod
    def _checked(cls, methods: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        return {method: checked_settings(method, given) for method, given in methods.items() if _check_method(method)}

    def settings(self) -> dict[str, dict[str, Any]]:
        """What the constructors of methods are given, by name."""
        knob = {KNOB: self.max_false_alarms_per_series_day}
        return {
            name: {**(knob if KNOB in signature(METHODS[name]).parameters else {}), **self.methods.get(name, {})}
            for name in METHODS
        }

    def plan(self, unlisted: Iterable[str] = ()) -> dict[str, Watch]:
        """The table with the additions in it, and with the names of series that are no signals."""
        listed = {
            signal: replace(watch, methods=tuple(dict.fromkeys((*watch.methods, *self.also.get(signal, ())))))
            for signal, watch in PLAN.items()
        }
        return dict.fromkeys(unlisted, UNLISTED) | listed


def _check_method(method: str) -> bool:
    if method not in METHODS:
        raise ValueError(f"'{method}' is no detection method; they are: {', '.join(METHODS)}")
    return True


def checked_settings(method: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters given for a method, checked against its constructor; what stands behind a `*` there is no parameter.

    Raises ValueError with a sentence.

    >>> checked_settings("river_adwin", {"delta": "0.01"})
    {'delta': 0.01}
    >>> checked_settings("river_adwin", {"alpha": 0.01})
    Traceback (most recent call last):
    ValueError: river_adwin has no parameter 'alpha'; it has: delta
    """
    known = {
        name: (parameter.annotation, parameter.default)
        for name, parameter in signature(METHODS[method], eval_str=True).parameters.items()
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD and name != KNOB
    }
    if unknown := [name for name in given if name not in known]:
        raise ValueError(f"{method} has no parameter '{unknown[0]}'; it has: {', '.join(known) or 'none'}")
    try:
        checked = create_model(method, **known).model_validate(given)  # type: ignore[call-overload]
    except ValidationError as error:
        fault = error.errors()[0]
        raise ValueError(f"{method}.{fault['loc'][0]} is {fault['input']!r}: {fault['msg']}") from error
    return {name: getattr(checked, name) for name in given}


assert set(PLAN) <= set(SIGNALS)  # noqa: S101  (a misspelt signal stops at import)
